//! BLEU-4 (section III-E).

use std::array;
use std::iter::Sum;

use bleuscore::ngram::get_token_ngram_counter;
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
    pairs
        .par_iter()
        .map(|(reference, prediction)| {
            BleuCounts::of(&tokenize(reference.as_ref()), &tokenize(prediction.as_ref()))
        })
        .sum::<BleuCounts>()
        .score()
}

/// Counts of BLEU for a pair of texts or, summed, for a corpus.
///
/// Matches by the length of the n-gram from 1, then the prediction's n-grams by length, then the
/// reference's tokens. Whole numbers, as floats hold them exactly up to 2⁵³ and they end in
/// quotients.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BleuCounts(pub [f64; BleuCounts::LEN]);

impl BleuCounts {
    /// Number of counts.
    pub const LEN: usize = 2 * MAX_ORDER + 1;

    /// The counts of one pair of tokenised texts.
    pub fn of(reference: &[String], prediction: &[String]) -> Self {
        let mut counts = [0.0; Self::LEN];
        let wanted = get_token_ngram_counter(reference, MAX_ORDER);
        for (ngram, count) in get_token_ngram_counter(prediction, MAX_ORDER) {
            let matched = wanted.get(ngram).map_or(0, |wanted| count.min(*wanted));
            counts[ngram.len() - 1] += matched as f64;
            counts[MAX_ORDER + ngram.len() - 1] += count as f64;
        }
        counts[2 * MAX_ORDER] = reference.len() as f64;
        Self(counts)
    }

    /// [`bleu`] of the corpus that was counted.
    ///
    /// The arithmetic is `bleuscore::compute_score`'s, operation for operation, and a test holds it
    /// to that. The crate's function itself takes texts alone, splits them by regular expressions,
    /// and keeps what it split in a cache that all threads wait for.
    pub fn score(&self) -> f64 {
        let (matched, rest) = self.0.split_at(MAX_ORDER);
        let (possible, reference) = rest.split_at(MAX_ORDER);
        if matched.contains(&0.0) {
            return 0.0;
        }
        let logs =
            matched.iter().zip(possible).map(|(matched, possible)| (matched / possible).ln());
        let mean = (1.0 / MAX_ORDER as f64) * logs.sum::<f64>();
        let ratio = possible[0] / reference[0];
        let penalty = if ratio <= 1.0 { (1.0 - 1.0 / ratio).exp() } else { 1.0 };
        mean.exp() * penalty
    }
}

impl Sum for BleuCounts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |a, b| Self(array::from_fn(|index| a.0[index] + b.0[index])))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bleuscore::{RefLenMethod, compute_score};
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
        /// Tokens joined by spaces come out of the crate's own tokenizer, mteval-v13a's, as they
        /// went in: each is one ASCII punctuation mark or has none in it, and what the rules rewrite
        /// (`<skipped>`, `&quot;`, a hyphen before a line break) does not occur with its marks apart.
        #[test]
        fn it_is_the_crates(pairs in vec((text(), text()), 1..5)) {
            let line = |text: &str| tokenize(text).join(" ");
            let references: Vec<_> = pairs.iter().map(|(text, _)| vec![line(text)]).collect();
            let predictions: Vec<_> = pairs.iter().map(|(_, text)| line(text)).collect();
            let (smooth, lengths) = (false, RefLenMethod::Shortest);
            let theirs = compute_score(&references, &predictions, MAX_ORDER, smooth, lengths).bleu;
            prop_assert_eq!(bleu(&pairs), theirs);
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
