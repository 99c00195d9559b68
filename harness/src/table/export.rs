//! A table as terminal text, Markdown and CSV, and all forms as files.

use crate::system::files;
use crate::table::{Format, Group, Table, latex};
use anyhow::Result;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Writes every file form of `table` into `folder`; the files.
///
/// # Errors
/// If the folder cannot be written.
pub fn write(table: &Table, folder: &Path) -> Result<Vec<PathBuf>> {
    [("md", markdown(table)), ("tex", latex::document(table)), ("csv", csv(table)?)]
        .into_iter()
        .map(|(extension, text)| {
            let path = folder.join(format!("{}.{extension}", table.name));
            files::write(&path, text)?;
            Ok(path)
        })
        .collect()
}

impl Table {
    /// The table for a terminal `width` characters wide: side by side where it fits, otherwise
    /// its column groups one under the other.
    pub fn terminal(&self, width: usize) -> String {
        let label = self.rows.iter().map(|row| row.head().chars().count()).max().unwrap_or(0);
        let label = label.max(self.stub.chars().count());
        let widths = self.widths();
        let mut out = format!("{}\n", self.title);
        let mut blocks: Vec<Vec<usize>> = Vec::new(); // groups side by side
        let mut used = usize::MAX;
        for group in 0..self.groups.len() {
            let own: usize = self.range(group).map(|column| widths[column] + 1).sum::<usize>() + 2;
            if used.saturating_add(own) > width {
                blocks.push(Vec::new());
                used = label;
            }
            used += own;
            blocks.last_mut().expect("the first group opens a block").push(group);
        }
        for block in blocks {
            self.block(&mut out, &block, label, &widths);
        }
        for note in self.all_notes() {
            let _ = writeln!(out, "· {note}");
        }
        out
    }

    fn block(&self, out: &mut String, groups: &[usize], label: usize, widths: &[usize]) {
        let width =
            |group: usize| self.range(group).map(|column| widths[column] + 1).sum::<usize>();
        let rule = "─".repeat(label + groups.iter().map(|&g| width(g) + 2).sum::<usize>());
        let _ = writeln!(out, "{rule}");
        let mut line = " ".repeat(label);
        for &group in groups {
            let _ = write!(line, "  {:^1$}", self.groups[group].title, width(group));
        }
        let _ = writeln!(out, "{}", line.trim_end());
        let mut line = format!("{:<label$}", self.stub);
        for &group in groups {
            line.push_str("  ");
            for column in self.range(group) {
                let _ = write!(line, " {:>1$}", self.head(column), widths[column]);
            }
        }
        let _ = writeln!(out, "{line}\n{rule}");
        for row in &self.rows {
            let mut line = format!("{:<label$}", row.head());
            for &group in groups {
                line.push_str("  ");
                for column in self.range(group) {
                    let _ = write!(line, " {:>1$}", self.text(row, column), widths[column]);
                }
            }
            let _ = writeln!(out, "{line}");
        }
        let _ = writeln!(out, "{rule}");
    }

    /// Indices of the columns of one group.
    fn range(&self, group: usize) -> std::ops::Range<usize> {
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
                let cells = self.rows.iter().map(|row| self.text(row, column).chars().count());
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
        let _ = write!(out, "\n| {} |", row.head().replace('|', "\\|"));
        for column in 0..row.cells.len() {
            let text = table.text(row, column);
            let text = if table.is_best(row, column) { format!("**{text}**") } else { text };
            let text = if table.beats_reference(row, column) { format!("_{text}_") } else { text };
            let _ = write!(out, " {text} |");
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

/// One line a cell's row, full precision, for other programs.
fn csv(table: &Table) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let heads = table.groups.iter().flat_map(|group| {
        group
            .columns
            .iter()
            .map(move |column| format!("{} {}", group.title, column.title).trim_start().to_string())
    });
    writer.write_record(std::iter::once(table.stub.to_string()).chain(heads))?;
    for row in &table.rows {
        let cells = table.columns().zip(&row.cells).map(|(column, cell)| match cell {
            Some(_) if column.format == Format::Verdict => column.format.text(*cell),
            cell => cell.map_or(String::new(), |value| value.to_string()),
        });
        writer.write_record(std::iter::once(row.head()).chain(cells))?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}
