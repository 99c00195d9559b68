//! A table as terminal text, Markdown and CSV, and all forms as files.

use crate::system::files;
use crate::table::{Format, Group, Row, Table, latex};
use anyhow::Result;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Folder of the tables of a run.
pub(crate) const TABLES: &str = "tables";

/// Writes every file form of `table` into the folder `tables` of `run`; the files.
///
/// # Errors
/// If the folder cannot be written.
pub fn write(table: &Table, run: &Path) -> Result<Vec<PathBuf>> {
    [("md", markdown(table)), ("tex", latex::document(table)), ("csv", csv(table)?)]
        .into_iter()
        .map(|(extension, text)| {
            files::write_part(run, TABLES, &format!("{}.{extension}", table.name), text)
        })
        .collect()
}

/// Columns of one group that stand side by side in the terminal.
struct Part {
    group: usize,
    columns: Range<usize>,
}

/// Escape sequences of grey text, and of its end.
const GREY: [&str; 2] = ["\u{1b}[2m", "\u{1b}[0m"];

impl Table {
    /// The table for a terminal `width` characters wide: side by side where it fits, otherwise
    /// its columns one under the other. `grey`: whether the paper's values are made grey by escape sequences.
    pub fn terminal(&self, width: usize, grey: bool) -> String {
        let labels =
            self.rows.iter().flat_map(|row| [Some(row.head()), paper_label(row)]).flatten();
        let label = labels.map(|label| label.chars().count()).max().unwrap_or(0);
        let label = label.max(self.stub.chars().count());
        let widths = self.widths();
        let mut out = format!("{}\n", self.title);
        let mut blocks: Vec<Vec<Part>> = Vec::new(); // parts side by side
        let mut used = usize::MAX;
        for group in 0..self.groups.len() {
            let own: usize = self.range(group).map(|column| widths[column] + 1).sum::<usize>() + 2;
            if used.saturating_add(own) <= width {
                used += own;
                let part = Part { group, columns: self.range(group) };
                blocks.last_mut().expect("the first group opens a block").push(part);
                continue;
            }
            // A new block, and more where even it is too narrow for the group.
            used = usize::MAX;
            for column in self.range(group) {
                if used.saturating_add(widths[column] + 1) > width {
                    blocks.push(vec![Part { group, columns: column..column }]);
                    used = label + 2;
                }
                used += widths[column] + 1;
                let part = blocks.last_mut().and_then(|block| block.last_mut());
                part.expect("it was just pushed").columns.end = column + 1;
            }
        }
        for block in blocks {
            self.block(&mut out, &block, (label, &widths), grey);
        }
        for note in self.all_notes() {
            let _ = writeln!(out, "· {note}");
        }
        out
    }

    fn block(
        &self,
        out: &mut String,
        parts: &[Part],
        (label, widths): (usize, &[usize]),
        grey: bool,
    ) {
        let width = |part: &Part| part.columns.clone().map(|at| widths[at] + 1).sum::<usize>();
        let rule = "─".repeat(label + parts.iter().map(|part| width(part) + 2).sum::<usize>());
        let _ = writeln!(out, "{rule}");
        let mut line = " ".repeat(label);
        for part in parts {
            let _ = write!(line, "  {:^1$}", self.groups[part.group].title, width(part));
        }
        let _ = writeln!(out, "{}", line.trim_end());
        let line = |head: &str, cell: &dyn Fn(usize) -> String| {
            let mut line = format!("{head:<label$}");
            for part in parts {
                line.push_str("  ");
                for column in part.columns.clone() {
                    let _ = write!(line, " {:>1$}", cell(column), widths[column]);
                }
            }
            line
        };
        let _ = writeln!(out, "{}\n{rule}", line(self.stub, &|column| self.head(column)));
        for row in &self.rows {
            let _ = writeln!(out, "{}", line(&row.head(), &|column| self.cell(row, column)));
            let Some(head) = paper_label(row) else { continue };
            // The paper's value stands below ours, and nothing below our interval.
            let cell = |column: usize| {
                let blank = self.interval_text(row, column).chars().count();
                format!("{}{}", self.paper_text(row, column).unwrap_or_default(), " ".repeat(blank))
            };
            let paper = line(&head, &cell);
            let [start, end] = if grey { GREY } else { [""; 2] };
            let _ = writeln!(out, "{start}{}{end}", paper.trim_end());
        }
        let _ = writeln!(out, "{rule}");
    }

    /// The cell with its interval, where that is shown.
    fn cell(&self, row: &Row, column: usize) -> String {
        self.text(row, column) + &self.interval_text(row, column)
    }

    /// Indices of the columns of one group.
    fn range(&self, group: usize) -> Range<usize> {
        let start = self.groups[..group].iter().map(|group| group.columns.len()).sum();
        start..start + self.groups[group].columns.len()
    }

    fn head(&self, column: usize) -> String {
        let column = self.columns().nth(column).expect("within the table");
        format!("{}{}", column.title, column.better.arrow())
    }

    /// Widths of the columns; the first of a group is widened for a head that is wider than its columns.
    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = (0..self.columns().count())
            .map(|column| {
                let cells = self.rows.iter().map(|row| self.cell(row, column).chars().count());
                cells.chain([self.head(column).chars().count()]).max().unwrap_or(0)
            })
            .collect();
        for (group, Group { title, .. }) in self.groups.iter().enumerate() {
            let range = self.range(group);
            let own: usize = widths[range.clone()].iter().map(|width| width + 1).sum();
            if let Some(first) = widths.get_mut(range.start) {
                *first += title.chars().count().saturating_sub(own);
            }
        }
        widths
    }
}

/// The label of the paper's row below `row`, if it has one.
pub(crate) fn paper_label(row: &Row) -> Option<String> {
    let label = &row.paper.as_ref()?.label;
    Some(if *label == row.label { "  paper".into() } else { format!("  paper: {label}") })
}

/// The table as Markdown.
pub(crate) fn markdown(table: &Table) -> String {
    let mut out = format!("**{}**\n\n| {} |", table.title, table.stub);
    for group in &table.groups {
        for column in &group.columns {
            let head = format!("{} {}{}", group.title, column.title, column.better.arrow());
            let _ = write!(out, " {} |", head.trim_start());
        }
    }
    out.push_str("\n|---|");
    out.push_str(&"---:|".repeat(table.columns().count()));
    for row in &table.rows {
        let below = |text: Option<String>| {
            let text = text.map(|text| format!("<br><sub>{}</sub>", text.trim_start()));
            text.unwrap_or_default()
        };
        let head = row.head().replace('|', "\\|");
        let _ = write!(out, "\n| {head}{} |", below(paper_label(row)));
        for column in 0..row.cells.len() {
            let text = table.cell(row, column);
            let text = if table.is_best(row, column) { format!("**{text}**") } else { text };
            let text = if table.beats_reference(row, column) { format!("_{text}_") } else { text };
            let _ = write!(out, " {text}{} |", below(table.paper_text(row, column)));
        }
    }
    out.push('\n');
    for (head, lines) in
        [("Notes", &table.all_notes()), ("Departures from the paper", &table.deviations)]
    {
        if !lines.is_empty() {
            let _ = writeln!(out, "\n{head}:\n");
        }
        for line in lines {
            let _ = writeln!(out, "- {line}");
        }
    }
    out
}

/// Columns after a value in the CSV of a table that compares with the paper.
const BESIDE: [&str; 4] = [" low", " high", " n", " paper"];

/// One line a row, full precision, for other programs. A table that compares with the paper has four more
/// columns for each of its own: the ends of the confidence interval, the count behind the value, and the
/// paper's value.
fn csv(table: &Table) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let compares = table.rows.iter().any(|row| row.paper.is_some());
    let beside = if compares { &BESIDE[..] } else { &[] };
    let heads = table.groups.iter().flat_map(|group| {
        group.columns.iter().flat_map(move |column| {
            let name = format!("{} {}", group.title, column.title).trim_start().to_string();
            std::iter::once("")
                .chain(beside.iter().copied())
                .map(move |what| format!("{name}{what}"))
        })
    });
    writer.write_record(std::iter::once(table.stub.to_string()).chain(heads))?;
    let text = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    for row in &table.rows {
        let cells =
            table.columns().zip(&row.cells).enumerate().flat_map(|(index, (column, cell))| {
                let own = match cell {
                    Some(_) if column.format == Format::Verdict => column.format.text(*cell),
                    cell => text(*cell),
                };
                let interval = row.intervals.get(index).copied().flatten();
                let others = [
                    text(interval.map(|interval| interval.low)),
                    text(interval.map(|interval| interval.high)),
                    text(row.counts.get(index).copied().flatten()),
                    text(row.paper.as_ref().and_then(|paper| paper.cells[index])),
                ];
                std::iter::once(own).chain(others.into_iter().take(beside.len()))
            });
        writer.write_record(std::iter::once(row.head()).chain(cells))?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}
