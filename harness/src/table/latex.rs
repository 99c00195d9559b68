//! A table as a complete LaTeX document. The part between `\begin{document}` and `\end{document}`
//! goes into others that load the same packages.

use crate::table::export::paper_label;
use crate::table::{Group, Table};
use std::fmt::Write as _;

const PACKAGES: &str = "booktabs,caption,colortbl,graphicx,longtable";

/// Rows that fit on a page; a table of more is broken over several.
const PAGE: usize = 35;

/// Columns that fit on a page in its own size; a table of more that is broken over pages, which cannot be
/// scaled, is set smaller.
const WIDE: usize = 10;

/// Scales what is wider than the page.
const SCALED: &str = "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n";

/// The document: the table, its notes, and the departures from the paper.
pub(crate) fn document(table: &Table) -> String {
    let title = escape(&table.title);
    let columns: String =
        table.groups.iter().map(|group| "r".repeat(group.columns.len())).collect();
    let (heads, rows) = (heads(table), rows(table));
    let grid = if table.rows.len() > PAGE {
        let wide = columns.len() > WIDE;
        let size = if wide { "\\scriptsize\\setlength{\\tabcolsep}{2pt}\n" } else { "" };
        format!(
            "{{{size}\\begin{{longtable}}{{l{columns}}}\n\\caption*{{{title}}}\\\\\n\\toprule\n{heads}\
             \\midrule\n\\endhead\n{rows}\\bottomrule\n\\end{{longtable}}}}\n"
        )
    } else {
        format!(
            "\\begin{{table}}\n\\centering\n\\caption*{{{title}}}\n{SCALED}\\begin{{tabular}}{{l{columns}}}\n\
             \\toprule\n{heads}\\midrule\n{rows}\\bottomrule\n\\end{{tabular}}}}\n\\end{{table}}\n"
        )
    };
    format!(
        "\\documentclass{{article}}\n\\usepackage[a4paper,landscape,margin=15mm]{{geometry}}\n\
         \\usepackage{{{PACKAGES}}}\n\\begin{{document}}\n{grid}\\begin{{small}}\n{}{}\\end{{small}}\n\
         \\end{{document}}\n",
        list("Notes", &table.all_notes()),
        list("Departures from the paper", &table.deviations)
    )
}

/// The two lines over the rows.
fn heads(table: &Table) -> String {
    let (mut groups, mut rules) = (String::new(), String::new());
    let mut next = 2; // the first column after the labels
    for Group { title, columns } in &table.groups {
        let width = columns.len();
        let _ = write!(groups, " & \\multicolumn{{{width}}}{{c}}{{{}}}", escape(title));
        if !title.is_empty() {
            let _ = write!(rules, "\\cmidrule(lr){{{next}-{}}}", next + width - 1);
        }
        next += width;
    }
    let mut out = format!("{groups} \\\\\n{rules}\n{}", escape(table.stub));
    for column in table.columns() {
        let _ = write!(out, " & {}", escape(&format!("{}{}", column.title, column.better.arrow())));
    }
    out + " \\\\\n"
}

fn rows(table: &Table) -> String {
    let mut out = String::new();
    for row in &table.rows {
        out.push_str(&escape(&row.head()));
        for column in 0..row.cells.len() {
            let text = escape(&(table.text(row, column) + &table.interval_text(row, column)));
            let grey =
                if table.beats_reference(row, column) { "\\cellcolor[gray]{0.85}" } else { "" };
            if table.is_best(row, column) {
                let _ = write!(out, " & {grey}\\textbf{{{text}}}");
            } else {
                let _ = write!(out, " & {grey}{text}");
            }
        }
        out.push_str(" \\\\\n");
        let Some(label) = paper_label(row) else { continue };
        let grey = |text: &str| format!("\\textcolor[gray]{{0.4}}{{{}}}", escape(text));
        let _ = write!(out, "\\quad {}", grey(label.trim_start()));
        for column in 0..row.cells.len() {
            let text = table.paper_text(row, column).unwrap_or_default();
            let _ = write!(out, " & {}", grey(&text));
        }
        out.push_str(" \\\\\n");
    }
    out
}

fn list(head: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let items: String = lines.iter().map(|line| format!("\\item {}\n", escape(line))).collect();
    format!("\\noindent {head}:\n\\begin{{itemize}}\n{items}\\end{{itemize}}\n")
}

/// `text` as LaTeX.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => out.extend(['\\', character]),
            '<' | '>' => out.extend(['$', character, '$']),
            '\\' => out += "\\textbackslash{}",
            '~' => out += "\\textasciitilde{}",
            '^' => out += "\\textasciicircum{}",
            '[' => out += "{[}", // after a line's end it would be an optional argument
            '↑' => out += "$\\uparrow$",
            '↓' => out += "$\\downarrow$",
            '→' => out += "$\\to$",
            '≤' => out += "$\\le$",
            '×' => out += "$\\times$",
            '·' => out += "$\\cdot$",
            '−' => out += "$-$",
            'Δ' => out += "$\\Delta$",
            '‖' => out += "$\\Vert$",
            '–' => out += "--",
            other => out.push(other),
        }
    }
    out
}
