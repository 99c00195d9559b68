//! What the edits cost, a row a method: the measures of RQ2 (paper, III-E) side by side.

use super::frame::{Order, lookup, trials};
use super::table::{Better, Column, Format, Group, Row, Table};
use crate::record::Record;
use anyhow::{Result, ensure};
use polars::prelude::*;

/// Neurons that a skipped error counts as: one more than the quota of 10 (paper, III-E).
const SKIPPED: f64 = 11.0;

/// `None` where no method was run.
pub(super) fn build(records: &[Record]) -> Result<Option<Table>> {
    let order = Order::of(records);
    let frame = trials(records)?;
    if frame.height() == 0 {
        return Ok(None);
    }
    let cost = when(col("skipped").eq(lit(1.0))).then(lit(SKIPPED)).otherwise(col("patched"));
    let names = ["errors", "skip", "patched", "nc", "seconds", "kept"];
    let costs = frame
        .lazy()
        .with_column(cost.alias("nc"))
        .group_by([col("dataset"), col("method")])
        .agg([
            len().alias("errors"),
            col("skipped").mean().alias("skip"),
            col("patched").mean(),
            col("nc").mean(),
            col("seconds").mean(),
            col("kept").mean(),
        ])
        .collect()?;
    let costs = lookup(&costs, &names)?;
    for ((dataset, method), values) in &costs {
        check_identity(values).map_err(|error| error.context(format!("{method} on {dataset}")))?;
    }
    let probed = costs.values().any(|values| values[5].is_some());
    let columns = [
        ("Errors", Better::Neither, Format::Count),
        ("Skip", Better::Lower, Format::Percent),
        ("#Patched", Better::Lower, Format::Three),
        ("NC", Better::Lower, Format::Three),
        ("TC", Better::Lower, Format::Seconds),
        ("Kept", Better::Higher, Format::Percent),
    ]
    .map(|(title, better, format)| Column { title, better, format });
    let columns = if probed { &columns[..] } else { &columns[..5] };

    let rows = order
        .methods
        .iter()
        .filter(|method| costs.keys().any(|(_, known)| known == *method))
        .map(|method| {
            let of_dataset = |dataset: &crate::dataset::DatasetName| {
                let found = costs.get(&(dataset.label().to_string(), method.clone()));
                (0..columns.len())
                    .map(|column| found.and_then(|values| values[column]))
                    .collect::<Vec<_>>()
            };
            let cells = order.datasets.iter().flat_map(of_dataset).collect();
            Row { label: method.clone(), cells, format: None }
        })
        .collect();
    let mut notes = vec![
        "NC = skip·11 + (1−skip)·#Patched, checked; TC is wall time an error on this machine"
            .into(),
    ];
    if probed {
        notes.push(
            "Kept: share of next-token predictions after prompts of other data that an edit that \
             solved its error leaves as they were"
                .into(),
        );
    }
    let group = |dataset: &crate::dataset::DatasetName| Group {
        title: dataset.label().into(),
        columns: columns.to_vec(),
    };
    Ok(Some(Table {
        name: "costs",
        title: "Costs of editing executions (the measures of Tables IV and V).".into(),
        stub: "Approach",
        groups: order.datasets.iter().map(group).collect(),
        rows,
        notes,
        deviations: Vec::new(),
    }))
}

/// The identity that ties NeuronCost to its parts.
fn check_identity(values: &[Option<f64>]) -> Result<()> {
    let (skip, nc) = (values[1].unwrap_or(0.0), values[3].unwrap_or(0.0));
    let expected = skip * SKIPPED + (1.0 - skip) * values[2].unwrap_or(0.0);
    ensure!(
        (nc - expected).abs() < 1e-9,
        "NeuronCost {nc} is not skip·11 + (1 - skip)·patched = {expected}: the records disagree"
    );
    Ok(())
}
