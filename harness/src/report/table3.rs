//! Table III: effects of model editing on the code generation tasks.

use super::frame::{Order, lookup};
use super::scores::{BLEU_COUNTS, MEANS, scores};
use super::table::{Better, Column, Format, Group, Row, Table};
use crate::dataset::DatasetName;
use crate::metric::BleuCounts;
use crate::record::Record;
use anyhow::Result;
use polars::prelude::*;

const METRICS: [&str; 5] = ["EM", "BM", "LM", "BLEU", "ROUGE"];

/// Token metrics and ROUGE-L are means over data, BLEU is over the corpus.
pub(super) fn build(records: &[Record], order: &Order) -> Result<Table> {
    let groups = scores(records)?
        .lazy()
        .group_by([col("dataset"), col("method")])
        .agg(
            [
                vec![len().alias("data"), col("tokens").sum()],
                MEANS.map(|metric| col(metric).mean()).to_vec(),
                BLEU_COUNTS.map(|count| col(count).sum()).to_vec(),
            ]
            .concat(),
        )
        .collect()?;
    let sizes = lookup(&groups, &["data", "tokens"])?;
    let means = lookup(&groups, &MEANS)?;
    let counts = lookup(&groups, &BLEU_COUNTS)?;

    let key = |dataset: &DatasetName, method: &String| (dataset.label().into(), method.clone());
    let cells = |method: &String| -> Vec<Option<f64>> {
        order
            .datasets
            .iter()
            .map(|dataset| key(dataset, method))
            .flat_map(|key| {
                let Some(counts) = counts.get(&key) else { return [None; METRICS.len()] };
                let counts = std::array::from_fn(|index| counts[index].unwrap_or_default());
                let mean = &means[&key];
                [mean[0], mean[1], mean[2], Some(BleuCounts(counts).score()), mean[3]]
            })
            .collect()
    };
    // Data and tokens.
    let size = |dataset: &DatasetName, method: &String| {
        let found = sizes.get(&key(dataset, method));
        found.map_or([0; 2], |size| [0, 1].map(|index| size[index].unwrap_or_default() as usize))
    };
    let count = |method: &String| -> usize {
        order.datasets.iter().map(|dataset| size(dataset, method)[0]).sum()
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
        rows.push(Row::new(label, cells(method)));
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
            let cells = gain.collect();
            Row { label, cells, format: Some(Format::Percent), competes: false }
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
        reference: None,
        notes: vec![format!(
            "{}; Δ in percentage points",
            order
                .datasets
                .iter()
                .map(|dataset| {
                    let [data, tokens] = size(dataset, &order.methods[0]);
                    format!("{}: {data} data of {tokens} tokens", dataset.label())
                })
                .collect::<Vec<_>>()
                .join(", ")
        )],
    })
}
