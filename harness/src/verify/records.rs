//! Do the records agree with each other and with the manifest?

use super::Check;
use crate::dataset::DatasetName;
use crate::manifest::Manifest;
use crate::record::{DatumRecord, FORMAT, Outcome, Record, TrialId, TrialRecord};
use crate::store::Run;
use std::collections::{HashMap, HashSet};

/// The records of a run by what they are about.
struct Index<'r> {
    manifest: &'r Manifest,
    data: HashMap<(DatasetName, usize), &'r DatumRecord>,
    /// By data set, datum and method.
    trials: HashMap<(DatasetName, usize, &'r str), Vec<&'r TrialRecord>>,
    /// Methods whose edits pile up: their trials follow from the ones before.
    keeping: HashSet<&'r str>,
}

pub(super) fn checks(run: &Run) -> Vec<Check> {
    let index = Index::of(run);
    vec![ids(run), index.trials(run), index.predictions(run)]
}

/// Every trial is called by the hash of what determines it.
fn ids(run: &Run) -> Check {
    const WHAT: &str = "trial ids";
    if run.manifest.format < FORMAT {
        return Check::not(WHAT, "format 1 called trials otherwise");
    }
    let settings = run.manifest.identity.settings();
    let (mut count, mut found) = (0, Vec::new());
    for record in &run.records {
        let (id, method, expected) = match record {
            Record::Trial(trial) => {
                let (dataset, datum, position) = (trial.dataset, trial.datum, trial.position);
                let id = |hash: &String| TrialId::new(hash, dataset, datum, position);
                (&trial.id, &trial.method, settings.get(&trial.method).map(id))
            }
            Record::Patch(patch) => {
                let id = |hash: &String| TrialId::of_case(hash, &patch.name);
                (&patch.id, &patch.method, settings.get(&patch.method).map(id))
            }
            _ => continue,
        };
        count += 1;
        match expected {
            None => found.push(format!("{id} is of `{method}`, which the manifest does not name")),
            Some(expected) if expected != *id => found.push(format!("{id} should be {expected}")),
            Some(_) => {}
        }
    }
    Check::of(WHAT, format!("{count} trials"), &found)
}

impl<'r> Index<'r> {
    fn of(run: &'r Run) -> Self {
        let mut index = Self {
            manifest: &run.manifest,
            data: HashMap::new(),
            trials: HashMap::new(),
            keeping: HashSet::new(),
        };
        let methods = run.manifest.identity.methods.iter();
        let keeping = methods.filter(|(_, settings)| settings["across_errors"] == "keep");
        index.keeping.extend(keeping.map(|(label, _)| label.as_str()));
        for record in &run.records {
            match record {
                Record::Datum(datum) => {
                    index.data.insert((datum.dataset, datum.datum), datum);
                }
                Record::Trial(trial) => {
                    let key = (trial.dataset, trial.datum, trial.method.as_str());
                    index.trials.entry(key).or_default().push(trial);
                }
                _ => {}
            }
        }
        index
    }

    /// Every trial is about an error of its datum, as the unedited model made it.
    fn trials(&self, run: &Run) -> Check {
        let trials = run.records.iter().filter_map(|record| match record {
            Record::Trial(trial) => Some(trial),
            _ => None,
        });
        let (mut count, mut found) = (0, Vec::new());
        for trial in trials {
            count += 1;
            let Some(datum) = self.data.get(&(trial.dataset, trial.datum)) else {
                found.push(format!("{}: its datum is not recorded", trial.id));
                continue;
            };
            let position = trial.position;
            let of_gold = datum.gold.get(position) == Some(&trial.target);
            let is_error = datum.gold_rank.get(position).is_some_and(|rank| *rank > 1);
            let same = trial.before.argmax == *datum.argmax.get(position).unwrap_or(&u32::MAX);
            let same = same || self.keeping.contains(trial.method.as_str());
            if !(of_gold && is_error && same) {
                found.push(format!("{}: no error of its datum", trial.id));
            }
        }
        Check::of("errors", format!("{count} trials of {} data", self.data.len()), &found)
    }

    /// What a method makes of a datum is what its trials come to.
    fn predictions(&self, run: &Run) -> Check {
        let (mut count, mut found) = (0, Vec::new());
        for record in &run.records {
            let Record::Prediction(prediction) = record else { continue };
            let (dataset, number, method) =
                (prediction.dataset, prediction.datum, prediction.method.as_str());
            if self.keeping.contains(method) {
                continue; // of all edits together, which no record tells
            }
            count += 1;
            let Some(datum) = self.data.get(&(dataset, number)) else {
                found.push(format!("{dataset} {number}: not recorded"));
                continue;
            };
            let mut expected = datum.argmax.clone();
            let trials = self.trials.get(&(dataset, number, method));
            for trial in trials.into_iter().flatten().filter(|t| t.outcome != Outcome::Skipped) {
                if let Some(token) = expected.get_mut(trial.position) {
                    *token = trial.target;
                }
            }
            if expected != prediction.predicted {
                found.push(format!("{method} on {dataset} {number}: not what its trials come to"));
            }
            let unedited = method == self.manifest.identity.model();
            if !unedited && trials.map_or(0, Vec::len) != datum.errors().count() {
                found.push(format!("{method} on {dataset} {number}: not all errors are there"));
            }
        }
        Check::of("predictions", format!("{count} predictions"), &found)
    }
}
