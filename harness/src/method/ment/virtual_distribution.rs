//! Algorithm 1: the distribution in which the target is the most likely token.

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

#[cfg(test)]
mod tests {
    use super::raise_to_top;
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

    proptest! {
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
