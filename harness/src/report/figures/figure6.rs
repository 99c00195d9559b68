//! Figure 6: proportions of #PatchedNeuron.

use crate::records::distinct;
use crate::report::figures::panels::Panels;
use crate::report::measures::repairs::{AllRepairs, ReportedRepair};
use crate::report::tables::by_class::{ByClass, Cell};
use crate::table::{Format, Table};

pub(crate) const NAME: &str = "figure6";
pub(crate) const NEURONS: &str = "figure6_neurons";

/// Numbers of patches of an edit; the last class holds all above the paper's quota.
const COUNTS: [&str; 11] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", ">10"];

/// Share of the edits that solved their error, by number of patches.
pub(crate) fn build(repairs: &AllRepairs<'_>) -> Table {
    let note = if repeats(repairs) {
        "shares of the edits that solved their error, by patches; figure6_neurons counts a neuron patched \
         several times once"
    } else {
        "shares of the edits that solved their error; no neuron was patched twice for one error"
    };
    let title = "Figure 6: Comparison of proportions of #PatchedNeuron.";
    counted(repairs, (NAME, title, note), |repair| repair.neurons.len())
}

/// The same by distinct neurons; `None` if no edit patches a neuron twice.
pub(crate) fn distinct_neurons(repairs: &AllRepairs<'_>) -> Option<Table> {
    let title = "Figure 6 with distinct neurons counted.";
    let note = "shares of the edits that solved their error; a neuron patched several times for one error \
                counts once";
    repeats(repairs)
        .then(|| counted(repairs, (NEURONS, title, note), |repair| distinct(repair.neurons)))
}

/// True if some edit patches a neuron more than once.
fn repeats(repairs: &AllRepairs<'_>) -> bool {
    let mut edits = repairs.all.iter().filter(|repair| repair.solved);
    edits.any(|repair| distinct(repair.neurons) < repair.neurons.len())
}

fn counted(
    repairs: &AllRepairs<'_>,
    (name, title, note): (&'static str, &'static str, &'static str),
    count: impl Fn(&ReportedRepair<'_>) -> usize,
) -> Table {
    let edits = || repairs.all.iter().filter(|repair| repair.solved && !repair.neurons.is_empty());
    let above = edits().any(|repair| count(repair) >= COUNTS.len());
    let by_class = ByClass {
        name,
        title,
        counted: "Edits",
        classes: if above { &COUNTS } else { &COUNTS[..COUNTS.len() - 1] },
        cell: Cell::Share,
        format: Format::Percent,
        note,
    };
    let observed = edits().map(|repair| repair.observed(count(repair) - 1, 1.0));
    by_class.table(repairs, observed)
}

/// The figure of `table`, by patches or by distinct neurons.
pub(crate) fn picture(table: &Table) -> Panels {
    let (title, across) = if table.name == NEURONS {
        (
            "Proportions of the number of distinct neurons among edits",
            "neurons of an edit, each counted once; n edits",
        )
    } else {
        ("Proportions of #PatchedNeuron among edits", "patches of an edit; n edits")
    };
    Panels::of(table, title, across, "no edit")
}
