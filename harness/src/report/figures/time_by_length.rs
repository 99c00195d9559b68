//! Figure of the time per error by the length of the prompt.

use crate::report::figures::panels::Panels;
use crate::report::measures::repairs::AllRepairs;
use crate::report::tables::by_class::{ByClass, Cell};
use crate::table::{Format, Table};

/// Lengths up to these are a class each; all above are one more.
const UP_TO: [usize; 7] = [48, 64, 96, 128, 192, 256, 512];
const CLASSES: [&str; 8] = ["≤48", "≤64", "≤96", "≤128", "≤192", "≤256", "≤512", ">512"];

pub(crate) fn build(repairs: &AllRepairs<'_>) -> Table {
    let by_class = ByClass {
        name: "time_by_length",
        title: "TimeCost by the tokens before the error.",
        counted: "Errors",
        classes: &CLASSES,
        cell: Cell::Mean,
        format: Format::Seconds,
        note: "mean seconds per error; the trace of a datum is counted for its first error",
    };
    let observed = repairs.all.iter().map(|repair| {
        let class = UP_TO.iter().filter(|length| repair.tokens > **length).count();
        repair.observed(class, repair.seconds.total())
    });
    by_class.table(repairs, observed)
}

pub(crate) fn picture(table: &Table) -> Panels {
    Panels::of(
        table,
        "TimeCost (seconds) by the tokens before the error",
        "tokens before the error; n errors; each row has a scale of its own",
        "no error",
    )
}
