//! Data written freely, beside the same under teacher forcing.

use crate::data::dataset::DatasetName;
use crate::edit::Outcome;
use crate::records::{DatumRecord, FreeRecord, PredictionRecord, Record};
use crate::report::measures::frame::TableOrder;
use crate::report::measures::scores::scores;
use anyhow::Result;
use polars::prelude::DataFrame;
use std::collections::{HashMap, HashSet};

/// Sums over the data of one data set that one method has written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FreeSums {
    pub(crate) data: f64,
    /// Data that are right token by token, each error repaired alone.
    pub(crate) alone: f64,
    /// Data that are right under all edits together, given the gold before each token.
    pub(crate) together: f64,
    /// Data that the model writes by itself.
    pub(crate) free: f64,
    /// Errors that were repaired, and those of them that the edits of other tokens undo.
    pub(crate) repaired: f64,
    pub(crate) undone: f64,
    /// Tokens that were right before, and those of them that the edits break.
    pub(crate) right: f64,
    pub(crate) broken: f64,
    /// Answers that ended by themselves.
    pub(crate) ended: f64,
}

/// All that was written freely.
pub(crate) struct FreeTexts {
    /// A frame as of predictions: see [`scores`].
    pub(crate) scores: DataFrame,
    /// Data sets and methods that have some.
    pub(crate) order: TableOrder,
    sums: HashMap<(DatasetName, String), FreeSums>,
}

impl FreeTexts {
    /// `None` where nothing was written freely.
    ///
    /// # Errors
    /// If the frame cannot be made.
    pub(crate) fn of(records: &[Record], order: &TableOrder) -> Result<Option<Self>> {
        let free = |record: &Record| match record {
            Record::Free(free) => Some(free.clone()),
            _ => None,
        };
        let written: Vec<FreeRecord> = records.iter().filter_map(free).collect();
        if written.is_empty() {
            return Ok(None);
        }
        let data: HashMap<(DatasetName, usize), &DatumRecord> = records
            .iter()
            .filter_map(|record| match record {
                Record::Datum(datum) => Some(((datum.dataset, datum.datum), datum)),
                _ => None,
            })
            .collect();
        // Positions that a method repaired alone.
        let mut solved: HashMap<(DatasetName, usize, &str), HashSet<usize>> = HashMap::new();
        for record in records {
            if let Record::Trial(own) = record
                && own.trial.outcome == Outcome::Solved
            {
                let key = (own.dataset, own.datum, own.trial.method.as_str());
                solved.entry(key).or_default().insert(own.position);
            }
        }
        let mut sums: HashMap<(DatasetName, String), FreeSums> = HashMap::new();
        for own in &written {
            let Some(datum) = data.get(&(own.dataset, own.datum)) else { continue };
            let repaired = solved.get(&(own.dataset, own.datum, own.method.as_str()));
            let sums = sums.entry((own.dataset, own.method.clone())).or_default();
            sums.add(datum, own, repaired);
        }
        let mut order = order.clone();
        order.methods.retain(|method| sums.keys().any(|(_, own)| own == method));
        order.datasets.retain(|dataset| sums.keys().any(|(own, _)| own == dataset));
        let predictions = written.into_iter().map(|own| {
            Record::Prediction(PredictionRecord {
                dataset: own.dataset,
                datum: own.datum,
                method: own.method,
                predicted: own.written,
                predicted_text: own.written_text,
            })
        });
        let data = data.values().map(|datum| Record::Datum((*datum).clone()));
        let scores = scores(&predictions.chain(data).collect::<Vec<_>>())?;
        Ok(Some(Self { scores, order, sums }))
    }

    pub(crate) fn sums(&self, dataset: DatasetName, method: &str) -> Option<FreeSums> {
        self.sums.get(&(dataset, method.to_string())).copied()
    }
}

impl FreeSums {
    fn add(&mut self, datum: &DatumRecord, own: &FreeRecord, repaired: Option<&HashSet<usize>>) {
        let is_repaired = |position: usize| repaired.is_some_and(|own| own.contains(&position));
        let share = |right: bool| f64::from(u8::from(right));
        self.data += 1.0;
        self.alone += share(datum.errors().all(is_repaired));
        self.together += share(own.together == datum.gold);
        self.free += share(own.written == datum.gold);
        self.ended += share(own.ended);
        for (position, (gold, now)) in datum.gold.iter().zip(&own.together).enumerate() {
            let wrong = share(gold != now);
            if datum.gold_rank[position] == 1 {
                self.right += 1.0;
                self.broken += wrong;
            } else if is_repaired(position) {
                self.repaired += 1.0;
                self.undone += wrong;
            }
        }
    }
}
