//! What probed edits come to: the measures of RQ3 (paper, III-E), by type, subtype and method. Several
//! tables are made of them.

use super::frame::{Lookup, lookup};
use crate::manifest::Manifest;
use crate::record::{CaseName, CaseRecord, Change, Outcome, PatchRecord, Probed, Record};
use anyhow::{Context, Result, ensure};
use polars::prelude::*;
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
    /// If a record contradicts itself, or is of a method that the manifest does not know.
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
        let cap = cap(manifest);
        seen.planned = manifest.probing.map_or(0, |reading| reading.cases);
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
        let [cases, nc, skipped, seconds, alone] = [0, 1, 2, 3, 4].map(value);
        Patching { cases, nc, skipped, seconds, alone }
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

/// `probing.rank_cap` of the run; it was part of the identity once.
fn cap(manifest: &Manifest) -> u32 {
    let before = || manifest.identity.config["probing"]["rank_cap"].as_u64();
    let before = || before().and_then(|cap| u32::try_from(cap).ok()).unwrap_or(u32::MAX);
    manifest.probing.map_or_else(before, |reading| reading.rank_cap)
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
    let number = |name: &str, of: &dyn Fn(&PatchRecord) -> Option<f64>| {
        let values: Vec<Option<f64>> = patches.iter().map(|patch| of(patch)).collect();
        Column::new(name.into(), values)
    };
    columns.push(number("cases", &|_| Some(1.0)));
    columns.push(number("nc", &|patch| {
        Some(if skipped(patch) { quotas[&patch.method] + 1.0 } else { patch.neurons.len() as f64 })
    }));
    columns.push(number("skipped", &|patch| Some(f64::from(skipped(patch)))));
    columns.push(number("seconds", &|patch| Some(patch.seconds.total())));
    columns.push(number("alone", &|patch| patch.parallel.map(|found| f64::from(found == 0))));
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

#[cfg(test)]
mod tests {
    use super::{OVERALL, Row, means, probe_frame, rows};
    use crate::record::TrialId;
    use crate::record::{
        CaseName, Change, Observation, Outcome, PatchRecord, Phases, Probed, Texts,
    };

    /// Rank and probability before, and after.
    type Seen = ((u32, f32), (u32, f32));

    fn change(probes: &[Seen]) -> Change {
        Change {
            rank_before: probes.iter().map(|((rank, _), _)| *rank).collect(),
            rank_after: probes.iter().map(|(_, (rank, _))| *rank).collect(),
            probability_before: probes.iter().map(|((_, p), _)| *p).collect(),
            probability_after: probes.iter().map(|(_, (_, p))| *p).collect(),
        }
    }

    /// A case of a type with one related probe and then unrelated ones: target and argmax of each.
    fn patch(of: &str, probes: &[(Seen, Seen, bool)]) -> PatchRecord {
        let seen = Observation {
            argmax: 0,
            argmax_probability: 0.5,
            target_rank: 1,
            target_probability: 0.5,
        };
        let target: Vec<Seen> = probes.iter().map(|(target, _, _)| *target).collect();
        let argmax: Vec<Seen> = probes.iter().map(|(_, argmax, _)| *argmax).collect();
        let subtype = format!("sub{of}");
        let name = CaseName { of: of.into(), subtype, sample: 1, symbol: " +".into() };
        PatchRecord {
            id: TrialId::of_case("", &name),
            name,
            method: "m".into(),
            target: 1,
            texts: Texts::default(),
            outcome: Outcome::Solved,
            before: seen,
            after: seen,
            neurons: Vec::new(),
            parallel: None,
            halvings: 0,
            seconds: Phases::default(),
            probes: Box::new(Probed {
                related: 1,
                target: change(&target),
                argmax: vec![7; probes.len()],
                argmax_is: change(&argmax),
                now: probes.iter().map(|(_, _, kept)| if *kept { 7 } else { 8 }).collect(),
                now_is: change(&argmax),
            }),
        }
    }

    /// By hand, with ranks cut at 10. Related, type a: the target goes from rank 30 to 4, the argmax from
    /// 1 to 3: |4 − 1| = 3, and |4 − 3| = 1 against the argmax now. Type b has two cases: |20→10 − 1| = 9,
    /// and 0. So a has 3, b 4.5, and all of it 3.75.
    #[test]
    fn means_are_those_of_a_calculation_by_hand() {
        let patches = [
            patch(
                "a",
                &[
                    (((30, 0.1), (4, 0.25)), ((1, 0.5), (3, 0.375)), false),
                    (((2, 0.25), (5, 0.125)), ((1, 0.5), (1, 0.5)), true),
                ],
            ),
            patch(
                "b",
                &[
                    (((40, 0.0), (20, 0.0)), ((1, 0.75), (1, 0.75)), true),
                    (((12, 0.0), (25, 0.0)), ((1, 0.5), (1, 0.5)), true),
                    (((3, 0.5), (1, 1.0)), ((1, 0.5), (2, 0.0)), false),
                ],
            ),
            patch("b", &[(((3, 0.5), (1, 1.0)), ((1, 1.0), (2, 0.0)), false)]),
        ];
        let of = |related: bool| {
            let rows: Vec<Row<'_>> = patches.iter().flat_map(|patch| rows(patch, 10)).collect();
            let rows: Vec<&Row<'_>> = rows.iter().filter(|row| row.related == related).collect();
            means(&probe_frame(&rows).unwrap(), &super::PROBE).unwrap()
        };
        let values = |found: &super::Lookup, scope: &str| -> Vec<f64> {
            let found = &found[&(scope.to_string(), "m".to_string())];
            found.iter().map(|value| value.unwrap()).collect()
        };
        let related = of(true);
        // rank, P, against the argmax now, signed change (30 counts as 10), on top, kept
        let a = [3.0, 0.25, 1.0, 0.125, -6.0, 0.15, 0.0, 0.0];
        let b = [4.5, 0.375, 5.0, 0.875, -1.0, 0.25, 0.5, 0.5];
        for (scope, wanted) in [("a", a), ("subb", b), ("b", b)] {
            for (found, wanted) in values(&related, scope).iter().zip(wanted) {
                assert!((found - wanted).abs() < 1e-7, "{scope}: {found} is not {wanted}");
            }
        }
        let overall = values(&related, OVERALL);
        for (index, found) in overall.iter().enumerate() {
            assert!((found - (a[index] + b[index]) / 2.0).abs() < 1e-7, "{index}");
        }
        // Unrelated, against the target before: |5 − 2|; then |10 − 10| and |1 − 3|.
        let unrelated = of(false);
        assert_eq!(values(&unrelated, "a")[..2], [3.0, 0.125]);
        assert_eq!(values(&unrelated, "b")[..2], [1.0, 0.25]);
        assert_eq!(values(&unrelated, OVERALL)[..2], [2.0, 0.1875]);
        assert_eq!(values(&unrelated, "b")[6..], [0.5, 0.5]);
    }
}
