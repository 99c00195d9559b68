//! What probed edits come to: the measures of RQ3 (paper, III-E), by type, subtype and method. Several
//! tables are made of them.

mod check;
mod confidence;
mod frames;

use self::check::check;
use self::confidence::intervals;
use self::frames::{Row, means, patch_frame, probe_frame, rows};
use super::frame::Lookup;
use super::table::Interval;
use crate::manifest::Manifest;
use crate::record::{CaseName, CaseRecord, Outcome, PatchRecord, Record};
use anyhow::{Context, Result};
use std::collections::{HashMap, HashSet};

/// The mean over types, each the mean over its probes.
pub(super) use crate::benchmark::OVERALL;

/// Means over the probes of some cases under one method. A distance is absolute, and of ranks that
/// count as the cap at most.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Probe {
    /// Of ranks.
    pub(super) rank: Option<f64>,
    /// Of probabilities.
    pub(super) probability: Option<f64>,
    /// Of ranks, to where the original argmax token is after the edit.
    pub(super) rank_now: Option<f64>,
    /// Of probabilities, likewise.
    pub(super) probability_now: Option<f64>,
    /// Change of the target's rank, signed.
    pub(super) rank_change: Option<f64>,
    /// Change of the target's probability, signed.
    pub(super) probability_change: Option<f64>,
    /// Share of probes where the target is the argmax after the edit.
    pub(super) target_on_top: Option<f64>,
    /// Share of probes whose argmax the edit leaves as it was.
    pub(super) kept: Option<f64>,
}

/// What patching some cases took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Patching {
    /// Cases that were errors.
    pub(super) cases: Option<f64>,
    /// NeuronCost.
    pub(super) nc: Option<f64>,
    /// Share of cases skipped.
    pub(super) skipped: Option<f64>,
    /// TimeCost, seconds.
    pub(super) seconds: Option<f64>,
    /// Share of cases without a parallel prompt; none where a method asks for no such.
    pub(super) alone: Option<f64>,
}

/// All of it.
pub(super) struct Probes {
    /// Types, and behind them [`OVERALL`].
    pub(super) scopes: Vec<String>,
    /// Subtypes in the order of the records.
    pub(super) subtypes: Vec<String>,
    /// In the order of the tables.
    pub(super) methods: Vec<String>,
    /// Those that do not compete.
    pub(super) controls: Vec<String>,
    /// What ranks count as at most.
    pub(super) cap: u32,
    /// What was seen before any edit.
    pub(super) seen: Seen,
    related: Lookup,
    unrelated: Lookup,
    patching: Lookup,
    /// Of the measures of Table VI over all types, by method.
    intervals: HashMap<String, [Option<Interval>; 5]>,
}

/// Cases before any edit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) cases: usize,
    /// Where the model does not predict what is declared.
    pub(super) undeclared: usize,
    pub(super) dropped: usize,
    /// Where MENT made the model predict what is declared.
    pub(super) nudged: usize,
    /// Where the target was on top before any method.
    pub(super) solved: usize,
    /// Of the whole benchmark; 0 where an older record does not say.
    pub(super) planned: usize,
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
const PATCHING: [&str; 5] = ["cases", "nc", "skipped", "seconds", "alone"];

impl Probes {
    /// `None` where nothing was probed.
    ///
    /// # Errors
    /// If a record contradicts itself, or is of a method that the manifest does not know; or the
    /// manifest is not one of a probing run.
    pub(super) fn of(records: &[Record], manifest: &Manifest) -> Result<Option<Self>> {
        let mut patches: Vec<&PatchRecord> = Vec::new();
        let mut seen = Seen::default();
        let (mut types, mut subtypes) = (Vec::new(), Vec::new());
        let mut cases: Vec<&CaseRecord> = Vec::new();
        for record in records {
            match record {
                Record::Patch(patch) => patches.push(patch),
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
        let reading = manifest.probing.context("the manifest does not say how ranks are read")?;
        let cap = reading.rank_cap;
        seen.planned = reading.cases;
        let quotas = identity.quotas();
        for patch in &patches {
            check(patch, quotas.get(&patch.method).copied())?;
        }
        // The same order however many shards there were: sums come out the same to the last digit.
        patches.sort_by(|a, b| a.name.cmp(&b.name));
        // Where the target was on top before any method there was no error, and no edit to probe.
        let solved = patches.iter().filter(|patch| patch.outcome == Outcome::AlreadySolved);
        seen.solved = solved.map(|patch| &patch.name).collect::<HashSet<_>>().len();
        patches.retain(|patch| patch.outcome != Outcome::AlreadySolved);
        let methods: Vec<String> = identity
            .methods
            .keys()
            .filter(|label| patches.iter().any(|patch| patch.method == **label))
            .cloned()
            .collect();
        let controls = methods.iter().filter(|label| identity.is_control(label)).cloned().collect();
        let rows: Vec<Row<'_>> = patches.iter().flat_map(|patch| rows(patch, cap)).collect();
        let of = |related: bool| {
            let rows: Vec<&Row<'_>> = rows.iter().filter(|row| row.related == related).collect();
            means(&probe_frame(&rows)?, &PROBE)
        };
        let costs = patch_frame(&patches, &quotas)?;
        let intervals = intervals(&patches, cap, &costs, &methods)?;
        Ok(Some(Self {
            scopes: types.into_iter().chain([OVERALL.to_string()]).collect(),
            subtypes,
            methods,
            controls,
            cap,
            seen,
            related: of(true)?,
            unrelated: of(false)?,
            patching: means(&costs, &PATCHING)?,
            intervals,
        }))
    }

    /// On samples of the subtype that was patched (G), in a type, subtype or [`OVERALL`].
    pub(super) fn related(&self, scope: &str, method: &str) -> Probe {
        probe(self.related.get(&(scope.to_string(), method.to_string())))
    }

    /// On samples of other subtypes (S).
    pub(super) fn unrelated(&self, scope: &str, method: &str) -> Probe {
        probe(self.unrelated.get(&(scope.to_string(), method.to_string())))
    }

    pub(super) fn patching(&self, scope: &str, method: &str) -> Patching {
        let found = self.patching.get(&(scope.to_string(), method.to_string()));
        let value = |index: usize| found.and_then(|values| values[index]);
        let [cases, nc, skipped, seconds, alone] = [0, 1, 2, 3, 4].map(value);
        Patching { cases, nc, skipped, seconds, alone }
    }

    /// Of the measures of Table VI over all types: MAE of rank and probability on related and on
    /// unrelated samples, and NeuronCost.
    pub(super) fn intervals(&self, method: &str) -> [Option<Interval>; 5] {
        self.intervals.get(method).copied().unwrap_or_default()
    }
}

impl Seen {
    fn add(&mut self, case: &CaseRecord) {
        self.cases += 1;
        self.undeclared += usize::from(case.declared_rank > 1);
        self.dropped += usize::from(case.dropped);
        self.nudged += usize::from(case.nudged == Some(true));
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
