//! Algorithm 1: the distribution in which the target is the most likely token.

/// Lets element `target` swap its value with the smallest larger one until none is larger. What
/// was larger moves down one place each; everything else stays. Values are only permuted.
///
/// The paper's loop takes a pass over all elements a swap; sorting the larger ones first gives
/// the same swaps (equal larger values: the first of them is swapped, the others then are no
/// longer larger).
pub(super) fn raise_to_top(values: &mut [f32], target: usize) {
    let own = values[target];
    let mut larger: Vec<usize> = (0..values.len()).filter(|&index| values[index] > own).collect();
    larger.sort_by(|&a, &b| values[a].total_cmp(&values[b]).then(a.cmp(&b)));
    larger.dedup_by(|&mut next, &mut kept| values[next] == values[kept]);
    for index in larger {
        values.swap(index, target);
    }
}

#[cfg(test)]
mod tests {
    use super::raise_to_top;
    use proptest::prelude::*;

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

    #[test]
    fn the_target_climbs_and_the_larger_ones_step_down() {
        let mut values = [0.1, 0.4, 0.2, 0.3];
        raise_to_top(&mut values, 0);
        assert_eq!(values, [0.4, 0.3, 0.1, 0.2]);
    }

    proptest! {
        #[test]
        fn equal_to_the_algorithm_as_written(
            // Few distinct values, so that ties are common.
            values in prop::collection::vec((0_u8..12).prop_map(f32::from), 1..40),
            target in any::<prop::sample::Index>(),
        ) {
            let target = target.index(values.len());
            let (mut ours, mut theirs) = (values.clone(), values);
            raise_to_top(&mut ours, target);
            as_written(&mut theirs, target);
            prop_assert_eq!(ours, theirs);
        }
    }
}
