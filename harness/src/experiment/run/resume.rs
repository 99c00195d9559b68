//! Measurements of an earlier, interrupted run.

use crate::data::dataset::DatasetName;
use crate::records::{
    CaseName, CaseRecord, DatumRecord, ErrorTrial, FreeRecord, PredictionRecord, Record, TrialId,
};
use std::collections::{HashMap, HashSet};

/// Records by what they answer.
#[derive(Default)]
pub(super) struct Done {
    data: HashMap<(DatasetName, usize), DatumRecord>,
    trials: HashMap<TrialId, ErrorTrial>,
    predictions: HashMap<(DatasetName, usize, String), PredictionRecord>,
    written: HashMap<(DatasetName, usize, String), FreeRecord>,
    cases: HashMap<CaseName, CaseRecord>,
    patches: HashSet<TrialId>,
}

impl Done {
    pub(super) fn new(records: Vec<Record>) -> Self {
        let mut done = Self::default();
        records.into_iter().for_each(|record| done.add(record));
        done
    }

    pub(super) fn add(&mut self, record: Record) {
        match record {
            Record::Datum(datum) => {
                self.data.insert((datum.dataset, datum.datum), datum);
            }
            Record::Trial(own) => {
                self.trials.insert(own.trial.id.clone(), own);
            }
            Record::Prediction(prediction) => {
                let key = (prediction.dataset, prediction.datum, prediction.method.clone());
                self.predictions.insert(key, prediction);
            }
            Record::Free(free) => {
                self.written.insert((free.dataset, free.datum, free.method.clone()), free);
            }
            Record::Case(case) => {
                self.cases.insert(case.name.clone(), case);
            }
            Record::Probe(own) => {
                self.patches.insert(own.trial.id);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.data.is_empty() && self.cases.is_empty()
    }

    pub(super) fn datum(&self, dataset: DatasetName, datum: usize) -> Option<&DatumRecord> {
        self.data.get(&(dataset, datum))
    }

    pub(super) fn trial(&self, id: &TrialId) -> Option<&ErrorTrial> {
        self.trials.get(id)
    }

    pub(super) fn case(&self, name: &CaseName) -> Option<&CaseRecord> {
        self.cases.get(name)
    }

    pub(super) fn patched(&self, id: &TrialId) -> bool {
        self.patches.contains(id)
    }

    pub(super) fn predicted(&self, dataset: DatasetName, datum: usize, method: &str) -> bool {
        self.prediction(dataset, datum, method).is_some()
    }

    pub(super) fn prediction(
        &self,
        dataset: DatasetName,
        datum: usize,
        method: &str,
    ) -> Option<&PredictionRecord> {
        self.predictions.get(&(dataset, datum, method.to_string()))
    }

    pub(super) fn written(
        &self,
        dataset: DatasetName,
        datum: usize,
        method: &str,
    ) -> Option<&FreeRecord> {
        self.written.get(&(dataset, datum, method.to_string()))
    }

    pub(super) fn predictions(&self) -> impl Iterator<Item = &PredictionRecord> {
        self.predictions.values()
    }
}
