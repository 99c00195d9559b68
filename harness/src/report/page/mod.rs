//! A run as one HTML file: what it says, tables, pictures, and up to 20,000 edits to browse. It needs nothing
//! but itself and a browser.

mod answers;
mod edits;
mod grid;

pub(crate) use self::grid::table;

use self::answers::answers;
use self::edits::PageEdits;
use crate::records::Record;
use crate::records::manifest::Manifest;
use crate::system::files;
use crate::table::Table;
use crate::table::plot::FIGURES;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The file's name.
pub const NAME: &str = "report.html";

/// The pictures of which the first that there is stands on the first screen.
const FIRST: [&str; 3] = ["figure6", "tradeoff", "beside_table3"];

/// Bytes of a picture that is linked, and not part of the page: one of many settings, which would fill it.
const LARGE: usize = 300_000;

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
    let edits = PageEdits::of(records, &manifest.identity);
    let mut drawn = read(pictures)?;
    let (large, rest): (BTreeMap<_, _>, _) =
        drawn.into_iter().partition(|(_, svg)| svg.len() > LARGE);
    drawn = rest;
    let first = FIRST.iter().find_map(|name| drawn.remove_entry(*name));
    let title = format!("{}: {}", manifest.identity.model(), edits.scopes.join(", "));
    let (beside, others): (Vec<&Table>, Vec<&Table>) = tables
        .iter()
        .filter(|table| table.name != "claims")
        .partition(|table| table.rows.iter().any(|row| row.paper.is_some()));
    let claims = tables.iter().find(|table| table.name == "claims").map(table);
    let pictures = beside.iter().filter_map(|own| drawn.remove_entry(own.name)).map(figure);
    let paper =
        pictures.collect::<String>() + &beside.iter().map(|own| table(own)).collect::<String>();
    let deviations = tables.first().map_or(&[][..], |table| &table.deviations);
    let raw = format!("<pre>{}</pre>\n", escape(&serde_json::to_string_pretty(manifest)?));
    let parts = [
        Section { id: "paper", title: "Beside the paper", content: paper, open: true },
        Section {
            id: "verdicts",
            title: "Claims",
            content: claims.unwrap_or_default(),
            open: true,
        },
        Section { id: "edits", title: "Edits", content: browser(&edits), open: true },
        Section {
            id: "tables",
            title: "Tables",
            content: others.into_iter().map(table).collect(),
            open: true,
        },
        Section {
            id: "pictures",
            title: "Pictures",
            content: drawn
                .into_iter()
                .map(figure)
                .chain(large.keys().map(|name| linked(name)))
                .collect(),
            open: true,
        },
        Section {
            id: "departures",
            title: "Departures from the paper",
            content: list(deviations),
            open: true,
        },
        Section { id: "manifest", title: "Manifest", content: raw, open: false },
    ];
    let mut head =
        format!("<h1>{}</h1>\n<div class=\"overview\" id=\"overview\"><div>\n", escape(&title));
    head += &facts(manifest, &edits, records);
    let ment = manifest.identity.first_ment().unwrap_or_default();
    head += &answers(tables, &ment);
    head += "</div>\n";
    head += &first.map(figure).unwrap_or_default();
    head += "</div>\n";
    let body = laid_out(&head, &parts);
    let path = folder.join(NAME);
    files::write(&path, page(&title, "", &body, &scripts(&edits)?))?;
    Ok(path)
}

/// Part of a page that folds.
pub(crate) struct Section<'s> {
    pub(crate) id: &'s str,
    /// Title, as HTML.
    pub(crate) title: &'s str,
    pub(crate) content: String,
    /// True if it is unfolded at first.
    pub(crate) open: bool,
}

/// A body: an index, a head, and those of `parts` that have content.
pub(crate) fn laid_out(head: &str, parts: &[Section<'_>]) -> String {
    let mut index = String::from("<a href=\"#overview\">Overview</a>");
    let mut out = format!("<main>\n{head}");
    for Section { id, title, content, open } in parts.iter().filter(|own| !own.content.is_empty()) {
        let _ = write!(index, "<a href=\"#{id}\">{title}</a>");
        let open = if *open { " open" } else { "" };
        let _ = writeln!(
            out,
            "<details class=\"section\" id=\"{id}\"{open}><summary><h2>{title}</h2></summary>\n{content}</details>"
        );
    }
    format!("<nav aria-label=\"Sections\">{index}</nav>\n{out}</main>\n")
}

/// A self-contained page, with style rules added to those of all pages.
pub(crate) fn page(title: &str, style: &str, body: &str, scripts: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{own}{style}</style>\n<body>\n{body}{scripts}\
         <script>\n{sections}</script>\n</body>\n</html>\n",
        title = escape(title),
        own = include_str!("page.css"),
        sections = include_str!("sections.js"),
    )
}

/// The SVG pictures by name.
fn read(pictures: &[PathBuf]) -> Result<BTreeMap<String, String>> {
    let drawn = pictures.iter().filter(|path| path.extension().is_some_and(|form| form == "svg"));
    drawn
        .map(|path| {
            let svg = std::fs::read_to_string(path)
                .with_context(|| format!("{}: cannot be read", path.display()))?;
            Ok((path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), svg))
        })
        .collect()
}

fn figure((name, svg): (String, String)) -> String {
    let name = escape(&name);
    format!(
        "<figure id=\"picture-{name}\"><div class=\"picture\" role=\"img\" aria-label=\"{name}\" \
         tabindex=\"0\">{svg}</div></figure>\n"
    )
}

/// A link to a picture that is not part of the page.
fn linked(name: &str) -> String {
    let name = escape(name);
    format!("<p><a href=\"{FIGURES}/{name}.svg\">{name}</a> is too large for this page.</p>\n")
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

/// Facts about the run.
fn facts(manifest: &Manifest, edits: &PageEdits<'_>, records: &[Record]) -> String {
    let environment = &manifest.environment;
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    for record in records {
        match record {
            Record::Datum(datum) => {
                *sizes.entry(manifest.identity.heading(datum.dataset)).or_default() += 1
            }
            Record::Case(case) => *sizes.entry(&case.name.of).or_default() += 1,
            _ => {}
        }
    }
    let sizes: Vec<String> = sizes.iter().map(|(name, size)| format!("{name} {size}")).collect();
    let facts = [
        ("Model", manifest.identity.model().to_string()),
        ("Data", sizes.join(", ")),
        ("Approaches", edits.methods.join(", ")),
        ("Edits", edits.all.to_string()),
        ("Device", format!("{}, {} threads", manifest.identity.device, environment.threads)),
        ("Made by", format!("ment {}, commit {}", environment.harness, environment.commit)),
    ];
    let mut out = String::from("<dl>\n");
    for (name, fact) in facts {
        let _ = writeln!(out, "<dt>{name}</dt><dd>{}</dd>", escape(&fact));
    }
    out + "</dl>\n"
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

pub(crate) fn list(lines: &[String]) -> String {
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
