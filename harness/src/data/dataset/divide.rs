//! A division for data that come without one.

use super::Pair;
use sha2::{Digest, Sha256};

/// One in so many inputs is of the inference division.
const ONE_IN: u32 = 10;

/// The departure that such a division is, as a sentence.
pub(super) const DEVIATION: &str =
    "no official division: one input in ten is of the inference division, chosen by its SHA-256";

/// True if pairs with this `input` are of the inference division. Pairs with one input, whatever stands
/// around them in the file, are in one division.
pub(super) fn is_inference(input: &str) -> bool {
    let hash = Sha256::digest(input);
    let first = [hash[0], hash[1], hash[2], hash[3]];
    u32::from_be_bytes(first).is_multiple_of(ONE_IN)
}

/// Retrieval and inference division of `pairs`, each in their order.
pub(super) fn divide(pairs: Vec<Pair>) -> [Vec<Pair>; 2] {
    let (inference, retrieval) = pairs.into_iter().partition(|pair| is_inference(&pair.input));
    [retrieval, inference]
}

#[cfg(test)]
mod tests {
    use super::{divide, is_inference};
    use crate::data::dataset::Pair;

    #[test]
    fn one_in_ten_by_content() {
        let pairs = (0..2000).map(|number| Pair {
            input: format!("input {}", number / 2),
            output: format!("output {number}"),
        });
        let [retrieval, inference] = divide(pairs.collect());
        assert!((160..240).contains(&inference.len()), "{}", inference.len());
        assert_eq!(retrieval.len() + inference.len(), 2000);
        assert!(inference.iter().all(|pair| is_inference(&pair.input)));
        assert!(!retrieval.iter().any(|pair| is_inference(&pair.input)));
    }
}
