//! Figure 6: proportions of #PatchedNeuron.

use crate::report::figures::panels::Panels;
use crate::report::measures::repairs::AllRepairs;
use crate::report::tables::by_class::{ByClass, Cell};
use crate::table::{Format, Table};

pub(crate) const NAME: &str = "figure6";

/// Neurons an edit may have; the last stands for all above the paper's quota.
const COUNTS: [&str; 11] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", ">10"];

/// Of the edits that solved their error, the share that patched so many neurons.
pub(crate) fn build(repairs: &AllRepairs<'_>) -> Table {
    let edits = || repairs.all.iter().filter(|repair| repair.solved);
    let above = edits().any(|repair| repair.neurons.len() >= COUNTS.len());
    let by_class = ByClass {
        name: NAME,
        title: "Figure 6: Comparison of proportions of #PatchedNeuron.",
        counted: "Edits",
        classes: if above { &COUNTS } else { &COUNTS[..COUNTS.len() - 1] },
        cell: Cell::Share,
        format: Format::Percent,
        note: "shares of the edits that solved their error; skipped errors have none",
    };
    let observed = edits().map(|repair| repair.observed(repair.neurons.len() - 1, 1.0));
    by_class.table(repairs, observed)
}

/// The figure of `table`.
pub(crate) fn picture(table: &Table) -> Panels {
    Panels::of(
        table,
        "Proportions of #PatchedNeuron among edits",
        "neurons patched by an edit; n edits",
        "no edit",
    )
}
