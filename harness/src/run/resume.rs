//! What an earlier, stopped run has already measured.

use crate::dataset::DatasetName;
use crate::record::{CaseName, CaseRecord, DatumRecord, Record, TrialId, TrialRecord};
use std::collections::{HashMap, HashSet};

/// Records by what they answer.
#[derive(Default)]
pub(super) struct Done {
    data: HashMap<(DatasetName, usize), DatumRecord>,
    trials: HashMap<TrialId, TrialRecord>,
    predictions: HashSet<(DatasetName, usize, String)>,
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
            Record::Trial(trial) => {
                self.trials.insert(trial.id.clone(), trial);
            }
            Record::Prediction(prediction) => {
                let key = (prediction.dataset, prediction.datum, prediction.method);
                self.predictions.insert(key);
            }
            Record::Case(case) => {
                self.cases.insert(case.name.clone(), case);
            }
            Record::Patch(patch) => {
                self.patches.insert(patch.id);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.data.is_empty() && self.cases.is_empty()
    }

    pub(super) fn datum(&self, dataset: DatasetName, datum: usize) -> Option<&DatumRecord> {
        self.data.get(&(dataset, datum))
    }

    pub(super) fn trial(&self, id: &TrialId) -> Option<&TrialRecord> {
        self.trials.get(id)
    }

    pub(super) fn case(&self, name: &CaseName) -> Option<&CaseRecord> {
        self.cases.get(name)
    }

    pub(super) fn patched(&self, id: &TrialId) -> bool {
        self.patches.contains(id)
    }

    pub(super) fn predicted(&self, dataset: DatasetName, datum: usize, method: &str) -> bool {
        self.predictions.contains(&(dataset, datum, method.to_string()))
    }
}
