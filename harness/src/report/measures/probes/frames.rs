//! Probes and cases as polars frames, and their means.

use crate::config::RankRule;
use crate::edit::Outcome;
use crate::records::{ProbeTrial, Probed};
use crate::report::measures::frame::{Lookup, lookup, patched};
use crate::report::measures::groups::{Aggregate, grouped, with_text};
use crate::report::measures::probes::{OVERALL, PROBE};
use anyhow::Result;
use polars::prelude::*;
use std::collections::{BTreeMap, HashMap};

/// Reading of ranks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadRank {
    /// The largest rank that counts.
    pub(crate) cap: u32,
    /// Treatment of larger ranks.
    pub(crate) rule: RankRule,
}

impl ReadRank {
    /// `rank` as it counts; `None` if it is dropped.
    fn rank(self, rank: u32) -> Option<f64> {
        match self.rule {
            RankRule::Clamp => Some(f64::from(rank.min(self.cap))),
            RankRule::Drop => (rank <= self.cap).then(|| f64::from(rank)),
        }
    }
}

/// One probe of one edit.
pub(crate) struct ProbeRow<'r> {
    patch: &'r ProbeTrial,
    pub(crate) related: bool,
    /// Subtype of the sample that is probed; `None` of a related one, or where the run did not record the
    /// order of subtypes.
    probed: Option<&'r str>,
    /// `None` where a rank has no place under the rank rule.
    pub(crate) values: [Option<f64>; PROBE.len()],
}

/// The probes of `patch`. `subtypes` are the type and name of every subtype, in the order of the benchmark.
pub(crate) fn rows<'r>(
    patch: &'r ProbeTrial,
    read: ReadRank,
    subtypes: &'r [(String, String)],
) -> impl Iterator<Item = ProbeRow<'r>> {
    let others =
        subtypes.iter().filter(|(of, name)| *of == patch.name.of && *name != patch.name.subtype);
    let others: Vec<&str> = others.map(|(_, name)| name.as_str()).collect();
    let unrelated = patch.probes.argmax.len() - patch.probes.related;
    let Probed { related, target, argmax, argmax_is, now, .. } = patch.probes.as_ref();
    (0..argmax.len()).map(move |index| {
        let rank = |ranks: &[u32]| read.rank(ranks[index]);
        let distance = |one: Option<f64>, other: Option<f64>| Some((one? - other?).abs());
        let probability = |of: &[f32]| f64::from(of[index]);
        let (rank_before, rank_after) = (rank(&target.rank_before), rank(&target.rank_after));
        let before = probability(&target.probability_before);
        let after = probability(&target.probability_after);
        let first = *related;
        let related = index < first;
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
            distance(rank_after, reference.0),
            Some((after - reference.1).abs()),
            distance(rank_after, reference_now.0),
            Some((after - reference_now.1).abs()),
            rank_after.zip(rank_before).map(|(after, before)| after - before),
            Some(after - before),
            Some(on_top),
            Some(f64::from(now[index] == argmax[index])),
        ];
        let probed = (!related)
            .then(|| others.get((index - first) * others.len() / unrelated.max(1)).copied())
            .flatten();
        ProbeRow { patch, related, probed, values }
    })
}

fn names<'p>(patches: impl Iterator<Item = &'p ProbeTrial>) -> Vec<Column> {
    let (mut of, mut subtype, mut method) = (Vec::new(), Vec::new(), Vec::new());
    for patch in patches {
        of.push(patch.name.of.as_str());
        subtype.push(patch.name.subtype.as_str());
        method.push(patch.trial.method.as_str());
    }
    vec![
        Column::new("type".into(), of),
        Column::new("subtype".into(), subtype),
        Column::new("method".into(), method),
    ]
}

/// A row a probe.
pub(crate) fn probe_frame(rows: &[&ProbeRow<'_>]) -> Result<DataFrame> {
    let mut columns = names(rows.iter().map(|row| row.patch));
    for (index, name) in PROBE.iter().enumerate() {
        let values: Vec<Option<f64>> = rows.iter().map(|row| row.values[index]).collect();
        columns.push(Column::new((*name).into(), values));
    }
    Ok(DataFrame::new_infer_height(columns)?)
}

/// Means of rank and probability errors by (probed subtype, method), and of how many probes they are.
pub(crate) fn by_probed(rows: &[&ProbeRow<'_>]) -> Result<Lookup> {
    let known: Vec<&ProbeRow<'_>> =
        rows.iter().copied().filter(|row| row.probed.is_some()).collect();
    let probed: Vec<Option<&str>> = known.iter().map(|row| row.probed).collect();
    let frame = probe_frame(&known)?.hstack(&[Column::new("dataset".into(), probed)])?;
    let aggregates = [
        ("rank", Aggregate::Mean, "rank"),
        ("probability", Aggregate::Mean, "probability"),
        ("kept", Aggregate::Count, "count"),
    ];
    let means = grouped(&frame, &["dataset", "method"], &aggregates)?;
    lookup(&means, &["rank", "probability", "count"])
}

/// A row a case.
pub(crate) fn patch_frame(
    patches: &[&ProbeTrial],
    quotas: &BTreeMap<String, Option<f64>>,
) -> Result<DataFrame> {
    let mut columns = names(patches.iter().copied());
    let skipped = |patch: &ProbeTrial| patch.trial.outcome == Outcome::Skipped;
    let number = |name: &str, of: &dyn Fn(&ProbeTrial) -> Option<f64>| {
        let values: Vec<Option<f64>> = patches.iter().map(|patch| of(patch)).collect();
        Column::new(name.into(), values)
    };
    columns.push(number("cases", &|_| Some(1.0)));
    columns.push(number("nc", &|patch| {
        let quota = quotas[&patch.trial.method]?;
        Some(if skipped(patch) { quota + 1.0 } else { patch.trial.neurons.len() as f64 })
    }));
    columns.push(number("skipped", &|patch| Some(f64::from(skipped(patch)))));
    let solved = |patch: &ProbeTrial| patched(&patch.trial);
    columns.push(number("patched", &|patch| {
        solved(patch).then_some(patch.trial.neurons.len() as f64)
    }));
    columns.push(number("distinct", &|patch| {
        solved(patch).then_some(patch.trial.distinct_neurons() as f64)
    }));
    columns.push(number("seconds", &|patch| Some(patch.trial.seconds.total())));
    columns.push(number("alone", &|patch| patch.trial.parallel.map(|found| f64::from(found == 0))));
    Ok(DataFrame::new_infer_height(columns)?)
}

/// Means of `columns` by (type, subtype or [`OVERALL`], method); of `cases`, the sum.
pub(crate) fn means<'n>(frame: &DataFrame, columns: &[&'n str]) -> Result<Lookup> {
    let aggregated = |column: &&'n str| match *column {
        "cases" => ("cases", Aggregate::Sum, "cases"),
        other => (other, Aggregate::Mean, other),
    };
    let values: Vec<_> = columns.iter().map(aggregated).collect();
    let mut found = HashMap::new();
    for scope in ["type", "subtype"] {
        let mut means = grouped(frame, &[scope, "method"], &values)?;
        means.rename(scope, "dataset".into())?;
        found.extend(lookup(&means, columns)?);
        if scope == "type" {
            let overall = with_text(&grouped(&means, &["method"], &values)?, "dataset", OVERALL)?;
            found.extend(lookup(&overall, columns)?);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{OVERALL, PROBE, ProbeRow, ReadRank, means, probe_frame, rows};
    use crate::config::RankRule;
    use crate::edit::{Observation, Outcome, Phases};
    use crate::records::{CaseName, Change, ProbeTrial, Probed, Texts, Trial, TrialId};

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
    fn patch(of: &str, probes: &[(Seen, Seen, bool)]) -> ProbeTrial {
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
        ProbeTrial {
            trial: Trial {
                id: TrialId::of_case("", &name),
                method: "m".into(),
                target: 1,
                texts: Texts::default(),
                outcome: Outcome::Solved,
                before: seen,
                after: seen,
                neurons: Vec::new(),
                size: None,
                parallel: None,
                halvings: 0,
                seconds: Phases::default(),
            },
            name,
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

    /// Calculation by hand, with ranks clamped at 10. Related, type a: the target goes from rank 30 to 4, the
    /// argmax from 1 to 3: |4 − 1| = 3, and |4 − 3| = 1 against the argmax now. Type b has two cases: |20→10
    /// − 1| = 9, and 0. So a has 3, b 4.5, and all of it 3.75.
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
        let of = |related: bool, rule: RankRule| {
            let read = ReadRank { cap: 10, rule };
            let rows: Vec<ProbeRow<'_>> =
                patches.iter().flat_map(|patch| rows(patch, read, &[])).collect();
            let rows: Vec<&ProbeRow<'_>> =
                rows.iter().filter(|row| row.related == related).collect();
            means(&probe_frame(&rows).unwrap(), &PROBE).unwrap()
        };
        let values = |found: &super::Lookup, scope: &str| -> Vec<f64> {
            let found = &found[&(scope.to_string(), "m".to_string())];
            found.iter().map(|value| value.unwrap()).collect()
        };
        let related = of(true, RankRule::Clamp);
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
        let unrelated = of(false, RankRule::Clamp);
        assert_eq!(values(&unrelated, "a")[..2], [3.0, 0.125]);
        assert_eq!(values(&unrelated, "b")[..2], [1.0, 0.25]);
        assert_eq!(values(&unrelated, OVERALL)[..2], [2.0, 0.1875]);
        assert_eq!(values(&unrelated, "b")[6..], [0.5, 0.5]);
        // Dropped: of type b, related, the target at rank 20; unrelated, the target at 12 and then 25.
        let related = of(true, RankRule::Drop);
        let b = &related[&("b".to_string(), "m".to_string())];
        assert_eq!((b[0], b[1]), (Some(0.0), Some(0.375)), "probabilities are not dropped");
        assert_eq!(values(&of(false, RankRule::Drop), "b")[..2], [2.0, 0.25]);
    }
}
