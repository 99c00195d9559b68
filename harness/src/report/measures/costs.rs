//! Costs of edits, by data set and method: the measures of RQ2 (paper, III-E). Several tables are made of
//! them.

use crate::edit::Phases;
use crate::records::Record;
use crate::records::manifest::Identity;
use crate::report::measures::bootstrap::{Clusters, Sums, ratio};
use crate::report::measures::consistency::check_trial;
use crate::report::measures::frame::{TableOrder, lookup, trials};
use crate::report::measures::groups::{Aggregate, grouped, of_dataset, with_text};
use crate::table::{Better, Format, Group, Interval, Row};
use anyhow::{Result, ensure};
use polars::prelude::{Column, DataFrame};
use std::collections::HashMap;

/// Figures that settings are compared by, with the direction of better values.
pub(crate) const HEADLINE: [(&str, Better, Format); 5] = [
    ("SkipAction Rate", Better::Lower, Format::Percent),
    ("#PatchedNeuron", Better::Lower, Format::Three),
    ("distinct neurons", Better::Lower, Format::Three),
    ("NeuronCost", Better::Lower, Format::Three),
    ("Kept", Better::Higher, Format::Percent),
];

/// A method, its figures, and the confidence intervals of their differences from another method's.
pub(crate) type Differences = (String, Vec<Option<f64>>, Vec<Option<Interval>>);

/// All data sets together.
pub(crate) const ALL: &str = "All";

/// Means over the errors of one data set under one method.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) errors: f64,
    /// Share of errors skipped.
    pub(crate) skipped: f64,
    /// Patches of an edit; `None` where every error was skipped.
    pub(crate) patched: Option<f64>,
    /// Neurons of an edit, each counted once; `None` likewise.
    pub(crate) distinct: Option<f64>,
    /// NeuronCost: patches, one more than the quota where skipped; `None` where edits are no patches of neurons.
    pub(crate) nc: Option<f64>,
    /// NeuronCost with neurons counted once; `None` likewise.
    pub(crate) nc_distinct: Option<f64>,
    /// TimeCost and its phases, seconds.
    pub(crate) phases: Phases,
    /// Share of unrelated predictions that edits keep, where they were probed.
    pub(crate) kept: Option<f64>,
    /// Parallel prompts, of a method that uses them.
    pub(crate) parallel: Option<f64>,
    confidence: Confidence,
}

/// Confidence intervals of some of the means.
#[derive(Clone, Copy, Debug, Default)]
struct Confidence {
    nc: Option<Interval>,
    patched: Option<Interval>,
    distinct: Option<Interval>,
    skipped: Option<Interval>,
}

/// A mean as tables show it, its confidence interval, and of how many errors it is.
pub(crate) struct Figure {
    value: fn(&Cost) -> Option<f64>,
    interval: fn(&Cost) -> Option<Interval>,
    count: fn(&Cost) -> f64,
}

impl Figure {
    /// A mean over all errors, without an interval.
    const fn new(value: fn(&Cost) -> Option<f64>) -> Self {
        Self { value, interval: |_| None, count: |cost| cost.errors }
    }
}

/// NeuronCost.
pub(crate) const NC: Figure = Figure { interval: |c| c.confidence.nc, ..Figure::new(|c| c.nc) };
/// TimeCost, seconds.
pub(crate) const TC: Figure = Figure::new(|c| Some(c.phases.total()));
/// Patches of an edit.
pub(crate) const PATCHED: Figure = Figure {
    interval: |c| c.confidence.patched,
    count: |c| (c.errors * (1.0 - c.skipped)).round(),
    ..Figure::new(|c| c.patched)
};
/// Neurons of an edit, each counted once.
pub(crate) const DISTINCT: Figure =
    Figure { interval: |c| c.confidence.distinct, value: |c| c.distinct, ..PATCHED };
/// NeuronCost with neurons counted once.
pub(crate) const NC_DISTINCT: Figure = Figure::new(|c| c.nc_distinct);
/// Share of errors skipped.
pub(crate) const SKIPPED: Figure =
    Figure { interval: |c| c.confidence.skipped, ..Figure::new(|c| Some(c.skipped)) };
/// Share of unrelated predictions that edits keep.
pub(crate) const KEPT: Figure = Figure::new(|c| c.kept);
/// Number of errors.
pub(crate) const ERRORS: Figure = Figure::new(|c| Some(c.errors));

/// Costs by data set (and [`ALL`], where there are several) and method.
pub(crate) struct Costs {
    pub(crate) datasets: Vec<&'static str>,
    /// Methods with trials, in the order of the tables.
    pub(crate) methods: Vec<String>,
    /// Methods that do not compete.
    controls: Vec<String>,
    found: HashMap<(String, String), Cost>,
    /// A row an error: that of [`trials`], with its NeuronCost as `nc`.
    pub(crate) frame: DataFrame,
}

const NAMES: [&str; 13] = [
    "errors",
    "skipped",
    "patched",
    "nc",
    "trace",
    "locate",
    "estimate",
    "plan",
    "apply",
    "kept",
    "parallel",
    "distinct",
    "skip cost",
];

impl Costs {
    /// `None` where no method was run.
    ///
    /// # Errors
    /// If a record contradicts itself, or is of a method that `identity` does not know.
    pub(crate) fn of(
        records: &[Record],
        order: &TableOrder,
        identity: &Identity,
    ) -> Result<Option<Self>> {
        let quotas = identity.quotas();
        for record in records {
            if let Record::Trial(own) = record {
                check_trial(&own.trial, quotas.get(&own.trial.method).copied())?;
            }
        }
        let trials = trials(records)?;
        if trials.height() == 0 {
            return Ok(None);
        }
        let labels = trials.column("method")?.str()?;
        let of = |label: Option<&str>| quotas[label.unwrap_or_default()].map(|quota| 1.0 + quota);
        let skip_cost: Vec<Option<f64>> = labels.iter().map(of).collect();
        let patched = trials.column("patched")?.f64()?.iter();
        let cost = patched.zip(&skip_cost).map(|(patched, skip)| patched.or(*skip));
        let cost: Vec<Option<f64>> = cost.collect();
        let costs = [Column::new("skip cost".into(), skip_cost), Column::new("nc".into(), cost)];
        let errors = with_text(&trials.hstack(&costs)?, "stratum", "")?;
        let mut frame = errors.clone();
        let mut datasets: Vec<&str> =
            order.datasets.iter().map(|dataset| dataset.label()).collect();
        if datasets.len() > 1 {
            datasets.push(ALL);
            frame.vstack_mut(&with_text(&errors, "dataset", ALL)?)?;
        }
        let aggregate = |name: &&'static str| {
            let aggregate = if *name == "errors" { Aggregate::Sum } else { Aggregate::Mean };
            (*name, aggregate, *name)
        };
        let aggregates: Vec<_> = NAMES.iter().map(aggregate).collect();
        let costs = grouped(&frame, &["dataset", "method"], &aggregates)?;
        let mut found = HashMap::new();
        for (key, values) in lookup(&costs, &NAMES)? {
            check_identity(&values)
                .map_err(|error| error.context(format!("{} on {}", key.1, key.0)))?;
            found.insert(key, Cost::of(&values));
        }
        for dataset in datasets.iter().filter(|dataset| **dataset != ALL) {
            let own = of_dataset(&errors, dataset)?;
            for (method, own) in order.methods.iter().zip(confidence(&own, &order.methods)?) {
                if let Some(cost) = found.get_mut(&(dataset.to_string(), method.clone())) {
                    // Nothing is certain of what is not counted.
                    let nc = own.nc.filter(|_| cost.nc.is_some());
                    let patched = own.patched.filter(|_| cost.patched.is_some());
                    let distinct = own.distinct.filter(|_| cost.distinct.is_some());
                    cost.confidence = Confidence { nc, patched, distinct, ..own };
                }
            }
        }
        let mut methods = order.methods.clone();
        methods.retain(|method| found.keys().any(|(_, known)| known == method));
        let controls = methods.iter().filter(|label| identity.is_control(label)).cloned().collect();
        Ok(Some(Self { datasets, methods, controls, found, frame: errors }))
    }

    pub(crate) fn get(&self, dataset: &str, method: &str) -> Option<Cost> {
        self.found.get(&(dataset.to_string(), method.to_string())).copied()
    }

    /// The mean over all data.
    pub(crate) fn over_all(&self, method: &str) -> Option<Cost> {
        self.get(self.datasets.last()?, method)
    }

    /// Number of errors behind the means. Methods whose edits pile up may have met fewer.
    pub(crate) fn counted(&self) -> String {
        let most = |dataset: &&str| {
            let errors = self.methods.iter().filter_map(|method| self.get(dataset, method));
            let most = errors.map(|cost| cost.errors).fold(0.0, f64::max);
            format!("{dataset} {most}")
        };
        let counts: Vec<String> = self.datasets.iter().map(most).collect();
        format!("LLM errors: {}", counts.join(", "))
    }

    /// The figures of [`HEADLINE`] of each method over all data, and the confidence intervals of their
    /// differences from those of `reference`, drawn datum by datum within each data set.
    ///
    /// # Errors
    /// If the frame lacks a column.
    pub(crate) fn against(&self, reference: &str) -> Result<Vec<Differences>> {
        let columns =
            ["errors", "nc", "skipped", "solved", "patched", "distinct", "kept", "probed"];
        let kept = self.frame.column("kept")?.f64()?.iter();
        let probed: Vec<f64> = kept.map(|kept| f64::from(kept.is_some())).collect();
        let stratum = self.frame.column("dataset")?.clone().with_name("stratum".into());
        let mut frame = self.frame.clone();
        frame.with_column(stratum)?.with_column(Column::new("probed".into(), probed))?;
        let place = self.methods.iter().position(|method| method == reference);
        let clusters = Clusters::of(&frame, &self.methods, &columns)?;
        let figures = |sums: &Sums<'_>, method: usize| -> Vec<Option<f64>> {
            let mut all = [0.0; 8];
            for stratum in sums.of(method) {
                all.iter_mut().zip(stratum).for_each(|(sum, value)| *sum += value);
            }
            let [errors, nc, skipped, solved, patched, distinct, kept, probed] = all;
            vec![
                ratio(skipped, errors),
                counted(ratio(patched, solved)),
                counted(ratio(distinct, solved)),
                counted(ratio(nc, errors)),
                ratio(kept, probed),
            ]
        };
        let all = 0..self.methods.len();
        let own: Vec<Vec<Option<f64>>> =
            clusters.whole(|sums| all.map(|method| figures(sums, method)).collect());
        let (_, intervals) = clusters.compared(self.methods.len(), place, figures);
        let both = self.methods.iter().zip(own).zip(intervals);
        Ok(both.map(|((method, values), intervals)| (method.clone(), values, intervals)).collect())
    }

    /// A column group: one figure, a column a data set.
    pub(crate) fn group(&self, title: &str, better: Better, format: Format) -> Group {
        let column = |&title: &&'static str| crate::table::Column { title, better, format };
        Group { title: title.into(), columns: self.datasets.iter().map(column).collect() }
    }

    /// A row a method, its cells those of `figures`, each for every data set.
    pub(crate) fn rows(&self, figures: &[Figure]) -> Vec<Row> {
        let row = |method: &String| {
            let costs: Vec<Option<Cost>> =
                self.datasets.iter().map(|dataset| self.get(dataset, method)).collect();
            let mut row = Row::new(method, Vec::new());
            for figure in figures {
                row.cells.extend(costs.iter().map(|cost| (figure.value)(cost.as_ref()?)));
                row.intervals.extend(costs.iter().map(|cost| (figure.interval)(cost.as_ref()?)));
                row.counts.extend(costs.iter().map(|cost| cost.as_ref().map(figure.count)));
            }
            Row { competes: !self.controls.contains(method), ..row }
        };
        self.methods.iter().map(row).collect()
    }
}

impl Cost {
    /// From the values of [`NAMES`].
    fn of(values: &[Option<f64>]) -> Self {
        let value = |index: usize| values[index].unwrap_or_default();
        Self {
            errors: value(0),
            skipped: value(1),
            patched: values[2],
            distinct: values[11],
            nc: values[3],
            nc_distinct: values[12].map(|skip| value(1) * skip + (1.0 - value(1)) * value(11)),
            phases: Phases {
                trace: value(4),
                locate: value(5),
                estimate: value(6),
                plan: value(7),
                apply: value(8),
            },
            kept: values[9],
            parallel: values[10],
            confidence: Confidence::default(),
        }
    }
}

/// The confidence intervals of every method on the errors of one data set, drawn datum by datum.
fn confidence(errors: &DataFrame, methods: &[String]) -> Result<Vec<Confidence>> {
    let columns = ["errors", "nc", "skipped", "solved", "patched", "distinct"];
    let found = Clusters::of(errors, methods, &columns)?.intervals(|sums| {
        let figures = |method: usize| -> [Option<f64>; 4] {
            let Some(&[errors, nc, skipped, solved, patched, distinct]) = sums.of(method).next()
            else {
                return [None; 4];
            };
            [
                ratio(nc, errors),
                ratio(skipped, errors),
                ratio(patched, solved),
                ratio(distinct, solved),
            ]
        };
        (0..methods.len()).flat_map(figures).collect()
    });
    let of = |&[nc, skipped, patched, distinct]: &[Option<Interval>; 4]| Confidence {
        nc,
        patched,
        distinct,
        skipped,
    };
    Ok(found.as_chunks().0.iter().map(of).collect())
}

/// A mean of neurons, which is above zero where they are counted.
fn counted(mean: Option<f64>) -> Option<f64> {
    mean.filter(|mean| *mean > 0.0)
}

/// The identity that ties NeuronCost to its parts.
fn check_identity(values: &[Option<f64>]) -> Result<()> {
    let (Some(nc), Some(skip_cost)) = (values[3], values[12]) else { return Ok(()) };
    let skip = values[1].unwrap_or(0.0);
    let expected = skip * skip_cost + (1.0 - skip) * values[2].unwrap_or(0.0);
    ensure!(
        (nc - expected).abs() < 1e-9,
        "NeuronCost {nc} is not skip·{skip_cost} + (1 - skip)·patched = {expected}: the records disagree"
    );
    Ok(())
}
