//! Figure of the gain of a patch by the neuron's place in the attribution order.

use crate::edit::Patched;
use crate::report::figures::panels::Panels;
use crate::report::measures::repairs::AllRepairs;
use crate::report::tables::by_class::{ByClass, Cell};
use crate::table::{Format, Table};

const CLASSES: [&str; 11] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", ">10"];

pub(crate) fn build(repairs: &AllRepairs<'_>) -> Table {
    let by_class = ByClass {
        name: "gain_by_place",
        title: "Gain of a patch by the place of its neuron in the order of attribution.",
        counted: "Patches",
        classes: &CLASSES,
        cell: Cell::Mean,
        format: Format::Three,
        note: "mean change of ln(P target / P argmax), the second part of Equation 3, over all \
         patches, also those of errors that were skipped in the end. Where patches are simulated, \
         only the best of each round counts",
    };
    let observed = repairs.all.iter().flat_map(|repair| {
        let gain = |patched: &Patched| repair.observed(patched.candidate, patched.log_ratio_gain);
        repair.neurons.iter().map(gain)
    });
    by_class.table(repairs, observed)
}

pub(crate) fn picture(table: &Table) -> Panels {
    Panels::of(
        table,
        "Gain of a patch, ln(P target / P argmax), by the place of its neuron in the order of attribution",
        "place of the neuron; n patches; each row has a scale of its own",
        "no patch",
    )
}
