//! Where the time of an error goes, all data sets together.

use super::costs::{Cost, Costs};
use super::table::{Better, Column, Format, Group, Row, Table};
use crate::manifest::Manifest;

type Phase = (&'static str, fn(&Cost) -> f64);

const PHASES: [Phase; 6] = [
    ("Trace", |cost| cost.phases.trace),
    ("Locate", |cost| cost.phases.locate),
    ("Estimate", |cost| cost.phases.estimate),
    ("Plan", |cost| cost.phases.plan),
    ("Apply", |cost| cost.phases.apply),
    ("TC", |cost| cost.phases.total()),
];

/// The phases of TimeCost, and TC.
pub(super) fn build(costs: &Costs, manifest: &Manifest) -> Table {
    let first = match manifest.format {
        1 => "The first error of a run pays for what is made once",
        _ => "Each method was warmed up on a repair that did not count",
    };
    let column =
        |&(title, _): &Phase| Column { title, better: Better::Neither, format: Format::Duration };
    let columns = PHASES.iter().map(column).collect();
    let row = |method: &String| {
        let cost = costs.over_all(method);
        let cells = PHASES.iter().map(|(_, of)| cost.as_ref().map(of)).collect();
        Row::new(method, cells)
    };
    Table {
        name: "phases",
        title: "Phases of TimeCost, mean over all LLM errors.".into(),
        stub: "Approach",
        groups: vec![Group { title: String::new(), columns }],
        rows: costs.methods.iter().map(row).collect(),
        reference: None,
        notes: vec![format!(
            "Trace: the sequence is run once a datum, and its first error bears it. Plan: candidates \
             simulated. Apply: edits committed. {first}"
        )],
        deviations: Vec::new(),
    }
}
