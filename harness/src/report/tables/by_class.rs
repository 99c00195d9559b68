//! Tables over classes: one column group per data set, one column per class, one row per approach.

use crate::report::measures::costs::ALL;
use crate::report::measures::repairs::{AllRepairs, Observed};
use crate::table::{Better, Column, Format, Group, Row, Table};
use std::collections::HashMap;

/// Such a table without its rows.
pub(crate) struct ByClass {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// Title of the first column of each group, which counts.
    pub(crate) counted: &'static str,
    pub(crate) classes: &'static [&'static str],
    pub(crate) cell: Cell,
    pub(crate) format: Format,
    pub(crate) note: &'static str,
}

/// Content of a cell.
#[derive(Clone, Copy)]
pub(crate) enum Cell {
    /// The mean of what is observed in the class.
    Mean,
    /// The share of the class among what is observed.
    Share,
}

impl ByClass {
    /// The first column of a group counts what was observed. A class that is not among the columns is
    /// the last of them.
    pub(crate) fn table<'o>(
        self,
        repairs: &AllRepairs<'_>,
        observed: impl Iterator<Item = Observed<'o>>,
    ) -> Table {
        // Count and sum of each class.
        let mut found: HashMap<(&str, &str), Vec<(f64, f64)>> = HashMap::new();
        let nothing = vec![(0.0, 0.0); self.classes.len()];
        for Observed { scope, method, class, value } in observed {
            for scope in [scope, ALL] {
                let classes = found.entry((scope, method)).or_insert_with(|| nothing.clone());
                let (count, sum) = &mut classes[class.min(self.classes.len() - 1)];
                *count += 1.0;
                *sum += value;
            }
        }
        let cells = |method: &str, scope: &str| -> Vec<Option<f64>> {
            let classes = found.get(&(scope, method)).unwrap_or(&nothing);
            let all: f64 = classes.iter().map(|(count, _)| count).sum();
            let cell = |&(count, sum): &(f64, f64)| match self.cell {
                Cell::Mean => (count > 0.0).then(|| sum / count),
                Cell::Share => (all > 0.0).then(|| count / all),
            };
            [Some(all)].into_iter().chain(classes.iter().map(cell)).collect()
        };
        let AllRepairs { scopes, methods, controls, .. } = repairs;
        let row = |method: &&str| {
            let cells = scopes.iter().flat_map(|scope| cells(method, scope)).collect();
            Row { competes: !controls.contains(method), ..Row::new(*method, cells) }
        };
        let column = |title, format| Column { title, better: Better::Neither, format };
        let classes = self.classes.iter().map(|title| column(title, self.format));
        let columns: Vec<Column> =
            [column(self.counted, Format::Count)].into_iter().chain(classes).collect();
        let group = |title: &&str| Group { title: (*title).into(), columns: columns.clone() };
        Table {
            name: self.name,
            title: self.title.into(),
            stub: "Approach",
            groups: scopes.iter().map(group).collect(),
            rows: methods.iter().map(row).collect(),
            reference: None,
            notes: vec![self.note.into()],
            deviations: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ByClass, Cell};
    use crate::report::measures::repairs::{AllRepairs, Observed};
    use crate::table::Format;

    fn cells(cell: Cell) -> Vec<Option<f64>> {
        let by_class = ByClass {
            name: "name",
            title: "title",
            counted: "n",
            classes: &["1", "2", ">2"],
            cell,
            format: Format::Three,
            note: "",
        };
        let observed = [("a", 0, 1.0), ("a", 0, 3.0), ("b", 7, 8.0), ("b", 0, 2.0)]
            .map(|(scope, class, value)| Observed { scope, method: "m", class, value });
        let repairs = AllRepairs {
            methods: vec!["m", "n"],
            controls: vec!["n"],
            scopes: vec!["a", "All"],
            all: Vec::new(),
        };
        by_class.table(&repairs, observed.into_iter()).rows.remove(0).cells
    }

    #[test]
    fn observations_are_counted_and_averaged_in_their_class() {
        let mean = [Some(2.0), Some(2.0), None, None, Some(4.0), Some(2.0), None, Some(8.0)];
        assert_eq!(cells(Cell::Mean), mean);
        let share = [2.0, 1.0, 0.0, 0.0, 4.0, 0.75, 0.0, 0.25].map(Some);
        assert_eq!(cells(Cell::Share), share);
    }
}
