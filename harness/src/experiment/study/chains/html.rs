//! The study as one page: tables, then every case, the chain before beside the chain after, with the tokens
//! that differ coloured as in the paper's Figure 1.

use super::markdown::what_was_done;
use super::{Edited, Whole};
use crate::own_model::token_diff::{Fate, token_diff};
use crate::report::page::{Section, escape, laid_out, list, page, table};
use crate::system::files;
use crate::table::Table;
use anyhow::Result;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Style of the cases.
const STYLE: &str = "\
.case { margin: 1.5rem 0; padding: .75rem 1rem; border: 1px solid var(--line); border-radius: 6px; }
.case:target { border-color: var(--ours); box-shadow: 0 0 0 1px var(--ours); }
.case h3 { margin-top: 0; font-size: 1.1rem; }
.case h4 { margin: 1rem 0 0; }
.sides { display: grid; gap: 0 1rem; }
.sides > div { min-width: 0; }
.sides span.side { color: var(--faint); font-size: .85rem; }
.replaced { color: var(--bad); text-decoration: line-through; }
.new { color: var(--good); font-weight: 700; text-decoration: underline; }
.failed { color: var(--faint); font-style: italic; }
@media (min-width: 60rem) { .sides { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
";

/// Writes `case-study.html` into `folder`; the file.
pub(super) fn write(whole: &Whole<'_>, tables: &[Table], folder: &Path) -> Result<PathBuf> {
    let title = format!("Chains of thought of {}", whole.manifest.identity.model());
    let mut head = format!(
        "<h1>{}</h1>\n<div id=\"overview\">\n<p>Tokens: <span class=\"replaced\">replaced</span>, \
         <span class=\"new\">new</span>, others unchanged. The edit is made at one place of the first line, \
         and the whole chain is written again. The arrow keys → and ← lead from case to case.</p>\n",
        escape(&title)
    );
    head.extend(tables.iter().map(table));
    head += "</div>\n";
    let mut cases = String::new();
    for case in &whole.chains.case {
        let Some(before) = whole.before(&case.question) else { continue };
        let _ = writeln!(
            cases,
            "<article class=\"case\" id=\"{}\" tabindex=\"-1\">\n<h3>{}: <code>{}</code> → \
             <code>{}</code></h3>\n<p>{}</p>",
            case.name,
            escape(&case.library),
            escape(&case.wrong),
            escape(&case.right),
            escape(&case.question)
        );
        for row in whole.rows() {
            let Some(edited) = whole.edited(&row, &case.name) else { continue };
            let _ = writeln!(cases, "<h4>{}</h4>", escape(&Whole::label(&row)));
            cases += &chain(edited, &before.tokens);
        }
        cases.push_str("</article>\n");
    }
    let departures: Vec<String> =
        tables.iter().flat_map(|table| &table.deviations).cloned().collect();
    let parts = [
        Section { id: "cases", title: "Cases", content: cases, open: true },
        Section {
            id: "departures",
            title: "Departures from the paper",
            content: list(&departures),
            open: true,
        },
    ];
    let script = format!("<script>\n{}</script>\n", include_str!("cases.js"));
    let path = folder.join("case-study.html");
    files::write(&path, page(&title, STYLE, &laid_out(&head, &parts), &script))?;
    Ok(path)
}

/// The chain before beside the chain after, or alone where nothing was repaired.
fn chain(edited: &Edited, before: &[String]) -> String {
    let done = escape(&what_was_done(edited));
    let Some(after) = &edited.chain else {
        return format!(
            "<p class=\"failed\">{done}</p>\n<pre class=\"chain\">{}</pre>\n",
            escape(before.concat().trim_start())
        );
    };
    let pieces = token_diff(before, &after.tokens);
    let side = |name: &str, without: Fate| {
        let mut out = String::new();
        for piece in pieces.iter().filter(|piece| piece.fate != without) {
            let text = if out.is_empty() { piece.text.trim_start() } else { piece.text.as_str() };
            let _ = match class(piece.fate) {
                None => write!(out, "{}", escape(text)),
                Some(class) => write!(out, "<span class=\"{class}\">{}</span>", escape(text)),
            };
        }
        format!("<div><span class=\"side\">{name}</span><pre class=\"chain\">{out}</pre></div>\n")
    };
    format!(
        "<p>{done}</p>\n<div class=\"sides\">\n{}{}</div>\n",
        side("before", Fate::New),
        side("after", Fate::Replaced)
    )
}

/// CSS class of a fate that is shown.
fn class(fate: Fate) -> Option<&'static str> {
    match fate {
        Fate::Replaced => Some("replaced"),
        Fate::New => Some("new"),
        Fate::Unchanged => None,
    }
}
