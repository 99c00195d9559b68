//! The paper's own figures, from `configs/published.toml`.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

#[derive(Deserialize)]
struct File {
    table2: Vec<PaperSubtype>,
    #[serde(flatten)]
    tables: BTreeMap<String, Published>,
}

/// A row of Table II.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PaperSubtype {
    /// Type, in lower case.
    #[serde(rename = "type")]
    pub(crate) of: String,
    pub(crate) name: String,
    /// Argmax token, without spaces around it.
    pub(crate) argmax: String,
    /// Target tokens, likewise.
    pub(crate) targets: Vec<String>,
    pub(crate) samples: usize,
}

/// One of the paper's tables of numbers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Published {
    /// Number of the table in the paper.
    pub(crate) source: String,
    /// The row of the unedited model.
    #[serde(default)]
    base: Option<String>,
    group: Vec<PaperGroup>,
    rows: BTreeMap<String, Vec<f64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PaperGroup {
    title: String,
    columns: Vec<String>,
}

impl Published {
    /// The place among the cells of a row of `column` of `group`.
    pub(crate) fn column(&self, group: &str, column: &str) -> Option<usize> {
        let columns = self.group.iter().flat_map(|group| {
            group.columns.iter().map(move |column| (group.title.as_str(), column.as_str()))
        });
        columns.into_iter().position(|known| known == (group, column))
    }

    /// The row of an approach, and its label; that of the unedited model where `label` is `model`.
    pub(crate) fn row(&self, label: &str, model: &str) -> Option<(&str, &[f64])> {
        let label = if label == model { self.base.as_deref()? } else { label };
        self.rows.get_key_value(label).map(|(label, cells)| (label.as_str(), cells.as_slice()))
    }
}

static FILE: LazyLock<File> = LazyLock::new(|| {
    toml::from_str(include_str!("../../../configs/published.toml"))
        .expect("the committed file is well formed, or tests fail")
});

/// The paper's table of this name.
pub(crate) fn published(table: &str) -> Option<&'static Published> {
    FILE.tables.get(table)
}

/// Table II, row by row.
pub(crate) fn benchmark() -> &'static [PaperSubtype] {
    &FILE.table2
}

#[cfg(test)]
mod tests {
    use super::{Published, benchmark, published};

    const APPROACHES: [&str; 3] = ["KN (step=1)", "KN (step=20)", "MENT"];
    /// Half a digit in the last of three places.
    const HALF: f64 = 0.000_500_1;

    fn row<'p>(table: &'p Published, label: &str) -> &'p [f64] {
        table.row(label, "").unwrap_or_else(|| panic!("no {label}")).1
    }

    #[test]
    fn every_row_has_a_cell_a_column() {
        for (name, rows, columns) in [
            ("table1", 3, 6),
            ("table3", 7, 15),
            ("table4", 3, 6),
            ("table5", 3, 6),
            ("table6", 11, 5),
        ] {
            let table = published(name).unwrap();
            assert_eq!(table.rows.len(), rows, "{name}");
            assert_eq!(table.group.iter().map(|g| g.columns.len()).sum::<usize>(), columns);
            assert!(table.rows.values().all(|cells| cells.len() == columns), "{name}");
        }
    }

    /// Each division's pairs and errors add up.
    #[test]
    fn totals_are_the_sums_of_their_divisions() {
        let table = published("table1").unwrap();
        let [retrieval, inference, total] =
            ["Retrieval", "Inference", "Total"].map(|label| row(table, label));
        for column in 0..6 {
            let errors_are_of_inference = column >= 3;
            let retrieval = if errors_are_of_inference { 0.0 } else { retrieval[column] };
            assert_eq!(retrieval + inference[column], total[column]);
        }
    }

    /// 450 cases: samples by targets of every subtype.
    #[test]
    fn cases_of_the_benchmark_add_up() {
        let cases = benchmark().iter().map(|subtype| subtype.samples * subtype.targets.len());
        assert_eq!(cases.sum::<usize>(), 450);
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
