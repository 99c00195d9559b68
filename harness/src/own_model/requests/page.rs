//! A repaired set as one page, and as a card.

use super::measured::{Failing, Kind, Of, RequestMeasured};
use super::report::Report;
use crate::own_model::kept::change::SetChange;
use crate::report::page::{Section, escape, laid_out, list, page, table};
use crate::system::files;
use crate::table::Table;
use anyhow::Result;
use std::fmt::Write as _;
use std::path::Path;

/// Style of the texts.
const STYLE: &str = "\
table.texts { border-collapse: collapse; width: 100%; }
table.texts td, table.texts th { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
table.texts pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 9rem; overflow-y: auto; }
.wrong { color: var(--bad); }
.request { margin: .5rem 0; }
";

/// Writes `report.html` and `card.md` into `folder`.
///
/// # Errors
/// If one cannot be written.
pub fn write(report: &Report, tables: &[Table], folder: &Path) -> Result<()> {
    let asked = &report.asked;
    let title = format!("{} requests to {}", report.requests.len(), asked.model);
    let mut head = format!("<h1>{}</h1>\n<div id=\"overview\">\n<dl>\n", escape(&title));
    for (name, fact) in facts(report) {
        let _ = writeln!(head, "<dt>{name}</dt><dd>{}</dd>", escape(&fact));
    }
    head += "</dl></div>\n";
    let refused = report.refused.iter().map(|own| {
        let changed = 100.0 * own.changed;
        format!("{}: changes {changed:.1} % of the predictions on {} alone", own.name, own.set)
    });
    let conflicts = report.conflicts().into_iter().map(|(name, other, count)| {
        format!(
            "{name}: {count} of its prompts bring their target without {other}, and not with it"
        )
    });
    let parts = [
        Section {
            id: "tables",
            title: "Tables",
            content: tables.iter().map(table).collect(),
            open: true,
        },
        Section {
            id: "refused",
            title: "Refused",
            content: list(&refused.collect::<Vec<_>>()),
            open: true,
        },
        Section {
            id: "conflicts",
            title: "Conflicts",
            content: list(&conflicts.collect::<Vec<_>>()),
            open: true,
        },
        Section {
            id: "failing",
            title: "Prompts that fail",
            content: report.requests.iter().map(failing).collect(),
            open: true,
        },
        Section {
            id: "kept",
            title: "Kept texts: the positions that change most",
            content: report.kept.iter().map(worst).collect(),
            open: true,
        },
    ];
    let body = laid_out(&head, &parts);
    files::write(&folder.join("report.html"), page(&title, STYLE, &body, ""))?;
    files::write(&folder.join("card.md"), card(report, &title))?;
    Ok(())
}

/// Facts on the whole set.
fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let asked = &report.asked;
    let share = |of: fn(&RequestMeasured) -> Of| {
        let Of { count, of } = Of::sum(report.requests.iter().map(of));
        format!("{count} of {of}")
    };
    let parameters: usize = report.requests.iter().map(|own| own.parameters).sum();
    let mut facts = vec![
        (
            "Model",
            format!("{} (weights {}…)", asked.model, &asked.base[..12.min(asked.base.len())]),
        ),
        ("Method", asked.method["label"].as_str().unwrap_or_default().to_string()),
        ("Requests", format!("SHA-256 {}", asked.requests_sha256)),
        ("Prompts that bring the target", share(|own| own.prompts)),
        ("Rephrasings that do", share(|own| own.rephrasings)),
        ("Prompts to keep, unchanged", share(|own| own.keep)),
        ("Unrelated prompts, unchanged", share(|own| own.unrelated)),
        ("Parameters", parameters.to_string()),
    ];
    facts.extend(report.kept.iter().map(|set| ("Kept texts", line(set))));
    facts.extend(report.seconds.map(|seconds| {
        let each = seconds / report.requests.len() as f64;
        ("Time", format!("{seconds:.1} s, {each:.1} s a request"))
    }));
    facts.push(("Made by", report.harness.clone()));
    facts
}

/// A set of kept texts in a line.
pub fn line(set: &SetChange) -> String {
    let share = |count: usize| 100.0 * count as f64 / set.positions as f64;
    format!(
        "{}: {} of {} predictions changed ({:.1} %), {:.1} % of the five most probable kept, KL {:.4} nats, perplexity \
         {:.3} → {:.3}",
        set.name,
        set.whole.top1_changed,
        set.positions,
        share(set.whole.top1_changed),
        100.0 * set.whole.top5_kept,
        set.whole.divergence,
        set.perplexity,
        set.whole.perplexity
    )
}

/// The failing prompts of a request.
fn failing(request: &RequestMeasured) -> String {
    if request.failing.is_empty() {
        return String::new();
    }
    let mut out = format!(
        "<details class=\"request\"><summary>{}: {}</summary>\n<table class=\"texts\"><tr><th>kind</th><th>prompt</th>\
         <th>should write</th><th>writes</th><th>not without the edit of</th></tr>\n",
        escape(&request.name),
        request.failing.len()
    );
    for Failing { kind, prompt, wanted, writes, because_of } in &request.failing {
        let kind = match kind {
            Kind::Prompt => "prompt",
            Kind::Rephrasing => "rephrasing",
            Kind::Keep => "keep",
            Kind::Unrelated => "unrelated",
        };
        let _ = writeln!(
            out,
            "<tr><td>{kind}</td><td><pre>{}</pre></td><td><pre>{}</pre></td><td><pre class=\"wrong\">{}</pre></td>\
             <td>{}</td></tr>",
            escape(prompt),
            escape(wanted),
            escape(writes),
            escape(&because_of.join(", "))
        );
    }
    out + "</table></details>\n"
}

/// The positions of a set that change most.
fn worst(set: &SetChange) -> String {
    let mut out = format!(
        "<details class=\"request\"><summary>{}</summary>\n<table class=\"texts\"><tr><th>text</th><th>before</th>\
         <th>was</th><th>is</th><th>KL, nats</th></tr>\n",
        escape(&line(set))
    );
    for own in &set.worst {
        let changed = if own.was == own.is { "" } else { " class=\"wrong\"" };
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td><pre>{}</pre></td><td><pre>{}</pre></td><td><pre{changed}>{}</pre></td><td>{:.3}</td></tr>",
            own.text + 1,
            escape(&own.before),
            escape(&own.was),
            escape(&own.is),
            own.divergence
        );
    }
    out + "</table></details>\n"
}

/// The set as Markdown, to go with its patches.
fn card(report: &Report, title: &str) -> String {
    let mut out = format!("# {title}\n\n");
    for (name, fact) in facts(report) {
        let _ = writeln!(out, "- {name}: {fact}");
    }
    out += "\n| request | prompts | rephrasings | keep | unrelated | patch |\n|---|---:|---:|---:|---:|---|\n";
    for (request, patch) in report.requests.iter().zip(&report.patches) {
        let of =
            |Of { count, of }: Of| if of == 0 { "–".into() } else { format!("{count}/{of}") };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {patch} |",
            request.name,
            of(request.prompts),
            of(request.rephrasings),
            of(request.keep),
            of(request.unrelated)
        );
    }
    out
}
