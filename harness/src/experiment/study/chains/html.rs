//! The study as one page: tables, then every case with its tokens coloured as in the paper's Figure 1.

use super::markdown::what_was_done;
use super::{Edited, Whole};
use crate::own_model::token_diff::{Fate, token_diff};
use crate::report::page::{escape, page, table};
use crate::system::files;
use crate::table::Table;
use anyhow::Result;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Colours of the page.
const STYLE: &str = "\
pre.chain { white-space: pre-wrap; border: 1px solid #ccc; padding: 0.6em 0.8em; margin: 0.3em 0; }
.replaced { color: #c00000; text-decoration: line-through; }
.new { color: #0040d0; font-weight: 600; }
.unchanged { color: #a85800; }
.failed { color: #666; font-style: italic; }
";

/// Writes `case-study.html` into `folder`; the file.
pub(super) fn write(whole: &Whole<'_>, tables: &[Table], folder: &Path) -> Result<PathBuf> {
    let title = format!("Chains of thought of {}", whole.manifest.identity.model());
    let mut body = format!(
        "<h1>{}</h1>\n<p>Tokens: <span class=\"replaced\">replaced</span>, <span class=\"new\">new</span>, \
         <span class=\"unchanged\">unchanged</span>. The edit is made at one place of the first line, \
         and the whole chain is written again.</p>\n",
        escape(&title)
    );
    for own in tables {
        body += &table(own);
    }
    for case in &whole.chains.case {
        let Some(before) = whole.before(&case.question) else { continue };
        let _ = writeln!(
            body,
            "<section id=\"{}\">\n<h2>{}: <code>{}</code> → <code>{}</code></h2>\n<p>{}</p>",
            case.name,
            escape(&case.library),
            escape(&case.wrong),
            escape(&case.right),
            escape(&case.question)
        );
        for row in whole.rows() {
            let Some(edited) = whole.edited(&row, &case.name) else { continue };
            let _ = writeln!(body, "<h3>{}</h3>", escape(&Whole::label(&row)));
            body += &chain(edited, &before.tokens);
        }
        body.push_str("</section>\n");
    }
    let list: String = tables
        .iter()
        .flat_map(|table| &table.deviations)
        .map(|line| format!("<li>{}</li>\n", escape(line)))
        .collect();
    let _ = writeln!(body, "<h2>Departures from the paper</h2>\n<ul class=\"notes\">\n{list}</ul>");
    let path = folder.join("case-study.html");
    files::write(&path, page(&title, STYLE, &body, ""))?;
    Ok(path)
}

fn chain(edited: &Edited, before: &[String]) -> String {
    let done = escape(&what_was_done(edited));
    let Some(after) = &edited.chain else {
        return format!(
            "<p class=\"failed\">{done}</p>\n<pre class=\"chain\">{}</pre>\n",
            escape(before.concat().trim_start())
        );
    };
    let mut out = format!("<p>{done}</p>\n<pre class=\"chain\">");
    for (place, piece) in token_diff(before, &after.tokens).iter().enumerate() {
        let (class, text) = (class(piece.fate), piece.text.as_str());
        let text = if place == 0 { text.trim_start() } else { text };
        let _ = write!(out, "<span class=\"{class}\">{}</span>", escape(text));
    }
    out + "</pre>\n"
}

/// CSS class of a fate.
fn class(fate: Fate) -> &'static str {
    match fate {
        Fate::Replaced => "replaced",
        Fate::New => "new",
        Fate::Unchanged => "unchanged",
    }
}
