//! The order of the tables, trials as a polars frame, and lookups in aggregated frames.

use crate::data::dataset::DatasetName;
use crate::edit::Outcome;
use crate::records::manifest::Identity;
use crate::records::{ErrorTrial, Record, Trial};
use anyhow::Result;
use polars::prelude::*;
use std::collections::HashMap;

/// Data sets and methods as they first appear in the records: the order of the tables.
#[derive(Clone)]
pub(crate) struct TableOrder {
    pub(crate) datasets: Vec<DatasetName>,
    pub(crate) methods: Vec<String>,
}

impl TableOrder {
    /// Data sets in the paper's order; the unedited model of `identity` first, then its methods, and any
    /// others as recorded. A shard that continues another may record a method before the model.
    pub(crate) fn of(records: &[Record], identity: &Identity) -> Self {
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
        let known = std::iter::once(identity.model()).chain(identity.labels());
        let known: HashMap<&str, usize> = known.zip(0..).collect();
        let place = |method: &String| known.get(method.as_str()).copied().unwrap_or(usize::MAX);
        order.methods.sort_by_key(place);
        order
    }
}

/// One row an error that a method had to do with: dataset, its datum as `cluster`, method, 1,
/// skipped (0/1), solved (0/1), patched and distinct (patches and neurons, null where skipped), seconds by
/// phase, the share of unrelated predictions kept (null where none was probed), and the number of parallel
/// prompts (null where the method uses none). Errors that an earlier edit had solved already cost nothing and
/// are no row.
pub(crate) fn trials(records: &[Record]) -> Result<DataFrame> {
    let trials: Vec<&ErrorTrial> = records
        .iter()
        .filter_map(|record| match record {
            Record::Trial(trial) => Some(trial),
            _ => None,
        })
        .filter(|trial| trial.trial.outcome != Outcome::AlreadySolved)
        .collect();
    let number = |name: &str, of: fn(&ErrorTrial) -> Option<f64>| {
        let values: Vec<Option<f64>> = trials.iter().map(|trial| of(trial)).collect();
        Column::new(name.into(), values)
    };
    let dataset: Vec<&str> = trials.iter().map(|t| t.dataset.label()).collect();
    let datum: Vec<String> = trials.iter().map(|t| format!("{} {}", t.dataset, t.datum)).collect();
    let method: Vec<&str> = trials.iter().map(|t| t.trial.method.as_str()).collect();
    Ok(DataFrame::new_infer_height(vec![
        Column::new("dataset".into(), dataset),
        Column::new("cluster".into(), datum),
        Column::new("method".into(), method),
        number("errors", |_| Some(1.0)),
        number("solved", |t| Some(f64::from(t.trial.outcome == Outcome::Solved))),
        number("skipped", |t| Some(f64::from(t.trial.outcome == Outcome::Skipped))),
        number("patched", |t| patched(&t.trial).then_some(t.trial.neurons.len() as f64)),
        number("distinct", |t| patched(&t.trial).then_some(t.trial.distinct_neurons() as f64)),
        number("trace", |t| Some(t.trial.seconds.trace)),
        number("locate", |t| Some(t.trial.seconds.locate)),
        number("estimate", |t| Some(t.trial.seconds.estimate)),
        number("plan", |t| Some(t.trial.seconds.plan)),
        number("apply", |t| Some(t.trial.seconds.apply)),
        number("kept", |t| {
            let kept = t.unrelated.iter().filter(|probe| probe.argmax_kept).count();
            (!t.unrelated.is_empty()).then(|| kept as f64 / t.unrelated.len() as f64)
        }),
        number("parallel", |t| t.trial.parallel.map(|count| count as f64)),
    ])?)
}

/// True if neurons were patched, so that they can be counted.
pub(crate) fn patched(trial: &Trial) -> bool {
    trial.outcome == Outcome::Solved && !trial.neurons.is_empty()
}

/// Values by (dataset label, method).
pub(crate) type Lookup = HashMap<(String, String), Vec<Option<f64>>>;

/// An aggregated frame as a map from (dataset label, method) to the values of `columns`.
pub(crate) fn lookup(frame: &DataFrame, columns: &[&str]) -> Result<Lookup> {
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
        let values =
            columns.iter().map(|column| Ok(column.f64()?.get(row))).collect::<Result<Vec<_>>>()?;
        found.insert(key, values);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::TableOrder;
    use crate::records::manifest::Identity;
    use crate::records::{PredictionRecord, Record};

    /// A shard that continues another one records methods of data whose model row stands in a later file.
    #[test]
    fn the_unedited_model_comes_first_wherever_it_is_recorded() {
        let identity: Identity = serde_json::from_value(serde_json::json!({
            "config": { "model": { "label": "model" } },
            "methods": { "KN": {}, "MENT": {} },
            "device": "cpu",
            "contents": {},
        }))
        .unwrap();
        let record = |method: &str| {
            Record::Prediction(PredictionRecord {
                dataset: "conala".parse().unwrap(),
                datum: 0,
                method: method.into(),
                predicted: Vec::new(),
                predicted_text: String::new(),
            })
        };
        let records = ["MENT", "KN", "model", "older"].map(record);
        let order = TableOrder::of(&records, &identity);
        assert_eq!(order.methods, ["model", "KN", "MENT", "older"]);
    }
}
