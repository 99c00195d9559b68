//! Which sequences run together: those of like length, so that little is filled up. And back.

use tch::Tensor;

/// The largest share of a batch that may be filling.
const FILLING: f64 = 0.1;

/// Groups of indices into `lengths`, of at most `tokens` tokens each, filling included (or of a
/// single sequence). Shortest first; every index once.
pub fn batches(lengths: &[usize], tokens: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&index| lengths[index]);
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut held = 0; // tokens of the last batch, without filling
    for index in order {
        let length = lengths[index];
        if let Some(batch) = batches.last_mut() {
            let area = length * (batch.len() + 1);
            let filling = (area - held - length) as f64;
            if area <= tokens && filling <= FILLING * area as f64 {
                batch.push(index);
                held += length;
                continue;
            }
        }
        batches.push(vec![index]);
        held = length;
    }
    batches
}

/// `rows` `[N,..]`, of which row r belongs at `places[r]`, each at its place.
pub(super) fn in_order(rows: &Tensor, places: &[usize]) -> Tensor {
    let mut row_of = vec![0_i64; places.len()];
    for (row, &place) in places.iter().enumerate() {
        row_of[place] = row as i64;
    }
    rows.index_select(0, &Tensor::from_slice(&row_of).to_device(rows.device()))
}

#[cfg(test)]
mod tests {
    use super::{FILLING, batches};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_sequence_once_and_little_filling(
            lengths in prop::collection::vec(1_usize..50, 0..40),
            tokens in 1_usize..200,
        ) {
            let batches = batches(&lengths, tokens);
            let mut all: Vec<usize> = batches.concat();
            all.sort_unstable();
            prop_assert!(all.into_iter().eq(0..lengths.len()));
            for batch in batches.iter().filter(|batch| batch.len() > 1) {
                let held: usize = batch.iter().map(|&index| lengths[index]).sum();
                let area = batch.iter().map(|&index| lengths[index]).max().unwrap() * batch.len();
                prop_assert!(area <= tokens);
                prop_assert!((area - held) as f64 <= FILLING * area as f64);
            }
        }
    }
}
