//! What the edits cost, a row a method: the measures of RQ2 (paper, III-E) side by side.

use super::frame::{Order, lookup, trials};
use super::table::{self, Better, Format, Group, Row, Table};
use crate::record::Record;
use anyhow::{Result, ensure};
use polars::prelude::*;
use std::collections::BTreeMap;

/// `None` where no method was run.
///
/// Data sets stand side by side and, where there are several, all their errors together.
///
/// A skipped error counts as one neuron more than the method's quota (paper, III-E: 11); `quotas`
/// holds the quota by label.
pub(super) fn build(records: &[Record], quotas: &BTreeMap<String, f64>) -> Result<Option<Table>> {
    let order = Order::of(records);
    let frame = trials(records)?;
    if frame.height() == 0 {
        return Ok(None);
    }
    let methods = frame.column("method")?.str()?;
    let skipped: Vec<f64> = methods
        .iter()
        .map(|method| 1.0 + quotas.get(method.unwrap_or_default()).unwrap_or(&10.0))
        .collect();
    let frame = frame.hstack(&[Column::new("skip cost".into(), skipped)])?;
    let cost = when(col("patched").is_null()).then(col("skip cost")).otherwise(col("patched"));
    let names = ["errors", "skipped", "patched", "nc", "seconds", "kept", "skip cost"];
    let mut groups: Vec<&str> = order.datasets.iter().map(|dataset| dataset.label()).collect();
    let mut frame = frame;
    if groups.len() > 1 {
        groups.push("All");
        let together = frame.clone().lazy().with_column(lit("All").alias("dataset")).collect()?;
        frame.vstack_mut(&together)?;
    }
    let costs = frame
        .lazy()
        .with_column(cost.alias("nc"))
        .group_by([col("dataset"), col("method")])
        .agg([
            len().alias("errors"),
            col("skipped").mean(),
            col("patched").mean(),
            col("nc").mean(),
            col("seconds").mean(),
            col("kept").mean(),
            col("skip cost").first(),
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
    .map(|(title, better, format)| table::Column { title, better, format });
    let columns = if probed { &columns[..] } else { &columns[..5] };

    let rows = order
        .methods
        .iter()
        .filter(|method| costs.keys().any(|(_, known)| known == *method))
        .map(|method| {
            let of_group = |group: &&str| {
                let found = costs.get(&(group.to_string(), method.clone()));
                (0..columns.len())
                    .map(|column| found.and_then(|values| values[column]))
                    .collect::<Vec<_>>()
            };
            let cells = groups.iter().flat_map(of_group).collect();
            Row { label: method.clone(), cells, format: None }
        })
        .collect();
    let mut notes = vec![
        "NC = skip·(quota+1) + (1−skip)·#Patched, checked; TC is wall time an error, tracing and \
         all steps, on the machine that made the run"
            .into(),
    ];
    if probed {
        notes.push(
            "Kept: share of next-token predictions after prompts of other data that an edit that \
             solved its error leaves as they were"
                .into(),
        );
    }
    let group = |title: &&str| Group { title: title.to_string(), columns: columns.to_vec() };
    Ok(Some(Table {
        name: "costs",
        title: "Costs of editing executions (the measures of Tables IV and V).".into(),
        stub: "Approach",
        groups: groups.iter().map(group).collect(),
        rows,
        notes,
        deviations: Vec::new(),
    }))
}

/// The identity that ties NeuronCost to its parts.
fn check_identity(values: &[Option<f64>]) -> Result<()> {
    let (skip, nc) = (values[1].unwrap_or(0.0), values[3].unwrap_or(0.0));
    let skip_cost = values[6].unwrap_or(0.0);
    let expected = skip * skip_cost + (1.0 - skip) * values[2].unwrap_or(0.0);
    ensure!(
        (nc - expected).abs() < 1e-9,
        "NeuronCost {nc} is not skip·{skip_cost} + (1 - skip)·patched = {expected}: the records disagree"
    );
    Ok(())
}
