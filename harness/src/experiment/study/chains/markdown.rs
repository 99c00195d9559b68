//! The study as Markdown: tables, then every case line by line, as a diff.

use super::record::RepairedChainToken;
use super::{ChainCase, Edited, Whole};
use crate::edit::Neuron;
use crate::system::files;
use crate::table::Table;
use crate::table::export::markdown;
use anyhow::Result;
use similar::{Algorithm, DiffTag, capture_diff_slices};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Writes `case-study.md` into `folder`; the file.
pub(super) fn write(whole: &Whole<'_>, tables: &[Table], folder: &Path) -> Result<PathBuf> {
    let mut out = format!("# Chains of thought of {}\n\n", whole.manifest.identity.model());
    for table in tables {
        out += &markdown(table);
        out.push('\n');
    }
    for case in &whole.chains.case {
        let Some(before) = whole.before(&case.question) else { continue };
        let _ = writeln!(
            out,
            "## {}: `{}` → `{}`\n\n> {}\n",
            case.library, case.wrong, case.right, case.question
        );
        for row in whole.rows() {
            let Some(edited) = whole.edited(&row, &case.name) else { continue };
            let _ = writeln!(out, "**{}**: {}\n", Whole::label(&row), what_was_done(edited));
            if let Some(after) = &edited.chain {
                let _ = writeln!(out, "```diff\n{}```\n", diff(&before.text(), &after.text()));
            }
        }
        if failed_everywhere(whole, case) {
            let _ = writeln!(out, "```text\n{}\n```\n", before.text().trim());
        }
    }
    let path = folder.join("case-study.md");
    files::write(&path, out.trim_end().to_string() + "\n")?;
    Ok(path)
}

/// True if the chain is unchanged under every method.
fn failed_everywhere(whole: &Whole<'_>, case: &ChainCase) -> bool {
    let edited = |row| whole.edited(&row, &case.name).is_some_and(|edited| edited.chain.is_some());
    !whole.rows().into_iter().any(edited)
}

/// The repair in one line.
pub(super) fn what_was_done(edited: &Edited) -> String {
    let tokens: Vec<String> = edited
        .tokens
        .iter()
        .map(|token| {
            format!(
                "{:?} instead of {:?} (rank {} → {}; {})",
                token.target,
                token.was,
                token.before.target_rank,
                token.after.target_rank,
                neurons(token)
            )
        })
        .collect();
    match &edited.failed {
        None => tokens.join(", then "),
        Some(reason) => format!("not repaired, {reason}: {}", tokens.join(", then ")),
    }
}

/// The neurons in the order of their first patch, with how often each was patched.
fn neurons(token: &RepairedChainToken) -> String {
    let mut counted: Vec<(Neuron, usize)> = Vec::new();
    for patched in &token.neurons {
        match counted.iter_mut().find(|(neuron, _)| *neuron == patched.neuron) {
            Some((_, count)) => *count += 1,
            None => counted.push((patched.neuron, 1)),
        }
    }
    let named = counted.iter().map(|(neuron, count)| match count {
        1 => format!("{}.{}", neuron.layer, neuron.index),
        count => format!("{}.{} ×{count}", neuron.layer, neuron.index),
    });
    let named: Vec<String> = named.collect();
    format!("neuron{} {}", if named.len() == 1 { "" } else { "s" }, named.join(", "))
}

/// Lines as a unified diff without hunks.
fn diff(before: &str, after: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) =
        (before.trim_start().lines().collect(), after.trim_start().lines().collect());
    let mut out = String::new();
    let mut add = |sign: char, lines: &[&str]| {
        for line in lines {
            let _ = writeln!(out, "{}", format!("{sign} {line}").trim_end());
        }
    };
    for change in capture_diff_slices(Algorithm::Myers, &old, &new) {
        if change.tag() == DiffTag::Equal {
            add(' ', &old[change.old_range()]);
        } else {
            add('-', &old[change.old_range()]);
            add('+', &new[change.new_range()]);
        }
    }
    out
}
