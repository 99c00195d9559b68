//! Records as polars frames, and lookups in aggregated ones.

use crate::dataset::DatasetName;
use crate::metric::{Prediction, broad_match, exact_match, longest_match, rouge_l};
use crate::record::{DatumRecord, Outcome, PredictionRecord, Record, TrialRecord};
use anyhow::Result;
use polars::prelude::*;
use rayon::prelude::*;
use std::collections::HashMap;

/// Data sets and methods as they first appear in the records: the order of the tables.
pub(super) struct Order {
    pub(super) datasets: Vec<DatasetName>,
    pub(super) methods: Vec<String>,
}

impl Order {
    /// Data sets in the paper's order; methods as recorded, the unedited model first.
    pub(super) fn of(records: &[Record]) -> Self {
        let mut order = Self { datasets: Vec::new(), methods: Vec::new() };
        for record in records {
            let Record::Prediction(prediction) = record else { continue };
            if !order.datasets.contains(&prediction.dataset) {
                order.datasets.push(prediction.dataset);
            }
            if !order.methods.contains(&prediction.method) {
                order.methods.push(prediction.method.clone());
            }
        }
        order.datasets.sort();
        order
    }
}

/// Every prediction with the gold it is measured against.
pub(super) fn predictions(
    records: &[Record],
) -> Vec<(&PredictionRecord, Prediction)> {
    let data: HashMap<(DatasetName, usize), &DatumRecord> = records
        .iter()
        .filter_map(|record| match record {
            Record::Datum(datum) => Some(((datum.dataset, datum.datum), datum)),
            _ => None,
        })
        .collect();
    records
        .iter()
        .filter_map(|record| match record {
            Record::Prediction(prediction) => Some(prediction),
            _ => None,
        })
        .filter_map(|record| {
            let datum = data.get(&(record.dataset, record.datum))?;
            let prediction = Prediction {
                gold: datum.gold.clone(),
                predicted: record.predicted.clone(),
                gold_text: datum.gold_text.clone(),
                predicted_text: record.predicted_text.clone(),
            };
            Some((record, prediction))
        })
        .collect()
}

/// One row a prediction: dataset, method, em, bm, lm, rouge.
pub(super) fn scores(predictions: &[(&PredictionRecord, Prediction)]) -> Result<DataFrame> {
    let metric = |name: &str, of: fn(&Prediction) -> f64| {
        let values: Vec<f64> = predictions.par_iter().map(|(_, p)| of(p)).collect();
        Column::new(name.into(), values)
    };
    let dataset: Vec<&str> = predictions.iter().map(|(r, _)| r.dataset.label()).collect();
    let method: Vec<&str> = predictions.iter().map(|(r, _)| r.method.as_str()).collect();
    Ok(DataFrame::new_infer_height(vec![
        Column::new("dataset".into(), dataset),
        Column::new("method".into(), method),
        metric("EM", |p| exact_match(&p.gold, &p.predicted)),
        metric("BM", |p| broad_match(&p.gold, &p.predicted)),
        metric("LM", |p| longest_match(&p.gold, &p.predicted)),
        metric("ROUGE", |p| rouge_l(&p.gold_text, &p.predicted_text)),
    ])?)
}

/// One row a trial: dataset, method, skipped (0/1), edited (0/1), patched, seconds, and the share
/// of unrelated predictions kept (null where none was probed).
pub(super) fn trials(records: &[Record]) -> Result<DataFrame> {
    let trials: Vec<&TrialRecord> = records
        .iter()
        .filter_map(|record| match record {
            Record::Trial(trial) => Some(trial),
            _ => None,
        })
        .collect();
    let number = |name: &str, of: fn(&TrialRecord) -> Option<f64>| {
        let values: Vec<Option<f64>> = trials.iter().map(|trial| of(trial)).collect();
        Column::new(name.into(), values)
    };
    let dataset: Vec<&str> = trials.iter().map(|t| t.dataset.label()).collect();
    let method: Vec<&str> = trials.iter().map(|t| t.method.as_str()).collect();
    Ok(DataFrame::new_infer_height(vec![
        Column::new("dataset".into(), dataset),
        Column::new("method".into(), method),
        number("skipped", |t| Some(f64::from(t.outcome == Outcome::Skipped))),
        number("patched", |t| (t.outcome != Outcome::Skipped).then_some(t.neurons.len() as f64)),
        number("seconds", |t| Some(t.seconds.total())),
        number("kept", |t| {
            let kept = t.unrelated.iter().filter(|probe| probe.argmax_kept).count();
            (!t.unrelated.is_empty()).then(|| kept as f64 / t.unrelated.len() as f64)
        }),
    ])?)
}

/// An aggregated frame as a map from (dataset label, method) to the values of `columns`.
pub(super) fn lookup(
    frame: &DataFrame,
    columns: &[&str],
) -> Result<HashMap<(String, String), Vec<Option<f64>>>> {
    let (dataset, method) = (frame.column("dataset")?.str()?, frame.column("method")?.str()?);
    let columns = columns
        .iter()
        .map(|name| Ok(frame.column(name)?.cast(&DataType::Float64)?))
        .collect::<Result<Vec<Column>>>()?;
    let mut found = HashMap::new();
    for row in 0..frame.height() {
        let key = (
            dataset.get(row).unwrap_or_default().to_string(),
            method.get(row).unwrap_or_default().to_string(),
        );
        let values = columns
            .iter()
            .map(|column| Ok(column.f64()?.get(row)))
            .collect::<Result<Vec<_>>>()?;
        found.insert(key, values);
    }
    Ok(found)
}
