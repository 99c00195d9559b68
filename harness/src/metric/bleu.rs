//! BLEU-4 (section III-E).

use bleuscore::{RefLenMethod, compute_score};
use rayon::prelude::*;

use super::tokenize;

/// The longest n-grams counted.
const MAX_ORDER: usize = 4;

/// Corpus BLEU-4 of (reference, prediction) pairs, in [0, 1]: the geometric mean of the n-gram
/// precisions for n = 1 to 4, times the brevity penalty, all counted over the whole corpus. One
/// reference each, no smoothing.
///
/// This is Hugging Face `evaluate`'s `bleu` with [`tokenize`] as its tokenizer. It is 0 where no
/// 4-gram matches, as in a corpus without a text of four tokens, and where one side has no token at
/// all, where `evaluate` divides by zero.
pub fn bleu(pairs: &[(impl AsRef<str> + Sync, impl AsRef<str> + Sync)]) -> f64 {
    if pairs.is_empty() {
        return 0.0; // where the crate panics
    }
    let (references, predictions): (Vec<_>, Vec<_>) = pairs
        .par_iter()
        .map(|(reference, prediction)| (vec![line(reference.as_ref())], line(prediction.as_ref())))
        .unzip();
    let (smooth, lengths) = (false, RefLenMethod::Shortest);
    compute_score(&references, &predictions, MAX_ORDER, smooth, lengths).bleu
}

/// The tokens of [`tokenize`] joined by spaces.
///
/// The crate splits lines by the rules of mteval-v13a, which give back such tokens as they are: each
/// is one ASCII punctuation mark or has none in it, and what the rules rewrite (`<skipped>`,
/// `&quot;`, a hyphen before a line break) does not occur with its marks apart. A test holds the
/// crate to this.
fn line(text: &str) -> String {
    tokenize(text).join(" ")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bleuscore::tokenizer::{Tokenizer, Tokenizer13a};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::tokenize::tests::text;
    use super::*;

    const NONE: [(&str, &str); 0] = [];

    #[test]
    fn by_hand() {
        assert_eq!(bleu(&[("return a + b", "return a + b")]), 1.0);
        // 4 of 5, 2 of 4, 1 of 3 and 0 of 2 n-grams, then together with a text that is right:
        // 8 of 9, 5 of 7, 3 of 5 and 1 of 3. The lengths are equal.
        assert_eq!(bleu(&[("a b c d e", "a b c x e")]), 0.0);
        let both = bleu(&[("a b c d e", "a b c x e"), ("return a + b", "return a + b")]);
        assert_close(both, (8.0 / 9.0 * 5.0 / 7.0 * 3.0 / 5.0 / 3.0_f64).powf(0.25));
        // Every n-gram matches, and five tokens stand for six.
        assert_close(bleu(&[("a b c d e f", "a b c d e")]), (1.0 - 6.0 / 5.0_f64).exp());
    }

    #[test]
    fn without_tokens_it_is_zero() {
        assert_eq!(bleu(&NONE), 0.0);
        for pair in [("", ""), ("a b c d", ""), ("", "a b c d"), (" \n", "\u{200b}")] {
            assert_eq!(bleu(&[pair]), 0.0, "{pair:?}");
        }
        // Shorter than a 4-gram, even if right.
        assert_eq!(bleu(&[("a b c", "a b c")]), 0.0);
    }

    /// `compute_bleu` as `evaluate` defines it, on tokens.
    fn definition(pairs: &[(Vec<String>, Vec<String>)]) -> f64 {
        fn counts(tokens: &[String], order: usize) -> HashMap<&[String], usize> {
            let mut counts = HashMap::new();
            for ngram in tokens.windows(order) {
                *counts.entry(ngram).or_default() += 1;
            }
            counts
        }
        let mut log_precisions = 0.0;
        for order in 1..=MAX_ORDER {
            let (mut matches, mut possible) = (0, 0);
            for (reference, prediction) in pairs {
                let wanted = counts(reference, order);
                for (ngram, count) in counts(prediction, order) {
                    matches += count.min(wanted.get(ngram).copied().unwrap_or(0));
                    possible += count;
                }
            }
            if matches == 0 {
                return 0.0;
            }
            log_precisions += (matches as f64 / possible as f64).ln() / MAX_ORDER as f64;
        }
        let reference: usize = pairs.iter().map(|(reference, _)| reference.len()).sum();
        let prediction: usize = pairs.iter().map(|(_, prediction)| prediction.len()).sum();
        let ratio = prediction as f64 / reference as f64;
        let penalty = if ratio > 1.0 { 1.0 } else { (1.0 - 1.0 / ratio).exp() };
        log_precisions.exp() * penalty
    }

    fn assert_close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    }

    proptest! {
        #[test]
        fn the_crate_leaves_the_tokens_alone(text in text()) {
            let tokens = tokenize(&text);
            prop_assert_eq!(Tokenizer13a::new().tokenize(&tokens.join(" ")), tokens);
        }

        #[test]
        fn it_is_the_definition(pairs in vec(("[abc.\\-1 ]{0,24}", "[abc.\\-1 ]{0,24}"), 1..5)) {
            let tokens: Vec<_> = pairs.iter().map(|(r, p)| (tokenize(r), tokenize(p))).collect();
            assert_close(bleu(&pairs), definition(&tokens));
        }

        #[test]
        fn bounds(pairs in vec((text(), text()), 0..4)) {
            prop_assert!((0.0..=1.0).contains(&bleu(&pairs)));
        }

        #[test]
        fn identity_is_one(texts in vec(text(), 0..4)) {
            let pairs: Vec<_> = texts.iter().map(|text| (text, text)).collect();
            let counts = texts.iter().any(|text| tokenize(text).len() >= MAX_ORDER);
            prop_assert_eq!(bleu(&pairs), if counts { 1.0 } else { 0.0 });
        }
    }
}
