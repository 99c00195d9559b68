//! Table I: statistics of the data sets.

use super::costs::Costs;
use super::frame::Order;
use super::table::{Better, Column, Format, Group, Row, Table};
use crate::dataset::DatasetName;
use anyhow::Result;
use polars::prelude::*;
use std::collections::BTreeMap;

/// Pairs of each division, those of the inference division as far as they were prompted, and errors of
/// the unedited model in them. `scores` is the frame of [`scores`](super::scores::scores); `pairs` are
/// those that demonstrations are retrieved from, by name of the data set.
pub(super) fn build(
    scores: &DataFrame,
    order: &Order,
    costs: Option<&Costs>,
    pairs: &BTreeMap<String, usize>,
) -> Result<Table> {
    let unedited = scores.clone().lazy().filter(col("method").eq(lit(order.methods[0].as_str())));
    let prompted = unedited.select([col("dataset")]).collect()?;
    let prompted = prompted.column("dataset")?.str()?;
    let prompted = |dataset: &DatasetName| {
        prompted.iter().filter(|known| *known == Some(dataset.label())).count() as f64
    };
    let datasets = &order.datasets;
    let retrieval: Vec<Option<f64>> = datasets
        .iter()
        .map(|dataset| pairs.get(&dataset.to_string()).map(|&count| count as f64))
        .collect();
    let inference: Vec<Option<f64>> = datasets.iter().map(|name| Some(prompted(name))).collect();
    let total = retrieval.iter().zip(&inference).map(|(of, prompted)| Some((*of)? + (*prompted)?));
    let total: Vec<Option<f64>> = total.collect();
    let errors: Vec<Option<f64>> =
        datasets.iter().map(|dataset| costs?.errors(dataset.label())).collect();
    let none = vec![None; datasets.len()];
    let row = |label: &str, pairs: Vec<Option<f64>>, errors: &[Option<f64>]| Row {
        competes: false,
        ..Row::new(label, [&pairs, errors].concat())
    };
    let group = |title: &str| Group {
        title: title.into(),
        columns: datasets
            .iter()
            .map(|dataset| Column {
                title: dataset.label(),
                better: Better::Neither,
                format: Format::Count,
            })
            .collect(),
    };
    let mut notes = vec![
        "of the inference division, the pairs that were prompted; an LLM error is a token of their \
         outputs that the unedited model does not predict"
            .into(),
    ];
    if retrieval.contains(&None) {
        notes.push("a dash: this run was made before these pairs were counted".into());
    }
    Ok(Table {
        name: "table1",
        title: "Table I: Statistics of code generation datasets.".into(),
        stub: "Division",
        groups: vec![group("#Data-Pair"), group("#LLM-Error")],
        rows: vec![
            row("Retrieval", retrieval, &none),
            row("Inference", inference, &errors),
            row("Total", total, &errors),
        ],
        reference: None,
        notes,
        deviations: Vec::new(),
    })
}
