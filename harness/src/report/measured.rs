//! Measurements of approaches, cluster by cluster: what paired tests are made of.

use super::costs::Costs;
use super::frame::Order;
use super::probes::Probes;
use super::scores::scores;
use crate::store::Run;
use anyhow::Result;
use polars::prelude::*;
use std::collections::{BTreeMap, HashMap};

/// What is measured. A value is the mean over a cluster: a datum with its errors, or a subtype with its
/// cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Measure {
    /// Exact match.
    Em,
    /// Broad match.
    Bm,
    /// Longest match.
    Lm,
    /// ROUGE-L.
    Rouge,
    /// NeuronCost.
    Nc,
    /// Share of errors skipped.
    Skipped,
    /// TimeCost, seconds.
    Tc,
    /// Share of the edits with at most two neurons.
    Few,
    /// Mean absolute error of the target's rank on related samples.
    RelatedRank,
    /// That on unrelated samples.
    UnrelatedRank,
    /// That of its probability on unrelated samples.
    UnrelatedProbability,
}

impl Measure {
    /// All of them, with the names that tables have for them.
    pub(super) const ALL: [(Self, &str); 11] = [
        (Self::Em, "EM"),
        (Self::Bm, "BM"),
        (Self::Lm, "LM"),
        (Self::Rouge, "ROUGE"),
        (Self::Nc, "NC"),
        (Self::Skipped, "skipped"),
        (Self::Tc, "TC, s"),
        (Self::Few, "edits of 1 or 2 neurons"),
        (Self::RelatedRank, "generalization, MAE rank"),
        (Self::UnrelatedRank, "specificity, MAE rank"),
        (Self::UnrelatedProbability, "specificity, MAE prob"),
    ];
}

/// Means by scope (a data set, or a benchmark) and cluster.
type Values = BTreeMap<(String, String), f64>;

/// All that was measured.
#[derive(Default)]
pub(super) struct Measured(HashMap<(Measure, String), Values>);

impl Measured {
    /// All measurements of a run.
    pub(super) fn of(run: &Run) -> Result<Self> {
        let Run { records, manifest, .. } = run;
        let order = Order::of(records, manifest.identity.methods.keys());
        let mut own = Self::default();
        own.add_scores(&scores(records)?)?;
        if let Some(costs) = Costs::of(records, &order, &manifest.identity)? {
            own.add_errors(&costs.errors)?;
        }
        if let Some(probes) = Probes::of(records, manifest)? {
            own.add_probes(&probes);
        }
        Ok(own)
    }

    /// Takes in the predictions of a frame of [`scores`](super::scores::scores).
    pub(super) fn add_scores(&mut self, scores: &DataFrame) -> Result<()> {
        let columns = [
            (Measure::Em, "EM"),
            (Measure::Bm, "BM"),
            (Measure::Lm, "LM"),
            (Measure::Rouge, "ROUGE"),
        ];
        self.add(scores.clone().lazy(), "datum", &columns)
    }

    /// Takes in a frame of errors: see [`Costs::of`](super::costs::Costs::of).
    pub(super) fn add_errors(&mut self, errors: &DataFrame) -> Result<()> {
        let phases = ["trace", "locate", "estimate", "plan", "apply"].map(col);
        let seconds = phases.into_iter().reduce(|sum, phase| sum + phase).expect("five phases");
        let few = col("patched").lt_eq(lit(2.0)).cast(DataType::Float64);
        let frame = errors.clone().lazy().with_columns([seconds.alias("tc"), few.alias("few")]);
        let columns = [
            (Measure::Nc, "nc"),
            (Measure::Skipped, "skipped"),
            (Measure::Tc, "tc"),
            (Measure::Few, "few"),
        ];
        self.add(frame, "cluster", &columns)
    }

    /// Takes in what probed edits come to, subtype by subtype.
    pub(super) fn add_probes(&mut self, probes: &Probes) {
        for method in &probes.methods {
            for subtype in &probes.subtypes {
                let (related, unrelated) =
                    (probes.related(subtype, method), probes.unrelated(subtype, method));
                let values = [
                    (Measure::RelatedRank, related.rank),
                    (Measure::UnrelatedRank, unrelated.rank),
                    (Measure::UnrelatedProbability, unrelated.probability),
                    (Measure::Nc, probes.patching(subtype, method).nc),
                ];
                for (measure, value) in values {
                    let key = (String::new(), subtype.clone());
                    let own = self.0.entry((measure, method.clone())).or_default();
                    own.extend(value.map(|value| (key, value)));
                }
            }
        }
    }

    /// Takes in the means of `columns` by `dataset`, `cluster` and method.
    fn add(&mut self, frame: LazyFrame, cluster: &str, columns: &[(Measure, &str)]) -> Result<()> {
        let keys = ["dataset", cluster, "method"];
        let means: Vec<Expr> = columns.iter().map(|(_, name)| col(*name).mean()).collect();
        let means = frame.group_by_stable(keys.map(col)).agg(means).collect()?;
        let [scopes, clusters, methods] = keys.map(|key| means.column(key));
        let (scopes, clusters, methods) = (scopes?.str()?, clusters?.str()?, methods?.str()?);
        for (measure, name) in columns {
            let values = means.column(name)?.f64()?;
            for (index, value) in values.iter().enumerate() {
                let text = |of: &StringChunked| of.get(index).unwrap_or_default().to_string();
                let own = self.0.entry((*measure, text(methods))).or_default();
                own.extend(value.map(|value| ((text(scopes), text(clusters)), value)));
            }
        }
        Ok(())
    }

    /// Of `measure` under `approach` here and in `other`, under another label there: pairs of the clusters
    /// that both have, by scope.
    pub(super) fn pairs(
        &self,
        other: &Self,
        measure: Measure,
        [approach, there]: [&str; 2],
    ) -> BTreeMap<String, Vec<(f64, f64)>> {
        let own = self.0.get(&(measure, approach.to_string()));
        let others = other.0.get(&(measure, there.to_string()));
        let mut pairs: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        for (key, value) in own.into_iter().flatten() {
            if let Some(there) = others.and_then(|others| others.get(key)) {
                pairs.entry(key.0.clone()).or_default().push((*value, *there));
            }
        }
        pairs
    }

    /// What `approach` has more than `other` of `measure` in the clusters that both have, by scope.
    pub(super) fn differences(
        &self,
        measure: Measure,
        approach: &str,
        other: &str,
    ) -> Vec<Vec<f64>> {
        let of = |approach: &str| self.0.get(&(measure, approach.to_string()));
        let (Some(own), Some(others)) = (of(approach), of(other)) else { return Vec::new() };
        by_scope(own.iter().filter_map(|(key, value)| Some((key, value - others.get(key)?))))
    }

    /// What `approach` has of `measure` more than `bound`, by scope.
    pub(super) fn above(&self, measure: Measure, approach: &str, bound: f64) -> Vec<Vec<f64>> {
        let own = self.0.get(&(measure, approach.to_string()));
        by_scope(own.into_iter().flatten().map(|(key, value)| (key, value - bound)))
    }
}

fn by_scope<'k>(values: impl Iterator<Item = (&'k (String, String), f64)>) -> Vec<Vec<f64>> {
    let mut scopes: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for ((scope, _), value) in values {
        scopes.entry(scope).or_default().push(value);
    }
    scopes.into_values().collect()
}
