//! Table III: effects of model editing on the code generation tasks.

use super::frame::{Order, lookup, predictions, scores};
use super::table::{Better, Column, Format, Group, Row, Table};
use crate::metric::bleu;
use crate::record::Record;
use anyhow::Result;
use polars::prelude::*;

const METRICS: [&str; 5] = ["EM", "BM", "LM", "BLEU", "ROUGE"];

/// Token metrics and ROUGE-L are means over data, BLEU is over the corpus.
pub(super) fn build(records: &[Record]) -> Result<Table> {
    let order = Order::of(records);
    let predictions = predictions(records);
    let means = scores(&predictions)?
        .lazy()
        .group_by([col("dataset"), col("method")])
        .agg(["EM", "BM", "LM", "ROUGE"].map(|metric| col(metric).mean()))
        .collect()?;
    let means = lookup(&means, &["EM", "BM", "LM", "ROUGE"])?;

    let cells = |method: &String| -> Vec<Option<f64>> {
        order
            .datasets
            .iter()
            .flat_map(|dataset| {
                let key = (dataset.label().to_string(), method.clone());
                let Some(mean) = means.get(&key) else { return [None; METRICS.len()] };
                let own: Vec<(&str, &str)> = predictions
                    .iter()
                    .map(|scored| (scored.datum, scored.prediction))
                    .filter(|(_, p)| p.dataset == *dataset && p.method == *method)
                    .map(|(d, p)| (d.gold_text.as_str(), p.predicted_text.as_str()))
                    .collect();
                [mean[0], mean[1], mean[2], Some(bleu(&own)), mean[3]]
            })
            .collect()
    };
    let count = |method: &String| {
        predictions.iter().filter(|scored| scored.prediction.method == *method).count()
    };
    let all = order.methods.first().map_or(0, count);
    let unfinished = |method: &String| count(method) < all;
    let mut rows: Vec<Row> = Vec::new();
    for (index, method) in order.methods.iter().enumerate() {
        let label = match index {
            0 => method.clone(),
            _ if unfinished(method) => {
                format!("+ {method} (unfinished: {} of {all} data)", count(method))
            }
            _ => format!("+ {method}"),
        };
        rows.push(Row { label, cells: cells(method), format: None });
    }
    let gains: Vec<Row> = order
        .methods
        .iter()
        .zip(&rows)
        .skip(1)
        .filter(|(method, _)| !unfinished(method)) // other data than the base row's
        .map(|(method, row)| {
            let pairs = row.cells.iter().zip(&rows[0].cells);
            let gain = pairs.map(|(after, before)| Some((*after)? - (*before)?));
            let label = format!("Δ {method}");
            Row { label, cells: gain.collect(), format: Some(Format::Percent) }
        })
        .collect();
    rows.extend(gains);

    let column = |title| Column { title, better: Better::Higher, format: Format::Three };
    Ok(Table {
        name: "table3",
        title: "Table III: Comparison of model editing effects on code generation tasks.".into(),
        stub: "Approach",
        groups: order
            .datasets
            .iter()
            .map(|dataset| Group {
                title: dataset.label().into(),
                columns: METRICS.map(column).to_vec(),
            })
            .collect(),
        rows,
        deviations: Vec::new(),
        notes: vec![format!(
            "{}; Δ in percentage points",
            order
                .datasets
                .iter()
                .map(|dataset| {
                    let own = predictions
                        .iter()
                        .map(|s| (s.datum, s.prediction))
                        .filter(|(_, p)| p.dataset == *dataset && p.method == order.methods[0]);
                    let (data, tokens) =
                        own.fold((0, 0), |(n, tokens), (d, _)| (n + 1, tokens + d.gold.len()));
                    format!("{}: {data} data of {tokens} tokens", dataset.label())
                })
                .collect::<Vec<_>>()
                .join(", ")
        )],
    })
}
