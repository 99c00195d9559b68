//! The effectiveness measures of RQ1 (section III-E): predictions in, numbers out.
//!
//! EM, BM and LM compare the model's own tokens; BLEU and ROUGE-L compare text, tokenised by
//! [`tokenize`]. EM, BM, LM and ROUGE-L are averages over the data; BLEU is a corpus measure, its
//! n-gram counts summed over the data before anything is divided.

mod bleu;
mod rouge;
mod token_match;
mod tokenize;

pub use bleu::bleu;
pub use rouge::rouge_l;
pub use token_match::{broad_match, exact_match, longest_match};
pub use tokenize::tokenize;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// What a model predicted for one datum, beside what it should have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prediction {
    /// The token ids of the ground truth.
    pub gold: Vec<u32>,
    /// The predicted token ids; under teacher forcing as many as in `gold`.
    pub predicted: Vec<u32>,
    /// The ground truth as text.
    pub gold_text: String,
    /// The prediction as text.
    pub predicted_text: String,
}

/// The scores of a set of predictions, fractions in [0, 1] (Table III).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Exact match: the mean of [`exact_match`].
    pub em: f64,
    /// Broad match: the mean of [`broad_match`].
    pub bm: f64,
    /// Longest match: the mean of [`longest_match`].
    pub lm: f64,
    /// Corpus [`bleu`].
    pub bleu: f64,
    /// The mean of [`rouge_l`].
    pub rouge: f64,
}

/// Scores a set of predictions; all zero where there are none.
///
/// The same predictions give the same bits, whatever the number of threads.
pub fn score(predictions: &[Prediction]) -> Scores {
    let (means, texts): (Vec<_>, Vec<_>) = predictions
        .par_iter()
        .map(|Prediction { gold, predicted, gold_text, predicted_text }| {
            let (reference, prediction) = (tokenize(gold_text), tokenize(predicted_text));
            let scores = Scores {
                em: exact_match(gold, predicted),
                bm: broad_match(gold, predicted),
                lm: longest_match(gold, predicted),
                bleu: 0.0,
                rouge: rouge::of_tokens(&reference, &prediction),
            };
            (scores, bleu::Line::new(&reference, &prediction))
        })
        .unzip();
    let mean =
        |of: fn(&Scores) -> f64| means.iter().map(of).sum::<f64>() / means.len().max(1) as f64;
    Scores {
        em: mean(|scores| scores.em),
        bm: mean(|scores| scores.bm),
        lm: mean(|scores| scores.lm),
        bleu: bleu::of_lines(texts),
        rouge: mean(|scores| scores.rouge),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction(gold: &[u32], predicted: &[u32], texts: (&str, &str)) -> Prediction {
        Prediction {
            gold: gold.to_vec(),
            predicted: predicted.to_vec(),
            gold_text: texts.0.to_owned(),
            predicted_text: texts.1.to_owned(),
        }
    }

    #[test]
    fn none_scores_zero() {
        assert_eq!(score(&[]), Scores::default());
    }

    #[test]
    fn ground_truth_scores_one() {
        let right = prediction(&[1, 2], &[1, 2], ("return x + 1", "return x + 1"));
        let ones = Scores { em: 1.0, bm: 1.0, lm: 1.0, bleu: 1.0, rouge: 1.0 };
        assert_eq!(score(&[right.clone(), right]), ones);
    }

    #[test]
    fn averages_over_data_and_bleu_over_the_corpus() {
        let texts = [("a b c d e", "a b c x e"), ("return a + b", "return a + b")];
        let scores = score(&[
            prediction(&[1, 2, 3, 4], &[1, 2, 9, 4], texts[0]),
            prediction(&[7], &[7], texts[1]),
        ]);
        let rouge = (rouge_l(texts[0].0, texts[0].1) + 1.0) / 2.0;
        assert_eq!(scores, Scores { em: 0.5, bm: 0.875, lm: 0.75, bleu: bleu(&texts), rouge });
        assert!(scores.bleu > 0.5, "the mean of 0 and 1");
    }

    #[test]
    fn scores_are_json() {
        let json = serde_json::to_string(&Scores::default()).unwrap();
        insta::assert_snapshot!(json, @r#"{"em":0.0,"bm":0.0,"lm":0.0,"bleu":0.0,"rouge":0.0}"#);
    }
}
