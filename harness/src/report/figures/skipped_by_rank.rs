//! Figure of the share of skipped errors by the rank of the target.

use crate::report::figures::panels::Panels;
use crate::report::measures::repairs::AllRepairs;
use crate::report::tables::by_class::{ByClass, Cell};
use crate::table::{Format, Table};

/// Ranks up to these are a class each; all above are one more.
const UP_TO: [u32; 5] = [2, 3, 4, 10, 100];
const CLASSES: [&str; 6] = ["2", "3", "4", "5–10", "11–100", ">100"];

pub(crate) fn build(repairs: &AllRepairs<'_>) -> Table {
    let by_class = ByClass {
        name: "skipped_by_rank",
        title: "SkipAction rate by the rank of the target before the edit.",
        counted: "Errors",
        classes: &CLASSES,
        cell: Cell::Mean,
        format: Format::Percent,
        note: "share of the errors with the target at that rank that were skipped",
    };
    let observed = repairs.all.iter().map(|repair| {
        let class = UP_TO.iter().filter(|rank| repair.rank > **rank).count();
        repair.observed(class, f64::from(!repair.solved))
    });
    by_class.table(repairs, observed)
}

pub(crate) fn picture(table: &Table) -> Panels {
    Panels::of(
        table,
        "SkipAction rate by the rank of the target before the edit",
        "rank of the target before; n errors",
        "no error",
    )
}
