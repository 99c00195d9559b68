//! ROUGE-L (section III-E).

use super::tokenize;

/// ROUGE-L of a prediction, in [0, 1]: the F-measure of the longest common subsequence of tokens.
///
/// This is the `rouge-score` package's `rougeL` with [`tokenize`] as its tokenizer, so 0 where
/// either text has no token, and case counts.
pub fn rouge_l(reference: &str, prediction: &str) -> f64 {
    rouge_l_of_tokens(&tokenize(reference), &tokenize(prediction))
}

/// [`rouge_l`] of texts that are tokenised already.
pub fn rouge_l_of_tokens(reference: &[String], prediction: &[String]) -> f64 {
    let common = longest_common_subsequence(reference, prediction);
    if common == 0 {
        return 0.0;
    }
    let precision = common as f64 / prediction.len() as f64;
    let recall = common as f64 / reference.len() as f64;
    2.0 * precision * recall / (precision + recall)
}

/// The length of the longest sequence that is left of both after deletions.
fn longest_common_subsequence<T: PartialEq>(a: &[T], b: &[T]) -> usize {
    // lengths[j]: that of the part of a so far and b[..j].
    let mut lengths = vec![0; b.len() + 1];
    for x in a {
        let mut diagonal = 0; // lengths[j] before x
        for (j, y) in b.iter().enumerate() {
            let above = lengths[j + 1];
            lengths[j + 1] = if x == y { diagonal + 1 } else { above.max(lengths[j]) };
            diagonal = above;
        }
    }
    lengths[b.len()]
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::tokenize::tests::text;
    use super::*;

    #[test]
    fn by_hand() {
        assert_eq!(rouge_l("return a + b", "return a + b"), 1.0);
        // 3 tokens in common, of 4 and of 5.
        assert!((rouge_l("a b c d", "a x b y d") - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(rouge_l("Abc", "abc"), 0.0);
        for (reference, prediction) in [("", ""), ("a", ""), ("", "a"), (" ", "\n")] {
            assert_eq!(rouge_l(reference, prediction), 0.0);
        }
    }

    /// The longest common subsequence by its recurrence.
    fn definition(a: &[u8], b: &[u8]) -> usize {
        match (a, b) {
            ([x, a @ ..], [y, b @ ..]) if x == y => 1 + definition(a, b),
            ([_, shorter @ ..], [_, ..]) => definition(shorter, b).max(definition(a, &b[1..])),
            _ => 0,
        }
    }

    proptest! {
        #[test]
        fn common_subsequence_is_that_of_the_definition(
            a in vec(0..3u8, 0..8),
            b in vec(0..3u8, 0..8),
        ) {
            prop_assert_eq!(longest_common_subsequence(&a, &b), definition(&a, &b));
        }

        #[test]
        fn bounds_and_symmetry(a in text(), b in text()) {
            let score = rouge_l(&a, &b);
            prop_assert!((0.0..=1.0).contains(&score));
            prop_assert!((score - rouge_l(&b, &a)).abs() < 1e-12);
        }

        #[test]
        fn identity_is_one(text in text()) {
            let expected = if tokenize(&text).is_empty() { 0.0 } else { 1.0 };
            prop_assert_eq!(rouge_l(&text, &text), expected);
        }
    }
}
