//! A comparison of a table with the paper's: each row of ours that the paper has, with confidence intervals
//! and the paper's figures.

use crate::data::dataset::DatasetName;
use crate::data::paper::{Published, published};
use crate::table::{Column, Format, Group, Interval, PaperRow, Row, Table};

/// The approach whose TimeCost is 1: seconds of two machines cannot be compared.
const BASE: &str = "MENT";

/// The table called `name`; `None` where the paper has no such table, or none of its approaches. `model`
/// labels the unedited model;
/// `departures` says how many there are; `same_clock` says whether the times of two approaches were taken on
/// one machine.
pub(crate) fn build(
    table: &Table,
    name: &'static str,
    (model, departures): (&str, usize),
    same_clock: impl Fn(&str, &str) -> bool,
) -> Option<Table> {
    let paper = published(table.name)?;
    let columns = shared_columns(table, paper);
    let known: Vec<(&Row, (&str, &[f64]))> =
        table.rows.iter().filter_map(|own| Some((own, paper.row(&own.label, model)?))).collect();
    if known.iter().all(|(own, _)| own.label == model) {
        return None;
    }
    let rows = known.into_iter().map(|(own, (label, theirs))| {
        let timed = same_clock(&own.label, BASE);
        Row {
            remark: own.remark.clone(),
            intervals: columns.iter().map(|column| column.interval(own)).collect(),
            counts: columns.iter().map(|c| own.counts.get(c.ours).copied().flatten()).collect(),
            paper: Some(PaperRow {
                label: label.to_string(),
                cells: columns.iter().map(|column| column.theirs(paper, theirs)).collect(),
            }),
            format: own.format,
            competes: false,
            ..Row::new(
                &own.label,
                columns.iter().map(|column| column.ours(table, own, timed)).collect(),
            )
        }
    });
    let rows: Vec<Row> = rows.collect();
    let has_time = columns.iter().any(|column| column.is_time);
    let has_intervals = table.rows.iter().any(|row| !row.intervals.is_empty());
    let mut notes = vec![match departures {
        0 => "no departures from the paper: a reproduction".to_string(),
        some => format!(
            "{some} departures from the paper (model, data and settings): not a reproduction; \
             compare orders of magnitude only"
        ),
    }];
    if has_intervals {
        notes.push(
            "in brackets: 95 % confidence interval by the percentile bootstrap over data (in Table VI over \
             the subtypes of each type, their samples taken as given); with as few as 16 data or 5 \
             subtypes it is too narrow. None: only one datum or subtype, or a draw without such a figure. \
             The CSV file has the number of data, errors or cases behind each value"
                .into(),
        );
    }
    notes.extend(table.notes.iter().cloned());
    if has_time {
        notes.push(format!(
            "TimeCost is a multiple of {BASE}'s, where both were measured on one machine with the \
             same number of threads; the paper's multiple is computed from its rounded seconds. It \
             has no interval"
        ));
    }
    Some(Table {
        name,
        title: format!("{} of the paper and of this run.", paper.source),
        stub: table.stub,
        groups: groups(table, &columns),
        rows,
        reference: None,
        notes,
        deviations: Vec::new(),
    })
}

/// A column that both have.
struct Shared {
    /// Index of its group in our table.
    group: usize,
    column: Column,
    ours: usize,
    theirs: usize,
    is_time: bool,
}

impl Shared {
    /// Our value; none where it is a time and not `timed`, which says that it can be compared.
    fn ours(&self, table: &Table, row: &Row, timed: bool) -> Option<f64> {
        let own = row.cells[self.ours]?;
        if !self.is_time {
            return Some(own);
        }
        let base = table.rows.iter().find(|row| row.label == BASE)?.cells[self.ours]?;
        timed.then_some(own / base)
    }

    fn interval(&self, row: &Row) -> Option<Interval> {
        row.intervals.get(self.ours).copied().flatten()
    }

    fn theirs(&self, paper: &Published, row: &[f64]) -> Option<f64> {
        let own = Some(row[self.theirs]).filter(|cell| !cell.is_nan())?;
        if !self.is_time {
            return Some(own);
        }
        let (_, base) = paper.row(BASE, "")?;
        Some(own / base[self.theirs])
    }
}

fn shared_columns(table: &Table, paper: &Published) -> Vec<Shared> {
    let columns = table.groups.iter().enumerate().flat_map(|(index, group)| {
        group.columns.iter().map(move |column| (index, group.title.as_str(), *column))
    });
    columns
        .enumerate()
        .filter_map(|(ours, (group, title, column))| {
            let of_paper = |title| DatasetName::paper_column(title).unwrap_or(title);
            let theirs = paper.column(of_paper(title), of_paper(column.title))?;
            let is_time = column.format == Format::Seconds;
            let format = if is_time { Format::Times } else { column.format };
            Some(Shared { group, column: Column { format, ..column }, ours, theirs, is_time })
        })
        .collect()
}

/// Our groups with the columns that both have.
fn groups(table: &Table, columns: &[Shared]) -> Vec<Group> {
    let of = |(index, group): (usize, &Group)| Group {
        title: group.title.clone(),
        columns: columns.iter().filter(|c| c.group == index).map(|c| c.column).collect(),
    };
    table.groups.iter().enumerate().map(of).filter(|group| !group.columns.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::build;
    use crate::table::{Better, Column, Format, Group, Interval, Row, Table};

    fn table(name: &'static str, groups: &[(&str, Format)], rows: &[(&str, [f64; 4])]) -> Table {
        let column = |format| move |title| Column { title, better: Better::Lower, format };
        let group = |(title, format): &(&str, Format)| Group {
            title: (*title).into(),
            columns: ["CoNaLa", "All"].map(column(*format)).to_vec(),
        };
        let row = |(label, cells): &(&str, [f64; 4])| {
            let interval = |cell: f64| Interval { low: cell - 0.5, high: cell + 0.25 };
            let intervals = cells.map(|cell| Some(interval(cell)).filter(|_| cell > 6.5));
            Row { intervals: intervals.to_vec(), ..Row::new(*label, cells.map(Some).to_vec()) }
        };
        Table {
            name,
            title: String::new(),
            stub: "Approach",
            groups: groups.iter().map(group).collect(),
            rows: rows.iter().map(row).collect(),
            reference: None,
            notes: Vec::new(),
            deviations: Vec::new(),
        }
    }

    /// Columns and rows that the paper has not are left out; seconds become multiples of MENT's.
    #[test]
    fn rows_of_the_paper_stand_below_ours() {
        let groups =
            [("Avg. NeuronCost (NC)", Format::Three), ("Avg. TimeCost (TC)", Format::Seconds)];
        let rows = [
            ("no edit", [11.0, 11.0, 0.1, 0.1]),
            ("KN (step=1)", [9.0, 9.0, 3.0, 3.0]),
            ("KN (step=20)", [8.0, 8.0, 6.0, 6.0]),
            ("MENT", [2.0, 2.0, 1.5, 1.5]),
        ];
        let costs = table("table4", &groups, &rows);
        let beside =
            build(&costs, "beside_table4", ("model", 2), |own, _| own != "KN (step=20)").unwrap();
        let text: Vec<Vec<String>> = beside
            .rows
            .iter()
            .take(2)
            .flat_map(|row| {
                let ours = |at| beside.text(row, at) + &beside.interval_text(row, at);
                let theirs = |at| beside.paper_text(row, at).unwrap();
                [
                    vec![row.label.clone(), ours(0), ours(1)],
                    vec![row.paper.as_ref().unwrap().label.clone(), theirs(0), theirs(1)],
                ]
            })
            .collect();
        assert_eq!(
            text,
            [
                ["KN (step=1)", "9.000 [8.50, 9.25]", "2.00×"],
                ["KN (step=1)", "10.853", "1.78×"],
                ["KN (step=20)", "8.000 [7.50, 8.25]", "–"],
                ["KN (step=20)", "10.236", "11.5×"],
            ]
        );
        assert!(build(&table("phases", &groups, &rows), "x", ("model", 0), |_, _| true).is_none());
        assert!(
            build(&table("table4", &groups, &rows[..1]), "x", ("model", 0), |_, _| true).is_none()
        );
    }
}
