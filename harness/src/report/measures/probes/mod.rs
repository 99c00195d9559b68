//! Measures of RQ3 (paper, III-E) from probed edits, by type, subtype and method. Several tables are made of
//! them.

mod confidence;
mod frames;

use crate::edit::Outcome;
use crate::records::manifest::Manifest;
use crate::records::{CaseName, CaseRecord, ProbeTrial, Record};
use crate::report::measures::consistency::check_probe_trial;
use crate::report::measures::frame::Lookup;
use crate::report::measures::probes::confidence::{ProbeIntervals, intervals};
pub(crate) use crate::report::measures::probes::frames::ReadRank;
use crate::report::measures::probes::frames::{
    ProbeRow, by_probed, means, patch_frame, probe_frame, rows,
};
use anyhow::{Context, Result};
use std::collections::{HashMap, HashSet};

/// The mean over types, each the mean over its probes.
pub(crate) use crate::data::benchmark::OVERALL;

/// Means over the probes of some cases under one method. A distance is absolute, and of ranks that
/// count as the cap at most.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Probe {
    /// Distance of ranks.
    pub(crate) rank: Option<f64>,
    /// Distance of probabilities.
    pub(crate) probability: Option<f64>,
    /// Distance of ranks, to the original argmax token as it is after the edit.
    pub(crate) rank_now: Option<f64>,
    /// Distance of probabilities, likewise.
    pub(crate) probability_now: Option<f64>,
    /// Change of the target's rank, signed.
    pub(crate) rank_change: Option<f64>,
    /// Change of the target's probability, signed.
    pub(crate) probability_change: Option<f64>,
    /// Share of probes where the target is the argmax after the edit.
    pub(crate) target_on_top: Option<f64>,
    /// Share of probes whose argmax the edit does not change.
    pub(crate) kept: Option<f64>,
}

/// Costs of patching some cases.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PatchingCosts {
    /// Cases that were errors.
    pub(crate) cases: Option<f64>,
    /// NeuronCost.
    pub(crate) nc: Option<f64>,
    /// Share of cases skipped.
    pub(crate) skipped: Option<f64>,
    /// TimeCost, seconds.
    pub(crate) seconds: Option<f64>,
    /// Share of cases without a parallel prompt; `None` for a method that uses none.
    pub(crate) alone: Option<f64>,
    /// Patches of a solved case.
    pub(crate) patched: Option<f64>,
    /// Neurons of a solved case, each counted once.
    pub(crate) distinct: Option<f64>,
}

/// All of it.
pub(crate) struct ProbeMeans {
    /// Types, and behind them [`OVERALL`].
    pub(crate) scopes: Vec<String>,
    /// Subtypes in the order of the records.
    pub(crate) subtypes: Vec<String>,
    /// In the order of the tables.
    pub(crate) methods: Vec<String>,
    /// Methods that do not compete.
    pub(crate) controls: Vec<String>,
    /// Reading of ranks.
    pub(crate) read: ReadRank,
    /// Cases before any edit.
    pub(crate) seen: SeenCases,
    /// Description of the rows, if the benchmark is made of rows of a data set.
    pub(crate) rows: Option<String>,
    related: Lookup,
    unrelated: Lookup,
    /// Rank error, probability error and number of unrelated probes, by probed subtype and method.
    probed: Lookup,
    patching: Lookup,
    /// Confidence intervals of the measures of Table VI over all types, and of their differences from the
    /// first MENT's, by method.
    intervals: HashMap<String, [ProbeIntervals; 2]>,
}

/// Cases before any edit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SeenCases {
    pub(crate) cases: usize,
    /// Cases where the model does not predict the declared token.
    pub(crate) undeclared: usize,
    pub(crate) dropped: usize,
    /// Cases where MENT made the model predict the declared token.
    pub(crate) nudged: usize,
    /// Cases where the target was on top before any method.
    pub(crate) solved: usize,
    /// Cases of the whole benchmark; 0 where an older record does not say.
    pub(crate) planned: usize,
    /// Related prompts of rows whose output does not have the target token.
    pub(crate) unplaced: usize,
}

const PROBE: [&str; 8] = [
    "rank",
    "probability",
    "rank now",
    "probability now",
    "rank change",
    "probability change",
    "target on top",
    "kept",
];
const PATCHING: [&str; 7] = ["cases", "nc", "skipped", "seconds", "alone", "patched", "distinct"];

impl ProbeMeans {
    /// `None` where nothing was probed.
    ///
    /// # Errors
    /// If a record contradicts itself, or is of a method that the manifest does not know; or the
    /// manifest is not one of a probing run.
    pub(crate) fn of(records: &[Record], manifest: &Manifest) -> Result<Option<Self>> {
        let mut patches: Vec<&ProbeTrial> = Vec::new();
        let mut seen = SeenCases::default();
        let (mut types, mut subtypes) = (Vec::new(), Vec::new());
        let mut cases: Vec<&CaseRecord> = Vec::new();
        for record in records {
            match record {
                Record::Probe(patch) => patches.push(patch),
                Record::Case(case) => cases.push(case),
                _ => {}
            }
        }
        if patches.is_empty() {
            return Ok(None);
        }
        // The cases of a type are looked at before the first of them is patched.
        let patched: HashSet<&CaseName> = patches.iter().map(|patch| &patch.name).collect();
        for case in cases.into_iter().filter(|case| case.dropped || patched.contains(&case.name)) {
            seen.add(case);
            add(&mut types, &case.name.of);
            add(&mut subtypes, &case.name.subtype);
        }
        let identity = &manifest.identity;
        let reading = manifest
            .probing
            .as_ref()
            .context("the manifest does not say how ranks are to be read")?;
        let read = ReadRank { cap: reading.rank_cap, rule: reading.rank_rule };
        seen.planned = reading.cases;
        let quotas = identity.quotas();
        for patch in &patches {
            check_probe_trial(patch, quotas.get(&patch.trial.method).copied())?;
        }
        // The same order however many shards there were: sums come out the same to the last digit.
        patches.sort_by(|a, b| a.name.cmp(&b.name));
        // Where the target was on top before any method there was no error, and no edit to probe.
        let solved = patches.iter().filter(|patch| patch.trial.outcome == Outcome::AlreadySolved);
        seen.solved = solved.map(|patch| &patch.name).collect::<HashSet<_>>().len();
        patches.retain(|patch| patch.trial.outcome != Outcome::AlreadySolved);
        let methods: Vec<String> = identity
            .labels()
            .filter(|label| patches.iter().any(|patch| patch.trial.method == *label))
            .map(String::from)
            .collect();
        let controls = methods.iter().filter(|label| identity.is_control(label)).cloned().collect();
        let rows: Vec<ProbeRow<'_>> =
            patches.iter().flat_map(|patch| rows(patch, read, &reading.subtypes)).collect();
        let of = |related: bool| {
            let rows: Vec<&ProbeRow<'_>> =
                rows.iter().filter(|row| row.related == related).collect();
            means(&probe_frame(&rows)?, &PROBE)
        };
        let costs = patch_frame(&patches, &quotas)?;
        let reference = identity.first_ment();
        let intervals = intervals(&patches, read, &costs, &methods, reference.as_deref())?;
        Ok(Some(Self {
            scopes: types.into_iter().chain([OVERALL.to_string()]).collect(),
            subtypes,
            methods,
            controls,
            read,
            seen,
            rows: reading.rows.clone(),
            related: of(true)?,
            unrelated: of(false)?,
            probed: by_probed(&rows.iter().collect::<Vec<_>>())?,
            patching: means(&costs, &PATCHING)?,
            intervals,
        }))
    }

    /// On samples of the subtype that was patched (G), in a type, subtype or [`OVERALL`].
    pub(crate) fn related(&self, scope: &str, method: &str) -> Probe {
        probe(self.related.get(&(scope.to_string(), method.to_string())))
    }

    /// On samples of other subtypes (S).
    pub(crate) fn unrelated(&self, scope: &str, method: &str) -> Probe {
        probe(self.unrelated.get(&(scope.to_string(), method.to_string())))
    }

    /// Rank error, probability error and number of the unrelated probes that are samples of `subtype`;
    /// `None` where the run did not record the order of subtypes.
    pub(crate) fn probed(&self, subtype: &str, method: &str) -> Option<[Option<f64>; 3]> {
        let found = self.probed.get(&(subtype.to_string(), method.to_string()))?;
        found.as_slice().try_into().ok()
    }

    pub(crate) fn patching(&self, scope: &str, method: &str) -> PatchingCosts {
        let found = self.patching.get(&(scope.to_string(), method.to_string()));
        let value = |index: usize| found.and_then(|values| values[index]);
        let [cases, nc, skipped, seconds, alone] = [0, 1, 2, 3, 4].map(value);
        let [patched, distinct] = [5, 6].map(value);
        PatchingCosts { cases, nc, skipped, seconds, alone, patched, distinct }
    }

    /// Confidence intervals of the measures of Table VI over all types: MAE of rank and probability on
    /// related and on unrelated samples, and NeuronCost.
    pub(crate) fn intervals(&self, method: &str) -> ProbeIntervals {
        self.intervals.get(method).copied().unwrap_or_default()[0]
    }

    /// Confidence intervals of the differences of these measures from those of the first MENT.
    pub(crate) fn differences(&self, method: &str) -> ProbeIntervals {
        self.intervals.get(method).copied().unwrap_or_default()[1]
    }
}

impl SeenCases {
    fn add(&mut self, case: &CaseRecord) {
        self.cases += 1;
        self.undeclared += usize::from(case.declared_rank > 1);
        self.dropped += usize::from(case.dropped);
        self.nudged += usize::from(case.nudged == Some(true));
        self.unplaced += case.unplaced;
    }
}

fn add(names: &mut Vec<String>, name: &str) {
    if !names.iter().any(|known| known == name) {
        names.push(name.to_string());
    }
}

fn probe(found: Option<&Vec<Option<f64>>>) -> Probe {
    let value = |index: usize| found.and_then(|values| values[index]);
    Probe {
        rank: value(0),
        probability: value(1),
        rank_now: value(2),
        probability_now: value(3),
        rank_change: value(4),
        probability_change: value(5),
        target_on_top: value(6),
        kept: value(7),
    }
}
