//! Table III: effects of model editing on the code generation tasks.

use super::bootstrap::{Clusters, Sums, ratio};
use super::frame::{Order, lookup};
use super::scores::{BLEU_COUNTS, MEANS};
use super::table::{Better, Column, Format, Group, Interval, Row, Table};
use crate::dataset::DatasetName;
use crate::metric::BleuCounts;
use anyhow::Result;
use polars::prelude::*;
use std::array;

const METRICS: [&str; 5] = ["EM", "BM", "LM", "BLEU", "ROUGE"];

/// Token metrics and ROUGE-L are means over data, BLEU is over the corpus. `scores` is the frame of
/// [`scores`](super::scores::scores).
pub(super) fn build(scores: &DataFrame, order: &Order) -> Result<Table> {
    let scores = scores.clone().lazy();
    let summed = [&["data", "tokens"][..], &BLEU_COUNTS].concat();
    let sums = summed.iter().map(|name| col(*name).sum());
    let means = MEANS.iter().map(|metric| col(*metric).mean());
    let groups = scores
        .clone()
        .group_by([col("dataset"), col("method")])
        .agg(sums.chain(means).collect::<Vec<Expr>>())
        .collect()?;
    let sizes = lookup(&groups, &["data", "tokens"])?;
    let means = lookup(&groups, &MEANS)?;
    let counts = lookup(&groups, &BLEU_COUNTS)?;
    let intervals = order
        .datasets
        .iter()
        .map(|dataset| intervals(&scores, dataset.label(), &order.methods))
        .collect::<Result<Vec<Intervals>>>()?;

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
        let label = if index == 0 { method.clone() } else { format!("+ {method}") };
        let remark =
            unfinished(method).then(|| format!("unfinished: {} of {all} data", count(method)));
        let intervals = intervals.iter().flat_map(|of| of.scores[index]).collect();
        let data = order.datasets.iter().map(|dataset| size(dataset, method)[0] as f64);
        let counts = data.flat_map(|data| [Some(data); METRICS.len()]).collect();
        rows.push(Row { intervals, counts, remark, ..Row::new(label, cells(method)) });
    }
    let gains: Vec<Row> = order
        .methods
        .iter()
        .zip(&rows)
        .enumerate()
        .skip(1)
        .filter(|(_, (method, _))| !unfinished(method)) // other data than the base row's
        .map(|(index, (method, row))| {
            let pairs = row.cells.iter().zip(&rows[0].cells);
            let gain = pairs.map(|(after, before)| Some((*after)? - (*before)?));
            let label = format!("Δ {method}");
            let intervals = intervals.iter().flat_map(|of| of.gains[index]).collect();
            let row = Row::new(label, gain.collect());
            Row { intervals, format: Some(Format::Percent), competes: false, ..row }
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

/// Of one data set: by method, an interval a metric.
struct Intervals {
    scores: Vec<[Option<Interval>; METRICS.len()]>,
    /// Of the gains over the first method.
    gains: Vec<[Option<Interval>; METRICS.len()]>,
}

fn intervals(scores: &LazyFrame, dataset: &str, methods: &[String]) -> Result<Intervals> {
    let columns = [&["data"][..], &MEANS, &BLEU_COUNTS].concat();
    let own = scores
        .clone()
        .filter(col("dataset").eq(lit(dataset)))
        .with_columns([lit("").alias("stratum"), col("datum").alias("cluster")]);
    let found = Clusters::of(own, methods, &columns)?.intervals(|sums| {
        let scores = (0..methods.len()).map(|method| metrics(sums, method));
        let scores: Vec<[Option<f64>; METRICS.len()]> = scores.collect();
        let gain = |own: &[Option<f64>; METRICS.len()]| -> [Option<f64>; METRICS.len()] {
            array::from_fn(|metric| Some(own[metric]? - scores[0][metric]?))
        };
        let gains: Vec<[Option<f64>; METRICS.len()]> = scores.iter().map(gain).collect();
        scores.into_iter().chain(gains).flatten().collect()
    });
    let mut by_method: Vec<[Option<Interval>; METRICS.len()]> = found.as_chunks().0.to_vec();
    let gains = by_method.split_off(methods.len());
    Ok(Intervals { scores: by_method, gains })
}

/// The metrics of a method on summed data.
fn metrics(sums: &Sums<'_>, method: usize) -> [Option<f64>; METRICS.len()] {
    let Some([data, em, bm, lm, rouge, counts @ ..]) = sums.of(method).next() else {
        return [None; METRICS.len()];
    };
    let bleu = counts.try_into().ok().filter(|_| *data > 0.0).map(|of| BleuCounts(of).score());
    let [em, bm, lm, rouge] = [em, bm, lm, rouge].map(|sum| ratio(*sum, *data));
    [em, bm, lm, bleu, rouge]
}
