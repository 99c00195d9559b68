//! A run as one HTML file: claims, tables, pictures, and up to 20,000 edits to browse. It needs nothing but
//! itself and a browser.

mod edits;

use crate::records::Record;
use crate::records::manifest::Manifest;
use crate::report::page::edits::PageEdits;
use crate::system::files;
use crate::table::{Row, Table};
use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The file's name.
pub const NAME: &str = "report.html";

/// Writes the page into `folder`, with the `pictures` that are SVG; the file.
///
/// # Errors
/// If a picture cannot be read, or the page not be written.
pub(crate) fn write(
    folder: &Path,
    manifest: &Manifest,
    records: &[Record],
    tables: &[Table],
    pictures: &[PathBuf],
) -> Result<PathBuf> {
    let edits = PageEdits::of(records);
    let title = format!("{}: {}", manifest.identity.model(), edits.scopes.join(", "));
    let mut body = format!("<h1>{}</h1>\n", escape(&title));
    body += "<nav><a href=\"#summary\">Summary</a><a href=\"#tables\">Tables</a>\
             <a href=\"#pictures\">Pictures</a><a href=\"#edits\">Edits</a>\
             <a href=\"#departures\">Departures from the paper</a>\
             <a href=\"#manifest\">Manifest</a></nav>\n";
    let (claims, others): (Vec<&Table>, Vec<&Table>) =
        tables.iter().partition(|table| table.name == "claims");
    section(&mut body, "summary", "Summary", &summary(manifest, &edits, &claims));
    section(&mut body, "tables", "Tables", &others.into_iter().map(table).collect::<String>());
    let mut drawn = String::new();
    for path in pictures.iter().filter(|path| path.extension().is_some_and(|form| form == "svg")) {
        let svg = std::fs::read_to_string(path)
            .with_context(|| format!("{}: cannot be read", path.display()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let _ = writeln!(
            drawn,
            "<figure><div class=\"picture\" role=\"img\" aria-label=\"{name}\">{svg}</div></figure>"
        );
    }
    section(&mut body, "pictures", "Pictures", &drawn);
    section(&mut body, "edits", "Edits", &browser(&edits));
    let deviations = tables.first().map_or(&[][..], |table| &table.deviations);
    section(&mut body, "departures", "Departures from the paper", &list(deviations));
    let manifest = escape(&serde_json::to_string_pretty(manifest)?);
    section(&mut body, "manifest", "Manifest", &format!("<pre>{manifest}</pre>\n"));
    let path = folder.join(NAME);
    files::write(&path, page(&title, "", &body, &scripts(&edits)?))?;
    Ok(path)
}

/// A self-contained page, with style rules added to those of all pages.
pub(crate) fn page(title: &str, style: &str, body: &str, scripts: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{own}{style}</style>\n<body>\n{body}{scripts}</body>\n</html>\n",
        title = escape(title),
        own = include_str!("page.css"),
    )
}

/// The edits as data, and the script that shows them; empty if there are none.
fn scripts(edits: &PageEdits<'_>) -> Result<String> {
    if edits.held() == 0 {
        return Ok(String::new());
    }
    // `</script>` within the data would end it.
    let data = serde_json::to_string(edits)?.replace('<', "\\u003c");
    Ok(format!(
        "<script type=\"application/json\" id=\"edits-data\">{data}</script>\n<script>\n{}</script>\n",
        include_str!("page.js")
    ))
}

fn section(out: &mut String, id: &str, title: &str, content: &str) {
    let _ = writeln!(out, "<section id=\"{id}\">\n<h2>{title}</h2>\n{content}</section>");
}

fn summary(manifest: &Manifest, edits: &PageEdits<'_>, claims: &[&Table]) -> String {
    let environment = &manifest.environment;
    let facts = [
        ("Model", manifest.identity.model().to_string()),
        ("Approaches", edits.methods.join(", ")),
        ("Trials", edits.all.to_string()),
        ("Device", format!("{}, {} threads", manifest.identity.device, environment.threads)),
        ("Made by", format!("ment {}, commit {}", environment.harness, environment.commit)),
    ];
    let mut out = String::from("<dl>\n");
    for (name, fact) in facts {
        let _ = writeln!(out, "<dt>{name}</dt><dd>{}</dd>", escape(&fact));
    }
    out.push_str("</dl>\n");
    out.extend(claims.iter().map(|claims| table(claims)));
    out
}

fn browser(edits: &PageEdits<'_>) -> String {
    if edits.held() == 0 {
        return "<p>There is none.</p>\n".into();
    }
    let choice = |id: &str, label: &str, all: &[(String, String)]| {
        let mut out = format!("<label>{label}<select id=\"{id}\"><option value=\"\">all</option>");
        for (value, text) in all {
            let _ = write!(out, "<option value=\"{}\">{}</option>", escape(value), escape(text));
        }
        out + "</select></label>\n"
    };
    let numbered = |(index, name): (usize, &&str)| (index.to_string(), (*name).to_string());
    let methods: Vec<_> = edits.methods.iter().enumerate().map(numbered).collect();
    let scopes: Vec<_> = edits.scopes.iter().map(|s| (s.to_string(), s.to_string())).collect();
    let outcomes = ["solved", "skipped", "already_solved"];
    let outcomes = outcomes.map(|name| (name.to_string(), name.replace('_', " ")));
    let mut out = String::from(
        "<div class=\"filters\">\n<label>Find words (/)<input id=\"find\" type=\"search\" \
         placeholder=\"token, prompt, place or id\"></label>\n",
    );
    out += &choice("method", "Approach", &methods);
    out += &choice("scope", "Of", &scopes);
    out += &choice("outcome", "Outcome", &outcomes);
    out += "<output id=\"count\"></output>\n</div>\n<div class=\"browser\">\n\
            <div id=\"list\" role=\"listbox\" tabindex=\"0\" aria-label=\"Edits; arrow keys move\">\
            <div id=\"rows\"></div></div>\n<div id=\"detail\" aria-live=\"polite\"></div>\n</div>\n";
    if edits.held() < edits.all {
        let _ = writeln!(
            out,
            "<p>The first {} of {} trials; <code>ment show</code> has them all.</p>",
            edits.held(),
            edits.all
        );
    }
    out
}

/// A table with its notes.
pub(crate) fn table(table: &Table) -> String {
    let mut out = format!(
        "<div class=\"scroll\"><table>\n<caption>{}</caption>\n<thead>",
        escape(&table.title)
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
    for row in &table.rows {
        let _ = write!(out, "<tr><td>{}</td>", escape(&row.head()));
        for column in 0..row.cells.len() {
            let _ = write!(
                out,
                "<td{}>{}</td>",
                class(table, row, column),
                escape(&table.text(row, column))
            );
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table></div>\n");
    out + &list(&table.all_notes())
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

fn list(lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let items: String = lines.iter().map(|line| format!("<li>{}</li>\n", escape(line))).collect();
    format!("<ul class=\"notes\">\n{items}</ul>\n")
}

/// `text` as HTML, within elements and quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
