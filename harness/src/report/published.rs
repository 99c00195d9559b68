//! The paper's own numbers, from `configs/published.toml`.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// One of the paper's tables.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Published {
    /// Its number in the paper.
    pub(super) source: String,
    /// The row of the unedited model.
    #[serde(default)]
    base: Option<String>,
    group: Vec<Group>,
    rows: BTreeMap<String, Vec<f64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    title: String,
    columns: Vec<String>,
}

impl Published {
    /// The place among the cells of a row of `column` of `group`.
    pub(super) fn column(&self, group: &str, column: &str) -> Option<usize> {
        let columns = self.group.iter().flat_map(|group| {
            group.columns.iter().map(move |column| (group.title.as_str(), column.as_str()))
        });
        columns.into_iter().position(|known| known == (group, column))
    }

    /// The row of an approach, and its label; that of the unedited model where `label` is `model`.
    pub(super) fn row(&self, label: &str, model: &str) -> Option<(&str, &[f64])> {
        let label = if label == model { self.base.as_deref()? } else { label };
        self.rows.get_key_value(label).map(|(label, cells)| (label.as_str(), cells.as_slice()))
    }
}

/// The paper's table of this name.
pub(super) fn published(table: &str) -> Option<&'static Published> {
    static PUBLISHED: LazyLock<BTreeMap<String, Published>> = LazyLock::new(|| {
        toml::from_str(include_str!("../../../configs/published.toml"))
            .expect("the committed file is well formed, or tests fail")
    });
    PUBLISHED.get(table)
}

#[cfg(test)]
mod tests {
    use super::{Published, published};

    const APPROACHES: [&str; 3] = ["KN (step=1)", "KN (step=20)", "MENT"];
    /// Half a digit in the last of three places.
    const HALF: f64 = 0.000_500_1;

    fn row<'p>(table: &'p Published, label: &str) -> &'p [f64] {
        table.row(label, "").unwrap_or_else(|| panic!("no {label}")).1
    }

    #[test]
    fn every_row_has_a_cell_a_column() {
        for (name, rows, columns) in
            [("table3", 7, 15), ("table4", 3, 6), ("table5", 3, 6), ("table6", 11, 5)]
        {
            let table = published(name).unwrap();
            assert_eq!(table.rows.len(), rows, "{name}");
            assert_eq!(table.group.iter().map(|g| g.columns.len()).sum::<usize>(), columns);
            assert!(table.rows.values().all(|cells| cells.len() == columns), "{name}");
        }
    }

    /// NC = skip·11 + (1−skip)·patched, to the rounding of its parts, in all nine cells.
    #[test]
    fn neuron_costs_are_those_of_their_parts() {
        let (costs, parts) = (published("table4").unwrap(), published("table5").unwrap());
        for approach in APPROACHES {
            let (costs, parts) = (row(costs, approach), row(parts, approach));
            for dataset in 0..3 {
                let (nc, patched, skip) = (costs[dataset], parts[dataset], parts[3 + dataset]);
                let expected = skip * 11.0 + (1.0 - skip) * patched;
                let rounding = HALF * (11.0 - patched) + HALF * (1.0 - skip) + HALF;
                assert!((nc - expected).abs() <= rounding, "{approach}: {nc}, {expected}");
            }
        }
    }

    /// Each Δ is the difference of two rows, to the rounding of the three, in all 45 cells.
    #[test]
    fn gains_are_those_of_their_rows() {
        let table = published("table3").unwrap();
        let base = row(table, "CodeGEN");
        for approach in APPROACHES {
            let (with, gain) = (format!("+ {approach}"), format!("Δ {approach}"));
            let cells = row(table, &with).iter().zip(base).zip(row(table, &gain));
            for (column, ((with, without), gain)) in cells.enumerate() {
                assert!((with - without - gain).abs() <= 3.0 * HALF, "{approach}, {column}");
            }
        }
    }
}
