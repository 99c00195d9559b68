//! Config and data to the list of what will be prompted; pure.

use crate::config::{Cases, Config, DatasetConfig, Division};
use crate::data::benchmark::{Benchmark, Place};
use crate::data::dataset::{Dataset, Pair};

/// One datum that will be prompted.
#[derive(Clone, Copy, Debug)]
pub struct Planned<'a> {
    /// Index of the data set in the config.
    pub dataset: usize,
    /// Index of the pair in its division.
    pub datum: usize,
    /// Place of the datum among the planned data of its data set.
    pub place: usize,
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
        planned.extend(indices(config, dataset).into_iter().enumerate().map(|(place, datum)| {
            Planned {
                dataset: index,
                datum,
                place,
                pair: &division[datum],
                excluded: calibration.then_some(datum),
            }
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

/// The cases of `benchmark` that are patched, each as the place of its sample and the index of its
/// target; subtype by subtype. A stratified choice takes another sample for every target and subtype.
pub fn cases(benchmark: &Benchmark, which: Cases) -> Vec<(Place, usize)> {
    let mut chosen = Vec::new();
    for (index, subtype) in benchmark.subtypes.iter().enumerate() {
        let (samples, targets) = (subtype.patched, subtype.targets.len());
        for target in 0..targets {
            let stratum = (index + target * samples / targets) % samples;
            let of = match which {
                Cases::All => 0..samples,
                Cases::Stratified => stratum..stratum + 1,
            };
            chosen.extend(of.map(|sample| (Place { subtype: index, sample }, target)));
        }
    }
    chosen
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
