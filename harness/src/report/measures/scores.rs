//! Predictions as a polars frame, scored against the gold of their data.

use crate::data::dataset::DatasetName;
use crate::metric::{METRICS, Metric, Scored, tokenize};
use crate::records::{DatumRecord, PredictionRecord, Record};
use anyhow::Result;
use polars::prelude::*;
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::HashMap;

/// The columns of all [`METRICS`], in their order.
pub(crate) fn columns() -> Vec<String> {
    METRICS.iter().flat_map(Metric::columns).collect()
}

/// A datum and the tokens of its gold text, which every method is measured against.
struct Gold<'a> {
    datum: &'a DatumRecord,
    tokens: Vec<String>,
}

/// One row a prediction: dataset, datum, method, 1, gold tokens, [`columns`].
pub(crate) fn scores(records: &[Record]) -> Result<DataFrame> {
    let gold = gold(records);
    let (predictions, rows): (Vec<&PredictionRecord>, Vec<ScoreRow>) = records
        .par_iter()
        .filter_map(|record| match record {
            Record::Prediction(prediction) => Some(prediction),
            _ => None,
        })
        .filter_map(|prediction| {
            let gold = gold.get(&(prediction.dataset, prediction.datum))?;
            Some((prediction, ScoreRow::of(gold, prediction)))
        })
        .unzip();

    let dataset: Vec<&str> = predictions.iter().map(|p| p.dataset.label()).collect();
    let method: Vec<&str> = predictions.iter().map(|p| p.method.as_str()).collect();
    let datum: Vec<String> = predictions.iter().map(|p| p.datum.to_string()).collect();
    let number = |name: &str, of: &dyn Fn(&ScoreRow) -> f64| {
        Column::new(name.into(), rows.iter().map(of).collect::<Vec<f64>>())
    };
    let mut columns = vec![
        Column::new("dataset".into(), dataset),
        Column::new("method".into(), method),
        Column::new("datum".into(), datum),
        number("data", &|_| 1.0),
        number("tokens", &|row| row.tokens),
    ];
    for (index, name) in self::columns().iter().enumerate() {
        columns.push(number(name, &|row| row.values[index]));
    }
    Ok(DataFrame::new_infer_height(columns)?)
}

fn gold(records: &[Record]) -> HashMap<(DatasetName, usize), Gold<'_>> {
    records
        .par_iter()
        .filter_map(|record| match record {
            Record::Datum(datum) => Some(datum),
            _ => None,
        })
        .map(|datum| {
            let tokens = tokenize(&datum.gold_text);
            ((datum.dataset, datum.datum), Gold { datum, tokens })
        })
        .collect()
}

/// The numbers of one prediction, measured together as most share its tokens.
struct ScoreRow {
    tokens: f64,
    /// One a column of the metrics.
    values: Vec<f64>,
}

impl ScoreRow {
    fn of(gold: &Gold<'_>, prediction: &PredictionRecord) -> Self {
        let (wanted, predicted) = (&gold.datum.gold, &prediction.predicted);
        // Most predictions of a method that works are the gold text.
        let tokens = if prediction.predicted_text == gold.datum.gold_text {
            Cow::Borrowed(&gold.tokens)
        } else {
            Cow::Owned(tokenize(&prediction.predicted_text))
        };
        let scored =
            Scored { gold: wanted, predicted, gold_words: &gold.tokens, predicted_words: &tokens };
        Self {
            tokens: wanted.len() as f64,
            values: METRICS.iter().flat_map(|metric| metric.values(&scored)).collect(),
        }
    }
}
