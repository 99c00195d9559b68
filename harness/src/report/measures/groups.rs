//! Aggregates of groups of rows of a polars frame. Eager: the lazy engine of polars takes a third of the time
//! of a fresh build, and these frames need no query plan.

use anyhow::Result;
use polars::prelude::*;

/// Aggregate of the values of a group that are not null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aggregate {
    /// Zero where there is no value.
    Sum,
    /// Null where there is no value.
    Mean,
    /// Number of the values.
    Count,
}

impl Aggregate {
    fn of(self, values: impl Iterator<Item = f64>) -> Option<f64> {
        let mut values: Vec<f64> = values.collect();
        values.sort_unstable_by(f64::total_cmp);
        let (sum, count) = (values.iter().fold(0.0, |sum, value| sum + value), values.len() as f64);
        match self {
            Self::Sum => Some(sum),
            Self::Mean => (count > 0.0).then(|| sum / count),
            Self::Count => Some(count),
        }
    }
}

/// A row a group of the rows of `frame` that are equal in `keys`, with the keys and one column for each of
/// `wanted`: the name of a column of numbers, its aggregate and the name of the result. Groups are in the
/// order of their first rows. Values are added in ascending order, so that sums come out the same to the last
/// digit in whatever order shards recorded them.
///
/// # Errors
/// If the frame lacks a column, or one to aggregate is not of 64-bit floats.
pub(crate) fn grouped(
    frame: &DataFrame,
    keys: &[&str],
    wanted: &[(&str, Aggregate, &str)],
) -> Result<DataFrame> {
    let by = frame.group_by_stable(keys.iter().copied())?;
    let groups: Vec<Vec<usize>> = by
        .get_groups()
        .iter()
        .map(|group| match group {
            GroupsIndicator::Idx((_, rows)) => rows.iter().map(|row| *row as usize).collect(),
            GroupsIndicator::Slice([first, count]) => {
                (first as usize..(first + count) as usize).collect()
            }
        })
        .collect();
    let mut columns = by.keys();
    for (name, aggregate, result) in wanted {
        let values: Vec<Option<f64>> = frame.column(name)?.f64()?.iter().collect();
        let of = |rows: &Vec<usize>| aggregate.of(rows.iter().filter_map(|row| values[*row]));
        let values: Vec<Option<f64>> = groups.iter().map(of).collect();
        columns.push(Column::new((*result).into(), values));
    }
    Ok(DataFrame::new_infer_height(columns)?)
}

/// `frame` with the same `text` in every row of a column `name`.
pub(crate) fn with_text(frame: &DataFrame, name: &str, text: &str) -> Result<DataFrame> {
    let mut frame = frame.clone();
    frame.with_column(Column::new(name.into(), [text]))?;
    Ok(frame)
}

/// The rows of `frame` of one data set.
pub(crate) fn of_dataset(frame: &DataFrame, dataset: &str) -> Result<DataFrame> {
    let own = frame.column("dataset")?.str()?.equal(dataset);
    Ok(frame.filter(&own)?)
}

#[cfg(test)]
mod tests {
    use super::{Aggregate, grouped, of_dataset, with_text};
    use polars::prelude::*;

    #[test]
    fn groups_keep_the_order_of_their_first_rows_and_leave_nulls_out() {
        let frame = df! {
            "key" => ["b", "a", "b", "c"],
            "value" => [Some(1.0), None, Some(2.0), None],
        }
        .unwrap();
        let wanted = [
            ("value", Aggregate::Sum, "sum"),
            ("value", Aggregate::Mean, "mean"),
            ("value", Aggregate::Count, "count"),
        ];
        let found = grouped(&frame, &["key"], &wanted).unwrap();
        let wanted = df! {
            "key" => ["b", "a", "c"],
            "sum" => [3.0, 0.0, 0.0],
            "mean" => [Some(1.5), None, None],
            "count" => [2.0, 0.0, 0.0],
        };
        assert!(found.equals_missing(&wanted.unwrap()));
        // Sums do not depend on the order of the rows.
        let [one, other] = [[0.1, 0.2, 0.3, 1e9], [1e9, 0.3, 0.1, 0.2]].map(|values| {
            let frame = df! { "key" => ["a"; 4], "value" => values }.unwrap();
            grouped(&frame, &["key"], &[("value", Aggregate::Sum, "sum")]).unwrap()
        });
        assert!(one.equals(&other));
        let error = grouped(&frame, &["nowhere"], &[]).unwrap_err();
        assert!(error.to_string().contains("nowhere"), "{error}");
    }

    #[test]
    fn text_is_the_same_in_every_row() {
        let frame = df! { "dataset" => ["one", "other", "one"] }.unwrap();
        let own = of_dataset(&with_text(&frame, "scope", "all").unwrap(), "one").unwrap();
        let wanted = df! { "dataset" => ["one", "one"], "scope" => ["all", "all"] }.unwrap();
        assert!(own.equals(&wanted));
    }
}
