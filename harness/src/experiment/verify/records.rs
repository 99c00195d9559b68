//! Do the records agree with each other and with the manifest?

use super::Check;
use crate::data::dataset::DatasetName;
use crate::edit::Outcome;
use crate::records::manifest::Manifest;
use crate::records::store::Run;
use crate::records::{
    CaseName, CaseRecord, DatumRecord, ErrorTrial, FORMAT, ProbeTrial, Record, TrialId,
};
use std::collections::{HashMap, HashSet};

/// The records of a run by what they are about.
struct RecordIndex<'r> {
    manifest: &'r Manifest,
    data: HashMap<(DatasetName, usize), &'r DatumRecord>,
    cases: HashMap<&'r CaseName, &'r CaseRecord>,
    /// Trials by data set, datum and method.
    trials: HashMap<(DatasetName, usize, &'r str), Vec<&'r ErrorTrial>>,
    /// Methods whose edits pile up: their trials follow from the ones before.
    keeping: HashSet<&'r str>,
}

pub(super) fn checks(run: &Run) -> Vec<Check> {
    let index = RecordIndex::of(run);
    let mut checks = vec![ids(run)];
    if !index.data.is_empty() {
        checks.extend([index.trials(run), index.predictions(run), texts(run)]);
    }
    if !index.cases.is_empty() {
        checks.push(index.patches(run));
    }
    checks
}

/// Every trial is called by the hash of what determines it.
fn ids(run: &Run) -> Check {
    const WHAT: &str = "ids";
    if run.manifest.format < FORMAT {
        return Check::not(WHAT, "format 1 named trials differently");
    }
    let settings = run.manifest.identity.settings();
    let (mut count, mut found) = (0, Vec::new());
    for record in &run.records {
        let (id, method, expected) = match record {
            Record::Trial(own) => {
                let (dataset, datum, position) = (own.dataset, own.datum, own.position);
                let id = |hash: &String| TrialId::new(hash, dataset, datum, position);
                (&own.trial.id, &own.trial.method, settings.get(&own.trial.method).map(id))
            }
            Record::Probe(own) => {
                let id = |hash: &String| TrialId::of_case(hash, &own.name);
                (&own.trial.id, &own.trial.method, settings.get(&own.trial.method).map(id))
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

/// The same tokens must have the same text, from which BLEU and ROUGE are computed.
fn texts(run: &Run) -> Check {
    let mut known: HashMap<&[u32], &str> = HashMap::new();
    let (mut count, mut found) = (0, Vec::new());
    for record in &run.records {
        let (ids, text) = match record {
            Record::Datum(datum) => (&datum.gold, &datum.gold_text),
            Record::Prediction(own) => (&own.predicted, &own.predicted_text),
            _ => continue,
        };
        count += 1;
        if *known.entry(ids).or_insert(text) != text {
            found.push(format!("{text:?} has the tokens of another text"));
        }
    }
    Check::of("texts", format!("{count} texts, {} of other tokens", known.len()), &found)
}

impl<'r> RecordIndex<'r> {
    fn of(run: &'r Run) -> Self {
        let mut index = Self {
            manifest: &run.manifest,
            data: HashMap::new(),
            cases: HashMap::new(),
            trials: HashMap::new(),
            keeping: HashSet::new(),
        };
        index.keeping.extend(run.manifest.identity.keeping());
        for record in &run.records {
            match record {
                Record::Datum(datum) => {
                    index.data.insert((datum.dataset, datum.datum), datum);
                }
                Record::Trial(trial) => {
                    let key = (trial.dataset, trial.datum, trial.trial.method.as_str());
                    index.trials.entry(key).or_default().push(trial);
                }
                Record::Case(case) => {
                    index.cases.insert(&case.name, case);
                }
                _ => {}
            }
        }
        index
    }

    /// Every trial is about an error of its datum, as the unedited model made it.
    fn trials(&self, run: &Run) -> Check {
        let trials = run.records.iter().filter_map(|record| match record {
            Record::Trial(own) => Some(own),
            _ => None,
        });
        let (mut count, mut found) = (0, Vec::new());
        for own in trials {
            let ErrorTrial { trial, dataset, datum, position, .. } = own;
            count += 1;
            let Some(datum) = self.data.get(&(*dataset, *datum)) else {
                found.push(format!("{}: its datum is not recorded", trial.id));
                continue;
            };
            let of_gold = datum.gold.get(*position) == Some(&trial.target);
            let is_error = datum.gold_rank.get(*position).is_some_and(|rank| *rank > 1);
            let same = trial.before.argmax == *datum.argmax.get(*position).unwrap_or(&u32::MAX);
            let same = same || self.keeping.contains(trial.method.as_str());
            if !(of_gold && is_error && same) {
                found.push(format!("{}: no error of its datum", trial.id));
            }
        }
        Check::of("errors", format!("{count} trials of {} data", self.data.len()), &found)
    }

    /// Every patch belongs to its case and met the prediction of the unedited model.
    fn patches(&self, run: &Run) -> Check {
        let (mut count, mut found) = (0, Vec::new());
        for record in &run.records {
            let Record::Probe(ProbeTrial { trial, name, probes }) = record else { continue };
            count += 1;
            let Some(case) = self.cases.get(name) else {
                found.push(format!("{}: its case is not recorded", trial.id));
                continue;
            };
            let nudged = case.nudged == Some(true);
            let met = nudged
                || case.before.argmax == trial.before.argmax
                    && same_rank(case.before.target_rank, trial.before.target_rank);
            if case.dropped || case.target != trial.target || !met || !probes.is_whole() {
                found.push(format!("{}: not of its case, or not whole", trial.id));
            }
        }
        Check::of("patches", format!("{count} patches of {} cases", self.cases.len()), &found)
    }

    /// Checks that the prediction of a method on a datum follows from its trials.
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
            for trial in
                trials.into_iter().flatten().filter(|t| t.trial.outcome != Outcome::Skipped)
            {
                if let Some(token) = expected.get_mut(trial.position) {
                    *token = trial.trial.target;
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

/// True if two passes gave a target the same rank. On a GPU, passes over batches of different sizes round
/// differently, which may move a target by a place among thousands of tokens of nearly no probability. So ranks
/// may differ by 1 %: the first hundred, which the tables distinguish, not at all.
fn same_rank(one: u32, other: u32) -> bool {
    one.abs_diff(other) <= one.min(other) / 100
}

#[cfg(test)]
mod tests {
    use super::same_rank;

    #[test]
    fn only_a_high_rank_may_be_off_by_rounding() {
        assert!(same_rank(7, 7) && same_rank(6178, 6179) && same_rank(12_729, 12_728));
        assert!(!same_rank(7, 8) && !same_rank(99, 100) && !same_rank(6178, 6300));
    }
}
