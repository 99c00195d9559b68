//! Confidence intervals by the percentile bootstrap (Efron 1979). Whole clusters are drawn, as the errors
//! of a datum and the cases of a subtype have much in common; where there are strata, as many from each
//! as it has. With few clusters the intervals are too narrow.

use crate::report::measures::groups::{Aggregate, grouped};
use crate::table::Interval;
use anyhow::Result;
use polars::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;
use std::collections::HashMap;

const DRAWS: u64 = 1000;
/// Most rows of a stratum. Of more clusters, several are drawn as one: the interval is the same up to the
/// chance of the draws, and its cost is bounded.
const ROWS: usize = 2000;
/// Share of the draws below an interval, and above it.
const TAIL: f64 = 0.025;

/// Confidence intervals of the figures of each method.
pub(crate) type FigureIntervals = Vec<Vec<Option<Interval>>>;

/// Sums that figures are computed from: one row per cluster, the columns of all methods side by side.
pub(crate) struct Clusters {
    /// Columns of a method.
    columns: usize,
    /// Columns of all methods.
    width: usize,
    /// The rows of each stratum, one after the other.
    strata: Vec<Vec<f64>>,
}

/// Sums over clusters, as figures are made of them.
pub(crate) struct Sums<'s> {
    columns: usize,
    strata: &'s [Vec<f64>],
}

impl Sums<'_> {
    /// The columns of a method, stratum by stratum.
    pub(crate) fn of(&self, method: usize) -> impl Iterator<Item = &[f64]> {
        let (start, end) = (method * self.columns, (method + 1) * self.columns);
        self.strata.iter().map(move |sums| &sums[start..end])
    }
}

impl Clusters {
    /// Sums the `columns` of a frame with the text columns `stratum`, `cluster` and `method`, for each of
    /// `methods`.
    pub(crate) fn of(frame: &DataFrame, methods: &[String], columns: &[&str]) -> Result<Self> {
        let keys = ["stratum", "cluster", "method"];
        let sums: Vec<(&str, Aggregate, &str)> =
            columns.iter().map(|name| (*name, Aggregate::Sum, *name)).collect();
        // Clusters are drawn in the order of their names, whatever order shards recorded them in.
        let order = SortMultipleOptions::default();
        let summed = grouped(frame, &keys, &sums)?.sort(keys, order)?;
        let [strata, clusters, labels] = keys.map(|key| summed.column(key));
        let (strata, clusters, labels) = (strata?.str()?, clusters?.str()?, labels?.str()?);
        let values = columns.iter().map(|name| summed.column(name)?.f64());
        let values = values.collect::<PolarsResult<Vec<_>>>()?;
        let places: HashMap<&str, usize> =
            methods.iter().enumerate().map(|(place, label)| (label.as_str(), place)).collect();
        let width = methods.len() * columns.len();
        let mut own = Self { columns: columns.len(), width, strata: Vec::new() };
        let (mut last, mut count) = ((None, None), 0);
        for index in 0..summed.height() {
            let (stratum, cluster) = (strata.get(index), clusters.get(index));
            let Some(place) = labels.get(index).and_then(|label| places.get(label)) else {
                continue;
            };
            if stratum != last.0 || own.strata.is_empty() {
                own.strata.push(Vec::new());
                count = 0;
            }
            if (stratum, cluster) != last || count == 0 {
                last = (stratum, cluster);
                count += 1;
            }
            let rows = own.strata.last_mut().expect("one was pushed");
            let row = (count - 1) % ROWS;
            rows.resize(rows.len().max((row + 1) * width), 0.0);
            for (column, values) in values.iter().enumerate() {
                let at = row * width + place * columns.len() + column;
                rows[at] += values.get(index).unwrap_or_default();
            }
        }
        Ok(own)
    }

    /// Confidence intervals of `figures`, of which each draw gives equally many. A figure that some draw
    /// does not have, has no interval, nor has any where a stratum has a single cluster.
    pub(crate) fn intervals(
        &self,
        figures: impl Fn(&Sums<'_>) -> Vec<Option<f64>> + Sync,
    ) -> Vec<Option<Interval>> {
        let drawn: Vec<Vec<Option<f64>>> = (0..DRAWS)
            .into_par_iter()
            .map(|draw| figures(&Sums { columns: self.columns, strata: &self.draw(draw) }))
            .collect();
        let lone = self.strata.iter().any(|rows| rows.len() < 2 * self.width);
        let interval = |figure: usize| {
            let values = drawn.iter().map(|figures| figures[figure]).collect::<Option<Vec<f64>>>();
            values.filter(|_| !lone).map(middle)
        };
        (0..drawn[0].len()).map(interval).collect()
    }

    /// Figures of all clusters, each counted once.
    pub(crate) fn whole<T>(&self, figures: impl FnOnce(&Sums<'_>) -> T) -> T {
        let sum = |rows: &Vec<f64>| {
            let mut sums = vec![0.0; self.width];
            for row in rows.chunks(self.width.max(1)) {
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            }
            sums
        };
        let strata: Vec<Vec<f64>> = self.strata.iter().map(sum).collect();
        figures(&Sums { columns: self.columns, strata: &strata })
    }

    /// Confidence intervals of the figures of each of `methods` and of their differences from those of
    /// the method `reference`, drawn on the same clusters. `figures` are those of a method in a draw, always
    /// equally many.
    pub(crate) fn compared(
        &self,
        methods: usize,
        reference: Option<usize>,
        figures: impl Fn(&Sums<'_>, usize) -> Vec<Option<f64>> + Sync,
    ) -> (FigureIntervals, FigureIntervals) {
        let found = self.intervals(|sums| {
            let own: Vec<Vec<Option<f64>>> =
                (0..methods).map(|method| figures(sums, method)).collect();
            let base = reference.map(|reference| own[reference].clone());
            let difference = |own: &Vec<Option<f64>>| -> Vec<Option<f64>> {
                let base = base.iter().flatten().chain(std::iter::repeat(&None));
                own.iter().zip(base).map(|(own, base)| Some((*own)? - (*base)?)).collect()
            };
            let differences: Vec<Vec<Option<f64>>> = own.iter().map(difference).collect();
            own.into_iter().chain(differences).flatten().collect()
        });
        let count = (found.len() / methods.max(1) / 2).max(1);
        let mut of_methods: FigureIntervals =
            found.chunks(count).map(<[Option<Interval>]>::to_vec).collect();
        let differences = of_methods.split_off(methods.min(of_methods.len()));
        (of_methods, differences)
    }

    /// The sums of one draw. The same number draws the same clusters.
    fn draw(&self, number: u64) -> Vec<Vec<f64>> {
        let mut random = ChaCha8Rng::seed_from_u64(number);
        let draw = |rows: &Vec<f64>| {
            let count = rows.len() / self.width.max(1);
            let mut sums = vec![0.0; self.width];
            for _ in 0..count {
                // One of `count`, by the upper half of a product.
                let row = ((u64::from(random.next_u32()) * count as u64) >> 32) as usize;
                for (sum, value) in sums.iter_mut().zip(&rows[row * self.width..]) {
                    *sum += value;
                }
            }
            sums
        };
        self.strata.iter().map(draw).collect()
    }
}

/// The middle of the draws.
fn middle(mut values: Vec<f64>) -> Interval {
    values.sort_by(f64::total_cmp);
    let last = (values.len() - 1) as f64;
    let at = |share: f64| values[(share * last).round() as usize];
    Interval { low: at(TAIL), high: at(1.0 - TAIL) }
}

/// `part` of `whole`, if there is any.
pub(crate) fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

#[cfg(test)]
mod tests {
    use super::{Clusters, ratio};
    use polars::prelude::*;

    /// Clusters of ones and zeros, a method that has as many ones as zeros and one that has ones only.
    fn clusters(count: usize) -> Clusters {
        let rows = 2 * count;
        let text = |name: &str, of: &dyn Fn(usize) -> String| {
            Column::new(name.into(), (0..rows).map(of).collect::<Vec<String>>())
        };
        let share = |row: usize| if row % 2 == 1 { 1.0 } else { (row / 2 % 2) as f64 };
        let frame = DataFrame::new_infer_height(vec![
            text("stratum", &|_| "all".into()),
            text("cluster", &|row| (row / 2).to_string()),
            text("method", &|row| ["half", "full"][row % 2].into()),
            Column::new("value".into(), (0..rows).map(share).collect::<Vec<f64>>()),
            Column::new("count".into(), vec![1.0; rows]),
        ]);
        let methods = ["half".to_string(), "full".to_string()];
        Clusters::of(&frame.unwrap(), &methods, &["value", "count"]).unwrap()
    }

    /// The mean of n fair coins: 1.96 standard errors of √(1/4n) around a half, to the step of 1/n and
    /// the chance of a thousand draws.
    #[test]
    fn the_interval_of_a_mean_is_that_of_the_normal_distribution() {
        let intervals = clusters(400).intervals(|sums| {
            (0..2).map(|method| sums.of(method).next().and_then(|s| ratio(s[0], s[1]))).collect()
        });
        let half = intervals[0].unwrap();
        let expected = 1.96 * (0.25_f64 / 400.0).sqrt();
        assert!((half.low - (0.5 - expected)).abs() < 0.01, "{half:?}");
        assert!((half.high - (0.5 + expected)).abs() < 0.01, "{half:?}");
        let full = intervals[1].unwrap();
        assert_eq!((full.low, full.high), (1.0, 1.0));
    }

    /// Several of 5000 clusters are one row, and the interval is unchanged.
    #[test]
    fn many_clusters_are_drawn_together() {
        let many = clusters(5000);
        assert_eq!(many.strata[0].len(), super::ROWS * many.width);
        let half = many
            .intervals(|sums| vec![sums.of(0).next().and_then(|sums| ratio(sums[0], sums[1]))])[0]
            .unwrap();
        let expected = 1.96 * (0.25_f64 / 5000.0).sqrt();
        assert!((half.high - half.low - 2.0 * expected).abs() < 0.1 * expected, "{half:?}");
        assert!((half.high + half.low - 1.0).abs() < 0.1 * expected, "{half:?}");
    }

    /// Both methods are drawn on the same clusters, so equal methods have a difference without spread.
    #[test]
    fn methods_are_drawn_on_the_same_clusters() {
        let twice = clusters(50).intervals(|sums| {
            let [half, full] = [0, 1].map(|method| sums.of(method).next().unwrap()[1]);
            vec![Some(full - half)]
        });
        assert_eq!(twice[0].map(|i| (i.low, i.high)), Some((0.0, 0.0)));
    }

    /// The difference of a method from itself is zero, and from another one it varies with the draws.
    #[test]
    fn differences_are_those_of_a_draw() {
        let share = |sums: &super::Sums<'_>, method: usize| {
            vec![sums.of(method).next().and_then(|sums| ratio(sums[0], sums[1]))]
        };
        let clusters = clusters(400);
        assert_eq!(clusters.whole(|sums| share(sums, 0)), [Some(0.5)]);
        let (own, differences) = clusters.compared(2, Some(1), share);
        let half = own[0][0].unwrap();
        let less = differences[0][0].unwrap();
        assert!((less.low - (half.low - 1.0)).abs() < 1e-12, "{less:?} is not {half:?} less 1");
        assert_eq!(differences[1][0].map(|i| (i.low, i.high)), Some((0.0, 0.0)));
        let (_, without) = clusters.compared(2, None, share);
        assert_eq!(without, [[None], [None]]);
    }

    #[test]
    fn one_cluster_has_no_interval() {
        let lone = clusters(1).intervals(|sums| vec![Some(sums.of(0).next().unwrap()[0])]);
        assert_eq!(lone, [None]);
    }
}
