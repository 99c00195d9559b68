//! A table as HTML, in a frame of its own that scrolls.

use super::{escape, list};
use crate::table::export::paper_label;
use crate::table::{Row, Table};
use std::fmt::Write as _;

/// Rows of a table from which on it is folded at first.
const LONG: usize = 30;

/// A table with its notes, under its title, which folds it.
pub(crate) fn table(table: &Table) -> String {
    let open = if table.rows.len() < LONG { " open" } else { "" };
    let title = escape(&table.title);
    let mut out = format!(
        "<details class=\"table\" id=\"{}\"{open}><summary>{title}</summary>\n<div class=\"scroll\" tabindex=\"0\" \
         role=\"region\" aria-label=\"{title}\"><table>\n<thead>",
        escape(table.name)
    );
    if table.groups.iter().any(|group| !group.title.is_empty()) {
        out.push_str("<tr><th></th>");
        for group in &table.groups {
            let (width, title) = (group.columns.len(), escape(&group.title));
            let _ = write!(out, "<th colspan=\"{width}\">{title}</th>");
        }
        out.push_str("</tr>\n");
    }
    let _ = write!(out, "<tr><th>{}</th>", escape(table.stub));
    for column in table.columns() {
        let _ = write!(out, "<th>{}{}</th>", escape(column.title), column.better.arrow());
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    let paper = |text: Option<String>| {
        let text =
            text.map(|text| format!("<small class=\"paper\">{}</small>", escape(text.trim())));
        text.unwrap_or_default()
    };
    for row in &table.rows {
        let head = escape(&row.head());
        let _ = write!(out, "<tr><th scope=\"row\">{head}{}</th>", paper(paper_label(row)));
        for column in 0..row.cells.len() {
            let interval = table.interval_text(row, column);
            let interval = match interval.as_str() {
                "" => String::new(),
                some => format!("<span class=\"interval\">{}</span>", escape(some)),
            };
            let _ = write!(
                out,
                "<td{}>{}{interval}{}</td>",
                class(table, row, column),
                escape(&table.text(row, column)),
                paper(table.paper_text(row, column))
            );
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table></div>\n");
    out + &list(&table.all_notes()) + "</details>\n"
}

/// CSS class of a cell that is emphasized.
fn class(table: &Table, row: &Row, column: usize) -> &'static str {
    match (table.is_best(row, column), table.beats_reference(row, column)) {
        (true, true) => " class=\"best beats\"",
        (true, false) => " class=\"best\"",
        (false, true) => " class=\"beats\"",
        (false, false) => "",
    }
}
