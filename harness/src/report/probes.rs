//! What probed edits come to: the measures of RQ3 (paper, III-E), by type, subtype and method. Several
//! tables are made of them.

use super::frame::{Lookup, lookup};
use crate::manifest::{Identity, Manifest};
use crate::record::{CaseRecord, Change, Outcome, PatchRecord, Probed, Record};
use anyhow::{Context, Result, ensure};
use polars::prelude::*;
use std::collections::HashMap;

/// The mean over types, each the mean over its probes.
pub(super) const OVERALL: &str = "overall";

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
}

/// Cases before any edit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) cases: usize,
    /// Where the model does not predict what is declared.
    pub(super) undeclared: usize,
    pub(super) dropped: usize,
    /// Where the model predicts the target by itself.
    pub(super) solved: usize,
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
const PATCHING: [&str; 4] = ["cases", "nc", "skipped", "seconds"];

impl Probes {
    /// `None` where nothing was probed.
    ///
    /// # Errors
    /// If a record contradicts itself, or is of a method that the manifest does not know.
    pub(super) fn of(records: &[Record], manifest: &Manifest) -> Result<Option<Self>> {
        let mut patches: Vec<&PatchRecord> = Vec::new();
        let mut seen = Seen::default();
        let (mut types, mut subtypes) = (Vec::new(), Vec::new());
        for record in records {
            match record {
                Record::Patch(patch) => patches.push(patch),
                Record::Case(case) => {
                    seen.add(case);
                    add(&mut types, &case.name.of);
                    add(&mut subtypes, &case.name.subtype);
                }
                _ => {}
            }
        }
        if patches.is_empty() {
            return Ok(None);
        }
        let identity = &manifest.identity;
        let cap = cap(identity);
        let quotas = identity.quotas();
        for patch in &patches {
            check(patch, quotas.get(&patch.method).copied())?;
        }
        // Where the model predicts the target by itself there was no error, and no edit to probe.
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
        Patching { cases: value(0), nc: value(1), skipped: value(2), seconds: value(3) }
    }
}

impl Seen {
    fn add(&mut self, case: &CaseRecord) {
        self.cases += 1;
        self.undeclared += usize::from(case.declared_rank > 1);
        self.dropped += usize::from(case.dropped);
        self.solved += usize::from(!case.dropped && case.before.target_rank == 1);
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

/// `probing.rank_cap` of the run.
fn cap(identity: &Identity) -> u32 {
    let cap = identity.config["probing"]["rank_cap"].as_u64();
    cap.and_then(|cap| u32::try_from(cap).ok()).unwrap_or(u32::MAX)
}

/// A solved case has its target on top and 1 to quota neurons; a skipped one has neither, and its
/// edit, which is none, changes no probe.
fn check(patch: &PatchRecord, quota: Option<f64>) -> Result<()> {
    let PatchRecord { id, method, after, neurons, probes, .. } = patch;
    let quota = quota.with_context(|| {
        format!("trial {id} is of `{method}`, which the manifest does not name")
    })?;
    let unchanged = |change: &Change| {
        change.rank_before == change.rank_after
            && change.probability_before == change.probability_after
    };
    let untouched = unchanged(&probes.target) && unchanged(&probes.argmax_is);
    let sound = match patch.outcome {
        Outcome::Solved => {
            after.target_rank == 1 && (1.0..=quota).contains(&(neurons.len() as f64))
        }
        Outcome::Skipped => after.target_rank > 1 && untouched,
        Outcome::AlreadySolved => neurons.is_empty() && untouched,
    };
    ensure!(
        sound,
        "trial {id} of `{method}` contradicts itself: {:?} with {} neurons of a quota of {quota}, the \
         target at rank {}, its probes {}",
        patch.outcome,
        neurons.len(),
        after.target_rank,
        if untouched { "unchanged" } else { "changed" }
    );
    let Probed { related, target, argmax, argmax_is, now, now_is } = probes.as_ref();
    let long = |change: &Change| {
        let Change { rank_before, rank_after, probability_before, probability_after } = change;
        let lists = [rank_before.len(), rank_after.len()];
        let others = [probability_before.len(), probability_after.len()];
        lists.into_iter().chain(others).all(|length| length == argmax.len())
    };
    ensure!(
        [target, argmax_is, now_is].into_iter().all(long)
            && now.len() == argmax.len()
            && *related <= argmax.len(),
        "trial {id} of `{method}` contradicts itself: its lists of probes are of unequal length"
    );
    Ok(())
}

/// One probe of one edit.
struct Row<'r> {
    patch: &'r PatchRecord,
    related: bool,
    values: [f64; PROBE.len()],
}

fn rows(patch: &PatchRecord, cap: u32) -> impl Iterator<Item = Row<'_>> {
    let Probed { related, target, argmax, argmax_is, now, .. } = patch.probes.as_ref();
    (0..argmax.len()).map(move |index| {
        let rank = |ranks: &[u32]| f64::from(ranks[index].min(cap));
        let probability = |of: &[f32]| f64::from(of[index]);
        let (rank_before, rank_after) = (rank(&target.rank_before), rank(&target.rank_after));
        let before = probability(&target.probability_before);
        let after = probability(&target.probability_after);
        let related = index < *related;
        // The reference (paper, III-E): the original argmax token on related samples, on unrelated
        // ones the target itself; both as they were before the edit, or, the other reading, after.
        let (reference, reference_now) = if related {
            (
                (rank(&argmax_is.rank_before), probability(&argmax_is.probability_before)),
                (rank(&argmax_is.rank_after), probability(&argmax_is.probability_after)),
            )
        } else {
            ((rank_before, before), (rank_before, before))
        };
        let on_top = f64::from(target.rank_after[index] == 1);
        let values = [
            (rank_after - reference.0).abs(),
            (after - reference.1).abs(),
            (rank_after - reference_now.0).abs(),
            (after - reference_now.1).abs(),
            rank_after - rank_before,
            after - before,
            on_top,
            f64::from(now[index] == argmax[index]),
        ];
        Row { patch, related, values }
    })
}

fn names<'p>(patches: impl Iterator<Item = &'p PatchRecord>) -> Vec<Column> {
    let (mut of, mut subtype, mut method) = (Vec::new(), Vec::new(), Vec::new());
    for patch in patches {
        of.push(patch.name.of.as_str());
        subtype.push(patch.name.subtype.as_str());
        method.push(patch.method.as_str());
    }
    vec![
        Column::new("type".into(), of),
        Column::new("subtype".into(), subtype),
        Column::new("method".into(), method),
    ]
}

/// A row a probe.
fn probe_frame(rows: &[&Row<'_>]) -> Result<DataFrame> {
    let mut columns = names(rows.iter().map(|row| row.patch));
    for (index, name) in PROBE.iter().enumerate() {
        let values: Vec<f64> = rows.iter().map(|row| row.values[index]).collect();
        columns.push(Column::new((*name).into(), values));
    }
    Ok(DataFrame::new_infer_height(columns)?)
}

/// A row a case.
fn patch_frame(
    patches: &[&PatchRecord],
    quotas: &std::collections::BTreeMap<String, f64>,
) -> Result<DataFrame> {
    let mut columns = names(patches.iter().copied());
    let skipped = |patch: &PatchRecord| patch.outcome == Outcome::Skipped;
    let number = |name: &str, of: &dyn Fn(&PatchRecord) -> f64| {
        let values: Vec<f64> = patches.iter().map(|patch| of(patch)).collect();
        Column::new(name.into(), values)
    };
    columns.push(number("cases", &|_| 1.0));
    columns.push(number("nc", &|patch| {
        if skipped(patch) { quotas[&patch.method] + 1.0 } else { patch.neurons.len() as f64 }
    }));
    columns.push(number("skipped", &|patch| f64::from(skipped(patch))));
    columns.push(number("seconds", &|patch| patch.seconds.total()));
    Ok(DataFrame::new_infer_height(columns)?)
}

/// Means of `columns` by (type, subtype or [`OVERALL`], method); of `cases`, the sum. Groups keep the
/// order of the rows, so that sums are taken in one order and come out the same to the last digit.
fn means(frame: &DataFrame, columns: &[&str]) -> Result<Lookup> {
    let aggregated = |column: &&str| match *column {
        "cases" => col("cases").sum(),
        other => col(other).mean(),
    };
    let values: Vec<Expr> = columns.iter().map(aggregated).collect();
    let mut found = HashMap::new();
    for scope in ["type", "subtype"] {
        let means = frame
            .clone()
            .lazy()
            .group_by_stable([col(scope).alias("dataset"), col("method")])
            .agg(&values)
            .collect()?;
        found.extend(lookup(&means, columns)?);
        if scope == "type" {
            let overall = means
                .lazy()
                .group_by_stable([col("method")])
                .agg(&values)
                .with_column(lit(OVERALL).alias("dataset"))
                .collect()?;
            found.extend(lookup(&overall, columns)?);
        }
    }
    Ok(found)
}
