//! Table I: statistics of the data sets.

use crate::config::Division;
use crate::data::dataset::DatasetName;
use crate::records::Record;
use crate::report::measures::Material;
use crate::table::{Better, Column, Format, Group, Row, Table};
use std::collections::BTreeMap;

/// Pairs of each division, those of the inference division as far as they were prompted, and errors of
/// the unedited model in them. `None` where pairs of the retrieval division were prompted.
pub(crate) fn build(material: &Material<'_>) -> Option<Table> {
    let Material { records, manifest, sources, .. } = material;
    sources.scores.as_ref()?;
    let order = &sources.order;
    let datasets = &order.datasets;
    let division = |name: &DatasetName| manifest.identity.division(name.as_str());
    if datasets.iter().any(|name| division(name) == Some(Division::Calibration)) {
        return None;
    }
    // Data prompted, and their errors.
    let mut seen: BTreeMap<DatasetName, (usize, usize)> = BTreeMap::new();
    for record in *records {
        if let Record::Datum(datum) = record {
            let (data, errors) = seen.entry(datum.dataset).or_default();
            *data += 1;
            *errors += datum.errors().count();
        }
    }
    let count = |of: fn(&(usize, usize)) -> usize| -> Vec<Option<f64>> {
        datasets.iter().map(|name| seen.get(name).map(|seen| of(seen) as f64)).collect()
    };
    let (inference, errors) = (count(|seen| seen.0), count(|seen| seen.1));
    let pairs = |name: &DatasetName| manifest.pairs.get(&name.to_string());
    let retrieval: Vec<Option<f64>> =
        datasets.iter().map(|name| pairs(name).map(|&count| count as f64)).collect();
    let total = retrieval.iter().zip(&inference).map(|(of, prompted)| Some((*of)? + (*prompted)?));
    let total: Vec<Option<f64>> = total.collect();
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
        "counted on the prompted pairs of the inference division; an LLM error is a token of their \
         outputs that the unedited model does not predict"
            .into(),
    ];
    if retrieval.contains(&None) {
        notes.push("a dash: the run was made before these pairs were counted".into());
    }
    Some(Table {
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
