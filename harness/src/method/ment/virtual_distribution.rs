//! Distributions in which the target is the most likely token: Algorithm 1, and the plain switch.

use tch::{Kind, Tensor};

/// `values` `[V]` after element `target` has swapped its value with the smallest larger one until
/// none is larger. What was larger moves down one place each; everything else stays. Values are
/// only permuted.
///
/// The paper's loop takes a pass over all elements a swap; sorting the larger ones first gives
/// the same swaps (equal larger values: the first of them is swapped, the others then are no
/// longer larger). Stays on the device of `values`.
pub fn raise_to_top(values: &Tensor, target: u32) -> Tensor {
    let own = values.narrow(0, i64::from(target), 1);
    let larger = values.gt_tensor(&own).nonzero().squeeze_dim(1); // ascending ids
    let (sorted, order) = values.index_select(0, &larger).sort_stable(true, 0, false);
    let larger = larger.index_select(0, &order);
    let count = sorted.size()[0];
    if count == 0 {
        return values.copy();
    }
    let start = Tensor::ones([1], (Kind::Bool, values.device()));
    let changes = sorted.narrow(0, 1, count - 1).ne_tensor(&sorted.narrow(0, 0, count - 1));
    let first_of_equals = Tensor::cat(&[start, changes], 0);
    let ladder = Tensor::cat(&[&own, &sorted.masked_select(&first_of_equals)], 0);
    let target = Tensor::from_slice(&[i64::from(target)]).to_device(values.device());
    // The rung of each value, lowest first, and the token that takes it: each larger token the
    // value below its own, the target the highest.
    let takers = Tensor::cat(&[larger.masked_select(&first_of_equals), target], 0);
    values.index_put(&[Some(takers)], &ladder, false)
}

/// `values` `[V]` with those of `target` and `argmax` in each other's place: `[est.-switch]`. An
/// argmax beyond `values` (a row that is left out) leaves them unchanged.
pub(super) fn switch(values: &Tensor, target: u32, argmax: u32) -> Tensor {
    if i64::from(argmax) >= values.size()[0] {
        return values.copy();
    }
    let places = Tensor::from_slice(&[i64::from(target), i64::from(argmax)]);
    let places = places.to_device(values.device());
    let swapped = values.index_select(0, &places.flip([0]));
    values.index_put(&[Some(places)], &swapped, false)
}

#[cfg(test)]
mod tests {
    use super::{raise_to_top, switch};
    use proptest::prelude::*;
    use tch::Tensor;

    /// Algorithm 1 line by line.
    fn as_written(a: &mut [f32], t: usize) {
        loop {
            let mut idx: Option<usize> = None;
            for i in 0..a.len() {
                if a[i] > a[t] && idx.is_none_or(|found| a[i] < a[found]) {
                    idx = Some(i);
                }
            }
            let Some(idx) = idx else { return };
            a.swap(t, idx);
        }
    }

    fn raised(values: &[f32], target: usize) -> Vec<f32> {
        raise_to_top(&Tensor::from_slice(values), target as u32).try_into().unwrap()
    }

    #[test]
    fn the_target_climbs_and_the_larger_ones_step_down() {
        assert_eq!(raised(&[0.1, 0.4, 0.2, 0.3], 0), [0.4, 0.3, 0.1, 0.2]);
    }

    #[test]
    fn two_tokens_change_places() {
        let values = Tensor::from_slice(&[0.1_f32, 0.4, 0.2, 0.3]);
        let switched = |argmax| Vec::<f32>::try_from(switch(&values, 0, argmax)).unwrap();
        assert_eq!(switched(1), [0.4, 0.1, 0.2, 0.3]);
        assert_eq!(switched(4), [0.1, 0.4, 0.2, 0.3]);
    }

    proptest! {
        /// Checks the properties of Algorithm 1: the target leads, no other token overtakes another, and the
        /// probabilities are only permuted.
        #[test]
        fn the_target_leads_and_all_else_keeps_its_order(
            values in prop::collection::hash_set(0_u16..2000, 1..60),
            target in any::<prop::sample::Index>(),
        ) {
            let values: Vec<f32> = values.into_iter().map(f32::from).collect();
            let target = target.index(values.len());
            let raised = raised(&values, target);
            prop_assert!(raised.iter().all(|value| *value <= raised[target]));
            let order = |values: &[f32]| {
                let mut others: Vec<usize> = (0..values.len()).filter(|i| *i != target).collect();
                others.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
                others
            };
            prop_assert_eq!(order(&raised), order(&values));
            let multiset = |values: &[f32]| {
                let mut values = values.to_vec();
                values.sort_by(f32::total_cmp);
                values
            };
            prop_assert_eq!(multiset(&raised), multiset(&values));
        }

        #[test]
        fn equal_to_the_algorithm_as_written(
            // Few distinct values, so that ties are common.
            mut values in prop::collection::vec((0_u8..12).prop_map(f32::from), 1..40),
            target in any::<prop::sample::Index>(),
        ) {
            let target = target.index(values.len());
            let ours = raised(&values, target);
            as_written(&mut values, target);
            prop_assert_eq!(ours, values);
        }
    }
}
