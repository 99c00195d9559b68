//! Exact, broad and longest match: the token-level measures (section III-E), on the model's tokens.

/// 1 where the prediction is the ground truth, token for token, else 0.
pub fn exact_match(gold: &[u32], predicted: &[u32]) -> f64 {
    if gold == predicted { 1.0 } else { 0.0 }
}

/// The fraction of the ground truth's tokens that are predicted, each at its own position.
///
/// An empty ground truth is matched by an empty prediction alone.
pub fn broad_match(gold: &[u32], predicted: &[u32]) -> f64 {
    if gold.is_empty() {
        return exact_match(gold, predicted);
    }
    let correct = gold.iter().zip(predicted).filter(|(gold, predicted)| gold == predicted).count();
    correct as f64 / gold.len() as f64
}

/// The length of the longest contiguous run of tokens that occurs in both, as a fraction of the
/// ground truth's length.
///
/// This is the paper's "longest common substring" on tokens: the run need not start at the same
/// position in both, so it can be longer than what [`broad_match`] counts. An empty ground truth
/// is matched by an empty prediction alone.
pub fn longest_match(gold: &[u32], predicted: &[u32]) -> f64 {
    if gold.is_empty() {
        return exact_match(gold, predicted);
    }
    longest_common_run(gold, predicted) as f64 / gold.len() as f64
}

fn longest_common_run(a: &[u32], b: &[u32]) -> usize {
    // runs[j]: length of the common run that ends at the current token of a and at b[j - 1].
    let mut runs = vec![0; b.len() + 1];
    let mut longest = 0;
    for x in a {
        // From the right, so that runs[j] is still that of the token before in a.
        for (j, y) in b.iter().enumerate().rev() {
            runs[j + 1] = if x == y { runs[j] + 1 } else { 0 };
            longest = longest.max(runs[j + 1]);
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn by_hand() {
        let gold = [1, 2, 3, 4];
        let cases: [(&[u32], f64, f64, f64); 6] = [
            (&[1, 2, 3, 4], 1.0, 1.0, 1.0),
            (&[1, 2, 9, 4], 0.0, 0.75, 0.5),
            (&[9, 1, 2, 3], 0.0, 0.0, 0.75),
            (&[4, 3, 2, 1], 0.0, 0.0, 0.25),
            (&[1, 2], 0.0, 0.5, 0.5),
            (&[], 0.0, 0.0, 0.0),
        ];
        for (predicted, em, bm, lm) in cases {
            assert_eq!(exact_match(&gold, predicted), em, "{predicted:?}");
            assert_eq!(broad_match(&gold, predicted), bm, "{predicted:?}");
            assert_eq!(longest_match(&gold, predicted), lm, "{predicted:?}");
        }
        for (predicted, wanted) in [(&[][..], 1.0), (&[1][..], 0.0)] {
            assert_eq!(exact_match(&[], predicted), wanted);
            assert_eq!(broad_match(&[], predicted), wanted);
            assert_eq!(longest_match(&[], predicted), wanted);
        }
    }

    /// Two sequences of one length, over few tokens, so that they have much in common.
    fn teacher_forced() -> impl Strategy<Value = (Vec<u32>, Vec<u32>)> {
        vec((0..4u32, 0..4u32), 1..24).prop_map(|tokens| tokens.into_iter().unzip())
    }

    proptest! {
        #[test]
        fn identity_is_one(gold in vec(any::<u32>(), 0..24)) {
            prop_assert_eq!(exact_match(&gold, &gold), 1.0);
            prop_assert_eq!(broad_match(&gold, &gold), 1.0);
            prop_assert_eq!(longest_match(&gold, &gold), 1.0);
        }

        #[test]
        fn bounds_and_order((gold, predicted) in teacher_forced()) {
            let em = exact_match(&gold, &predicted);
            let bm = broad_match(&gold, &predicted);
            let lm = longest_match(&gold, &predicted);
            prop_assert!((0.0..=1.0).contains(&bm) && (0.0..=1.0).contains(&lm));
            // Each is 1 only for the ground truth itself.
            prop_assert_eq!(em == 1.0, bm == 1.0);
            prop_assert_eq!(em == 1.0, lm == 1.0);
            // The longest stretch that is right in place is a common run.
            let in_place = gold.iter().zip(&predicted).map(|(a, b)| a == b).collect::<Vec<_>>();
            let stretch = in_place.split(|right| !right).map(<[_]>::len).max().unwrap();
            prop_assert!(lm >= stretch as f64 / gold.len() as f64);
        }

        #[test]
        fn longest_match_is_that_of_the_definition(
            gold in vec(0..3u32, 1..12),
            predicted in vec(0..3u32, 0..12),
        ) {
            let occurs = |run: &[u32]| predicted.windows(run.len()).any(|window| window == run);
            let longest = (1..=gold.len()).rev().find(|&n| gold.windows(n).any(occurs)).unwrap_or(0);
            prop_assert_eq!(longest_match(&gold, &predicted), longest as f64 / gold.len() as f64);
        }
    }
}
