//! Costs beside the paper's. Seconds of two machines cannot be compared, so TimeCost stands as a
//! multiple of MENT's.

use super::costs::Costs;
use super::published::published;
use super::table::{Better, Column, Format, Group, Row, Table};
use crate::manifest::Manifest;

/// The approach whose TimeCost is 1.
const BASE: &str = "MENT";

/// `None` where no approach of the paper's Tables IV and V was run.
pub(super) fn build(costs: &Costs, manifest: &Manifest) -> Option<Table> {
    let paper =
        |dataset: &str, approach: &str| published().iter().find(|cell| cell.is(dataset, approach));
    let cells = |dataset: &str, approach: &String| -> [Option<f64>; 8] {
        let (ours, theirs) = (costs.get(dataset, approach), paper(dataset, approach));
        let seconds = |approach: &str| Some(costs.get(dataset, approach)?.phases.total());
        [
            ours.map(|cost| cost.nc),
            theirs.map(|cell| cell.nc),
            ours.and_then(|cost| cost.patched),
            theirs.map(|cell| cell.patched),
            ours.map(|cost| cost.skipped),
            theirs.map(|cell| cell.skip),
            seconds(approach)
                .zip(seconds(BASE).filter(|_| manifest.keep_time(approach, BASE)))
                .map(|(own, base)| own / base),
            theirs.zip(paper(dataset, BASE)).map(|(own, base)| own.tc / base.tc),
        ]
    };
    let column = |title, format| Column { title, better: Better::Neither, format };
    let columns = vec![
        column("NC", Format::Three),
        column("NC paper", Format::Three),
        column("#Patched", Format::Three),
        column("#Patched paper", Format::Three),
        column("Skip", Format::Percent),
        column("Skip paper", Format::Percent),
        column("TC/MENT", Format::Times),
        column("TC/MENT paper", Format::Times),
    ];
    let datasets: Vec<&str> =
        costs.datasets.iter().copied().filter(|d| *d != super::costs::ALL).collect();
    let known = |method: &&String| datasets.iter().any(|dataset| paper(dataset, method).is_some());
    let row = |method: &String| {
        let cells = datasets.iter().flat_map(|dataset| cells(dataset, method)).collect();
        Row::new(method, cells)
    };
    let rows: Vec<Row> = costs.methods.iter().filter(known).map(row).collect();
    let group = |title: &&str| Group { title: (*title).into(), columns: columns.clone() };
    (!rows.is_empty()).then(|| Table {
        name: "beside_paper",
        title: "Costs beside the paper's (Tables IV and V).".into(),
        stub: "Approach",
        groups: datasets.iter().map(group).collect(),
        rows,
        reference: None,
        notes: vec![
            "other model and data than the paper's, where the departures say so; TC/MENT: TimeCost as \
             a multiple of MENT's where both were measured on one machine with the same threads, the \
             paper's from its rounded seconds"
                .into(),
        ],
        deviations: Vec::new(),
    })
}
