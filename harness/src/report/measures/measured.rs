//! Measurements of approaches, cluster by cluster: what paired tests are made of.

use crate::metric::{Kind, METRICS};
use crate::report::measures::groups::{Aggregate, grouped};
use crate::report::measures::probes::ProbeMeans;
use crate::report::measures::sources::Sources;
use anyhow::Result;
use polars::prelude::*;
use std::collections::{BTreeMap, HashMap};

/// Measure. A value is the mean over a cluster: a datum with its errors, or a subtype with its cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Measure {
    /// A metric that is a mean over data, by its name in [`METRICS`].
    Score(&'static str),
    /// The same of what is written freely.
    Free(&'static str),
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
    /// Mean absolute error of the target's probability on related samples.
    RelatedProbability,
    /// Mean absolute error of the target's rank on unrelated samples.
    UnrelatedRank,
    /// Mean absolute error of the target's probability on unrelated samples.
    UnrelatedProbability,
}

impl Measure {
    /// True for the effects of an edit on other samples.
    pub(crate) fn is_of_probes(self) -> bool {
        match self {
            Self::RelatedRank
            | Self::RelatedProbability
            | Self::UnrelatedRank
            | Self::UnrelatedProbability => true,
            Self::Score(_) | Self::Free(_) | Self::Nc | Self::Skipped | Self::Tc | Self::Few => {
                false
            }
        }
    }

    /// The metrics that are means over data, by their names.
    fn scores() -> impl Iterator<Item = (Self, &'static str)> {
        let means = METRICS.iter().filter(|metric| matches!(metric.kind, Kind::Mean(_)));
        means.map(|metric| (Self::Score(metric.name), metric.name))
    }

    /// The measures that two runs are compared by, with the names that tables have for them.
    pub(crate) fn compared() -> Vec<(Self, &'static str)> {
        let others = [
            (Self::Nc, "NC"),
            (Self::Skipped, "skipped"),
            (Self::Tc, "TC, s"),
            (Self::RelatedRank, "generalization, MAE rank"),
            (Self::RelatedProbability, "generalization, MAE prob"),
            (Self::UnrelatedRank, "specificity, MAE rank"),
            (Self::UnrelatedProbability, "specificity, MAE prob"),
        ];
        Self::scores().chain(others).collect()
    }
}

/// The mean of a cluster, and of how many errors or cases it is: means of unequally many are of other
/// errors, and no pair.
#[derive(Clone, Copy)]
struct Mean {
    value: f64,
    count: f64,
}

/// The means of a cluster, by scope (a data set; none in a probing run) and cluster.
type ClusterMeans = BTreeMap<(String, String), Vec<(Measure, Mean)>>;

/// All that was measured, by approach.
#[derive(Default)]
pub(crate) struct Measured {
    clusters: HashMap<String, ClusterMeans>,
    /// Means of unrelated probes by the subtype that is probed. A sample is probed for several patched
    /// subtypes, so the clusters by patched subtype are not independent, nor are these: a test takes both.
    probed: HashMap<String, ClusterMeans>,
}

impl Measured {
    /// All measurements of a run.
    pub(crate) fn of(sources: &Sources<'_>) -> Result<Self> {
        let mut own = Self::default();
        if let Some(scores) = &sources.scores {
            own.add_scores(scores)?;
        }
        if let Some(texts) = &sources.free {
            let free = Measure::scores().map(|(_, name)| (Measure::Free(name), name));
            own.add(&texts.scores, "datum", &free.collect::<Vec<_>>())?;
        }
        if let Some(costs) = &sources.costs {
            own.add_errors(&costs.frame)?;
        }
        if let Some(probes) = &sources.probes {
            own.add_probes(probes);
        }
        Ok(own)
    }

    /// Takes in the predictions of a frame of [`scores`](super::scores::scores).
    fn add_scores(&mut self, scores: &DataFrame) -> Result<()> {
        let columns: Vec<(Measure, &str)> = Measure::scores().collect();
        self.add(scores, "datum", &columns)
    }

    /// Takes in a frame of errors: see [`Costs::of`](super::costs::Costs::of).
    fn add_errors(&mut self, errors: &DataFrame) -> Result<()> {
        let mut seconds = vec![0.0; errors.height()];
        for phase in ["trace", "locate", "estimate", "plan", "apply"] {
            let phase = errors.column(phase)?.f64()?.iter();
            seconds.iter_mut().zip(phase).for_each(|(sum, own)| *sum += own.unwrap_or_default());
        }
        let patched = errors.column("patched")?.f64()?.iter();
        let few: Vec<Option<f64>> =
            patched.map(|patched| patched.map(|patched| f64::from(patched <= 2.0))).collect();
        let frame =
            errors.hstack(&[Column::new("tc".into(), seconds), Column::new("few".into(), few)])?;
        let columns = [
            (Measure::Nc, "nc"),
            (Measure::Skipped, "skipped"),
            (Measure::Tc, "tc"),
            (Measure::Few, "few"),
        ];
        self.add(&frame, "cluster", &columns)
    }

    /// Adds the means of probed edits, subtype by subtype.
    fn add_probes(&mut self, probes: &ProbeMeans) {
        for method in &probes.methods {
            for subtype in &probes.subtypes {
                let (related, unrelated) =
                    (probes.related(subtype, method), probes.unrelated(subtype, method));
                let patching = probes.patching(subtype, method);
                let values = [
                    (Measure::RelatedRank, related.rank),
                    (Measure::RelatedProbability, related.probability),
                    (Measure::UnrelatedRank, unrelated.rank),
                    (Measure::UnrelatedProbability, unrelated.probability),
                    (Measure::Nc, patching.nc),
                    (Measure::Skipped, patching.skipped),
                    (Measure::Tc, patching.seconds),
                ];
                let count = patching.cases.unwrap_or_default();
                let means = values.into_iter();
                let means = means.filter_map(|(m, value)| Some((m, Mean { value: value?, count })));
                let own = self.clusters.entry(method.clone()).or_default();
                own.insert((String::new(), subtype.clone()), means.collect());
                if let Some([rank, probability, count]) = probes.probed(subtype, method) {
                    let count = count.unwrap_or_default();
                    let mean = |value: f64| Mean { value, count };
                    let means = [
                        (Measure::UnrelatedRank, rank.map(mean)),
                        (Measure::UnrelatedProbability, probability.map(mean)),
                    ];
                    let means = means.into_iter().filter_map(|(m, mean)| Some((m, mean?)));
                    let own = self.probed.entry(method.clone()).or_default();
                    own.insert((String::new(), subtype.clone()), means.collect());
                }
            }
        }
    }

    /// Takes in the means of `columns` by `dataset`, `cluster` and method.
    fn add(&mut self, frame: &DataFrame, cluster: &str, columns: &[(Measure, &str)]) -> Result<()> {
        let keys = ["dataset", cluster, "method"];
        let counted: Vec<String> =
            columns.iter().map(|(_, name)| format!("{name} count")).collect();
        let mut means = Vec::new();
        for ((_, name), counted) in columns.iter().zip(&counted) {
            means.push((*name, Aggregate::Mean, *name));
            means.push((*name, Aggregate::Count, counted.as_str()));
        }
        let means = grouped(frame, &keys, &means)?;
        let [scopes, clusters, methods] = keys.map(|key| means.column(key));
        let (scopes, clusters, methods) = (scopes?.str()?, clusters?.str()?, methods?.str()?);
        let values = columns
            .iter()
            .zip(&counted)
            .map(|((measure, name), counted)| {
                Ok((*measure, means.column(name)?.f64()?, means.column(counted)?.f64()?))
            })
            .collect::<Result<Vec<_>>>()?;
        for index in 0..means.height() {
            let mean = |(measure, values, counts): &(Measure, &Float64Chunked, &Float64Chunked)| {
                let (value, count) = (values.get(index)?, counts.get(index)?);
                Some((*measure, Mean { value, count }))
            };
            let text = |of: &StringChunked| of.get(index).unwrap_or_default().to_string();
            let own = self.clusters.entry(text(methods)).or_default();
            let cluster = own.entry((text(scopes), text(clusters))).or_default();
            cluster.extend(values.iter().filter_map(mean));
        }
        Ok(())
    }

    /// Pairs of `measure` under `approach` here and, under another label, in `other`: of the clusters in
    /// which both met as many errors, by scope.
    pub(crate) fn pairs(
        &self,
        other: &Self,
        measure: Measure,
        [approach, there]: [&str; 2],
    ) -> BTreeMap<&str, Vec<(f64, f64)>> {
        pairs(self.clusters.get(approach), other.clusters.get(there), measure)
    }

    /// Differences of `measure`, `approach` less `other`, in the clusters in which both met as many errors,
    /// by scope; for unrelated probes also in the clusters by probed subtype.
    pub(crate) fn differences(
        &self,
        measure: Measure,
        approach: &str,
        other: &str,
    ) -> Vec<Vec<f64>> {
        let of = |from: &'_ HashMap<String, ClusterMeans>| -> Vec<Vec<f64>> {
            let pairs = pairs(from.get(approach), from.get(other), measure).into_values();
            pairs.map(|pairs| pairs.iter().map(|(own, other)| own - other).collect()).collect()
        };
        [of(&self.clusters), of(&self.probed)].concat()
    }

    /// Differences of `measure` under `approach` and `bound`, by scope.
    pub(crate) fn above(&self, measure: Measure, approach: &str, bound: f64) -> Vec<Vec<f64>> {
        let own = self.means(measure, approach);
        by_scope(own.map(|(key, mean)| (key, mean.value - bound))).into_values().collect()
    }

    /// The mean of `measure` under `approach` over all data, errors or cases.
    pub(crate) fn mean(&self, measure: Measure, approach: &str) -> Option<f64> {
        let means = self.means(measure, approach).map(|(_, mean)| mean);
        let (sum, count) = means.fold((0.0, 0.0), |(sum, count), mean| {
            (sum + mean.value * mean.count, count + mean.count)
        });
        (count > 0.0).then(|| sum / count)
    }

    /// True if `approach` solved nothing, and so edited nothing.
    pub(crate) fn edits_nothing(&self, approach: &str) -> bool {
        let mut skipped = self.means(Measure::Skipped, approach).peekable();
        skipped.peek().is_some() && skipped.all(|(_, mean)| mean.value == 1.0)
    }

    /// The means of `measure` under `approach`, by scope and cluster.
    fn means(
        &self,
        measure: Measure,
        approach: &str,
    ) -> impl Iterator<Item = (&(String, String), Mean)> {
        let clusters = self.clusters.get(approach).into_iter().flatten();
        clusters.filter_map(move |(key, means)| Some((key, of(means, measure)?)))
    }
}

/// Pairs of the means of `measure` in the clusters in which both met as much, by scope.
fn pairs<'m>(
    one: Option<&'m ClusterMeans>,
    other: Option<&ClusterMeans>,
    measure: Measure,
) -> BTreeMap<&'m str, Vec<(f64, f64)>> {
    by_scope(one.into_iter().flatten().filter_map(|(key, means)| {
        let (one, other) = (of(means, measure)?, of(other?.get(key)?, measure)?);
        (one.count == other.count).then_some((key, (one.value, other.value)))
    }))
}

/// The mean of `measure` among those of a cluster.
fn of(means: &[(Measure, Mean)], measure: Measure) -> Option<Mean> {
    means.iter().find(|(own, _)| *own == measure).map(|(_, mean)| *mean)
}

fn by_scope<'k, T>(
    values: impl Iterator<Item = (&'k (String, String), T)>,
) -> BTreeMap<&'k str, Vec<T>> {
    let mut scopes: BTreeMap<&str, Vec<T>> = BTreeMap::new();
    for ((scope, _), value) in values {
        scopes.entry(scope).or_default().push(value);
    }
    scopes
}
