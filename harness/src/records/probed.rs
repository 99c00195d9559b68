//! An edit seen on other samples of a benchmark.

use serde::{Deserialize, Serialize};

/// An edit seen after other samples of its type: one entry a sample in each list, those of the same
/// subtype (G) first, then those of the others (S), both in the order of the benchmark.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Probed {
    /// Number of probes of the same subtype.
    pub related: usize,
    /// The edit's target before it, and after.
    pub target: Change,
    /// Argmax before the edit: the token id.
    pub argmax: Vec<u32>,
    /// Change of that token, rank 1 before the edit.
    pub argmax_is: Change,
    /// The argmax after the edit: the token id.
    pub now: Vec<u32>,
    /// Change of the argmax after the edit, rank 1 after it.
    pub now_is: Change,
}

impl Probed {
    /// True if all lists have one entry per probe.
    pub fn is_whole(&self) -> bool {
        let Self { related, target, argmax, argmax_is, now, now_is } = self;
        let long = |change: &Change| {
            let Change { rank_before, rank_after, probability_before, probability_after } = change;
            let lists = [rank_before.len(), rank_after.len()];
            let others = [probability_before.len(), probability_after.len()];
            lists.into_iter().chain(others).all(|length| length == argmax.len())
        };
        [target, argmax_is, now_is].into_iter().all(long)
            && now.len() == argmax.len()
            && *related <= argmax.len()
    }
}

/// One token a sample, before an edit and after.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Rank before, from 1.
    pub rank_before: Vec<u32>,
    /// Rank after.
    pub rank_after: Vec<u32>,
    /// Probability before.
    pub probability_before: Vec<f32>,
    /// Probability after.
    pub probability_after: Vec<f32>,
}
