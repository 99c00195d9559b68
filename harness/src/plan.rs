//! Config and data to the list of what will be prompted; pure.

use crate::config::{Config, DatasetConfig, Division};
use crate::dataset::{Dataset, Pair};

/// One datum that will be prompted.
#[derive(Clone, Copy, Debug)]
pub struct Planned<'a> {
    /// Index of the data set in the config.
    pub dataset: usize,
    /// Index of the pair in its division.
    pub datum: usize,
    /// The pair.
    pub pair: &'a Pair,
    /// The pair's own place in the retrieval division, where it must not be its own demonstration.
    pub excluded: Option<usize>,
}

/// Everything that will be prompted, data set by data set, in the order of the config.
pub fn plan<'a>(config: &Config, datasets: &'a [Dataset]) -> Vec<Planned<'a>> {
    let mut planned = Vec::new();
    for (index, (config, dataset)) in config.dataset.iter().zip(datasets).enumerate() {
        let calibration = config.division == Division::Calibration;
        let division = if calibration { &dataset.retrieval } else { &dataset.inference };
        planned.extend(indices(config, dataset).into_iter().map(|datum| Planned {
            dataset: index,
            datum,
            pair: &division[datum],
            excluded: calibration.then_some(datum),
        }));
    }
    planned
}

fn indices(config: &DatasetConfig, dataset: &Dataset) -> Vec<usize> {
    let limit = config.limit.map_or(usize::MAX, |limit| limit.get());
    match config.division {
        Division::Inference => (0..dataset.inference.len().min(limit)).collect(),
        Division::Calibration => spread(dataset.retrieval.len(), limit),
    }
}

/// `count` indices spread evenly over `0..len`.
pub fn spread(len: usize, count: usize) -> Vec<usize> {
    let count = count.min(len);
    (0..count).map(|index| index * len / count).collect()
}

#[cfg(test)]
mod tests {
    use super::spread;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn spread_is_increasing_and_within(len in 0_usize..500, count in 0_usize..600) {
            let spread = spread(len, count);
            prop_assert_eq!(spread.len(), count.min(len));
            prop_assert!(spread.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(spread.iter().all(|&index| index < len));
        }
    }
}
