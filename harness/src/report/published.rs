//! The paper's own numbers, from `configs/published.toml`.

use crate::dataset::DatasetName;
use serde::Deserialize;
use std::sync::LazyLock;

/// One approach on one data set in Tables IV and V.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cell {
    approach: String,
    dataset: DatasetName,
    /// Average NeuronCost.
    pub(super) nc: f64,
    /// Average TimeCost, seconds.
    pub(super) tc: f64,
    /// Average number of patched neurons.
    pub(super) patched: f64,
    /// Share of errors skipped.
    pub(super) skip: f64,
}

impl Cell {
    /// Whether it is that of `approach` on the data set labelled `dataset`.
    pub(super) fn is(&self, dataset: &str, approach: &str) -> bool {
        self.dataset.label() == dataset && self.approach == approach
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Published {
    cost: Vec<Cell>,
}

/// Every cell of Tables IV and V.
pub(super) fn published() -> &'static [Cell] {
    static PUBLISHED: LazyLock<Published> = LazyLock::new(|| {
        toml::from_str(include_str!("../../../configs/published.toml"))
            .expect("the committed file is well formed, or tests fail")
    });
    &PUBLISHED.cost
}

#[cfg(test)]
mod tests {
    use super::published;

    /// NC = skip·11 + (1−skip)·patched, to the rounding of its parts, in all nine cells.
    #[test]
    fn the_papers_identity_holds_in_what_was_typed() {
        assert_eq!(published().len(), 9);
        for cell in published() {
            let nc = cell.skip * 11.0 + (1.0 - cell.skip) * cell.patched;
            let rounding = 0.0005 * (11.0 - cell.patched) + 0.0005 * (1.0 - cell.skip) + 0.0005;
            assert!((nc - cell.nc).abs() <= rounding, "{cell:?}: {nc}");
        }
    }
}
