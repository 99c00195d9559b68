//! Table III: effects of model editing on the code generation tasks.

use crate::data::dataset::DatasetName;
use crate::metric::{Kind, METRICS, Metric};
use crate::report::measures::bootstrap::{Clusters, Sums};
use crate::report::measures::frame::{TableOrder, lookup};
use crate::report::measures::groups::{Aggregate, grouped, of_dataset, with_text};
use crate::report::measures::scores::columns;
use crate::table::{Better, Column, Format, Group, Interval, Row, Table};
use anyhow::Result;
use polars::prelude::DataFrame;

/// Means over data, and metrics of the corpus. `scores` is the frame of
/// [`scores`](super::scores::scores).
pub(crate) fn build(scores: &DataFrame, order: &TableOrder) -> Result<Table> {
    let names = columns();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let kinds = METRICS.iter().flat_map(|metric| {
        let is_mean = matches!(metric.kind, Kind::Mean(_));
        std::iter::repeat_n(if is_mean { Aggregate::Mean } else { Aggregate::Sum }, metric.width())
    });
    let of_metrics = names.iter().zip(kinds).map(|(name, kind)| (*name, kind, *name));
    let sums = ["data", "tokens"].map(|name| (name, Aggregate::Sum, name));
    let aggregates: Vec<_> = sums.into_iter().chain(of_metrics).collect();
    let groups = grouped(scores, &["dataset", "method"], &aggregates)?;
    let sizes = lookup(&groups, &["data", "tokens"])?;
    let values = lookup(&groups, &names)?;
    let intervals = order
        .datasets
        .iter()
        .map(|dataset| intervals(scores, dataset.label(), &order.methods))
        .collect::<Result<Vec<Intervals>>>()?;

    let key = |dataset: &DatasetName, method: &String| (dataset.label().into(), method.clone());
    let cells = |method: &String| -> Vec<Option<f64>> {
        order
            .datasets
            .iter()
            .map(|dataset| key(dataset, method))
            .flat_map(|key| {
                let Some(values) = values.get(&key) else { return vec![None; METRICS.len()] };
                let values: Vec<f64> =
                    values.iter().map(|value| value.unwrap_or_default()).collect();
                // Means are means already.
                by_metric(&values, 1.0)
            })
            .collect()
    };
    // Data and tokens.
    let size = |dataset: &DatasetName, method: &String| {
        let found = sizes.get(&key(dataset, method));
        found.map_or([0; 2], |size| [0, 1].map(|index| size[index].unwrap_or_default() as usize))
    };
    let count = |method: &String| -> usize {
        order.datasets.iter().map(|dataset| size(dataset, method)[0]).sum()
    };
    let all = order.methods.first().map_or(0, count);
    let unfinished = |method: &String| count(method) < all;
    let mut rows: Vec<Row> = Vec::new();
    for (index, method) in order.methods.iter().enumerate() {
        let label = if index == 0 { method.clone() } else { format!("+ {method}") };
        let remark =
            unfinished(method).then(|| format!("unfinished: {} of {all} data", count(method)));
        let intervals = intervals.iter().flat_map(|of| of.scores[index].clone()).collect();
        let data = order.datasets.iter().map(|dataset| size(dataset, method)[0] as f64);
        let counts = data.flat_map(|data| vec![Some(data); METRICS.len()]).collect();
        rows.push(Row { intervals, counts, remark, ..Row::new(label, cells(method)) });
    }
    let gains: Vec<Row> = order
        .methods
        .iter()
        .zip(&rows)
        .enumerate()
        .skip(1)
        .filter(|(_, (method, _))| !unfinished(method)) // other data than the base row's
        .map(|(index, (method, row))| {
            let pairs = row.cells.iter().zip(&rows[0].cells);
            let gain = pairs.map(|(after, before)| Some((*after)? - (*before)?));
            let label = format!("Δ {method}");
            let intervals = intervals.iter().flat_map(|of| of.gains[index].clone()).collect();
            let row = Row::new(label, gain.collect());
            Row { intervals, format: Some(Format::Percent), competes: false, ..row }
        })
        .collect();
    rows.extend(gains);

    let sizes = order.datasets.iter().map(|dataset| {
        let [data, tokens] = size(dataset, &order.methods[0]);
        format!("{}: {data} data of {tokens} tokens", dataset.label())
    });
    let mut notes =
        vec![format!("{}; Δ in percentage points", sizes.collect::<Vec<_>>().join(", "))];
    let labels: Vec<&str> = order.datasets.iter().map(|dataset| dataset.label()).collect();
    notes.extend(zeros(&labels, &rows[..order.methods.len()]));
    let column = |metric: &Metric| Column {
        title: metric.name,
        better: if metric.higher_is_better { Better::Higher } else { Better::Lower },
        format: Format::Three,
    };
    Ok(Table {
        name: "table3",
        title: "Table III: Comparison of model editing effects on code generation tasks.".into(),
        stub: "Approach",
        groups: order
            .datasets
            .iter()
            .map(|dataset| Group {
                title: dataset.label().into(),
                columns: METRICS.iter().map(column).collect(),
            })
            .collect(),
        rows,
        deviations: Vec::new(),
        reference: None,
        notes,
    })
}

/// Notes on what a 0 of a corpus metric means, with the `datasets` that have one in `rows`.
fn zeros(datasets: &[&str], rows: &[Row]) -> Vec<String> {
    let note = |(index, metric): (usize, &Metric)| {
        let Kind::Corpus { zero, .. } = metric.kind else { return None };
        let is_zero = |place: usize| {
            rows.iter().any(|row| row.cells[place * METRICS.len() + index] == Some(0.0))
        };
        let found = datasets.iter().enumerate().filter(|(place, _)| is_zero(*place));
        let found: Vec<&str> = found.map(|(_, dataset)| *dataset).collect();
        (!found.is_empty()).then(|| format!("{} of 0 on {}: {zero}", metric.name, found.join(", ")))
    };
    METRICS.iter().enumerate().filter_map(note).collect()
}

/// Intervals of one data set: by method, one per metric.
struct Intervals {
    scores: Vec<Vec<Option<Interval>>>,
    /// Intervals of the gains over the first method.
    gains: Vec<Vec<Option<Interval>>>,
}

fn intervals(scores: &DataFrame, dataset: &str, methods: &[String]) -> Result<Intervals> {
    let names = columns();
    let columns: Vec<&str> =
        std::iter::once("data").chain(names.iter().map(String::as_str)).collect();
    let mut own = with_text(&of_dataset(scores, dataset)?, "stratum", "")?;
    own.rename("datum", "cluster".into())?;
    let found = Clusters::of(&own, methods, &columns)?.intervals(|sums| {
        let scores: Vec<Vec<Option<f64>>> =
            (0..methods.len()).map(|method| metrics(sums, method)).collect();
        let gain = |own: &Vec<Option<f64>>| -> Vec<Option<f64>> {
            own.iter().zip(&scores[0]).map(|(own, base)| Some((*own)? - (*base)?)).collect()
        };
        let gains: Vec<Vec<Option<f64>>> = scores.iter().map(gain).collect();
        scores.into_iter().chain(gains).flatten().collect()
    });
    let mut by_method: Vec<Vec<Option<Interval>>> =
        found.chunks(METRICS.len()).map(<[_]>::to_vec).collect();
    let gains = by_method.split_off(methods.len());
    Ok(Intervals { scores: by_method, gains })
}

/// The metrics of a method on summed data.
fn metrics(sums: &Sums<'_>, method: usize) -> Vec<Option<f64>> {
    match sums.of(method).next() {
        Some([data, values @ ..]) => by_metric(values, *data),
        _ => vec![None; METRICS.len()],
    }
}

/// The metrics from the sums of their columns over `data` data.
fn by_metric(mut sums: &[f64], data: f64) -> Vec<Option<f64>> {
    let score = |metric: &Metric| {
        let (own, rest) = sums.split_at(metric.width());
        sums = rest;
        metric.score(own, data)
    };
    METRICS.iter().map(score).collect()
}

#[cfg(test)]
mod tests {
    use super::zeros;
    use crate::metric::METRICS;
    use crate::table::Row;

    /// A BLEU of 0 may stand beside an exact match: the table says why. An EM of 0 needs no word.
    #[test]
    fn a_bleu_of_zero_is_explained() {
        let bleu = METRICS.iter().position(|metric| metric.name == "BLEU").unwrap();
        let mut cells = vec![Some(1.0); 2 * METRICS.len()];
        cells[0] = Some(0.0);
        assert!(zeros(&["long", "short"], &[Row::new("m", cells.clone())]).is_empty());
        cells[METRICS.len() + bleu] = Some(0.0);
        let notes = zeros(&["long", "short"], &[Row::new("m", cells)]);
        assert_eq!(notes.len(), 1);
        assert!(notes[0].starts_with("BLEU of 0 on short: no four words"), "{notes:?}");
    }
}
