//! Repairs and their side effects as text for people.

use super::file::PatchFile;
use super::kept::Drift;
use super::repair::{Failed, Repairs, Shown, Task};
use crate::edit::Neuron;
use crate::model::Loaded;
use crate::predict::NextToken;
use anyhow::Result;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Columns of a token between quotes.
const TOKEN: usize = 22;

/// What was asked for: the target's tokens.
///
/// # Errors
/// If a token cannot be decoded.
pub fn task(loaded: &Loaded, task: &Task) -> Result<String> {
    let tokens =
        task.ids.gold.iter().map(|&id| Ok(format!("{:?}", loaded.tokenizer.decode(&[id])?)));
    let tokens: Vec<String> = tokens.collect::<Result<_>>()?;
    let (prompt, target) = (task.ids.prompt.len(), tokens.len());
    let many = |count| many(count, "token", "tokens");
    Ok(format!("prompt   {}\ntarget   {}: {}\n", many(prompt), many(target), tokens.join(" ")))
}

/// A count with what is counted.
fn many(count: usize, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// Every repair, before and after, and how it ended.
pub fn repairs(task: &Task, repairs: &Repairs) -> String {
    let mut out = String::new();
    let tokens = task.ids.gold.len();
    for shown in &repairs.done {
        one(&mut out, shown, tokens);
    }
    let (patches, count) = (repairs.edit.0.len(), repairs.done.len());
    let neurons: BTreeSet<Neuron> = repairs.edit.0.iter().map(|column| column.neuron).collect();
    if let Some(Failed { tried, reason }) = &repairs.failed {
        one(&mut out, tried, tokens);
        let _ = writeln!(
            out,
            "\ntoken {} of {tokens} could not be repaired: {reason} (rank of the target {} → {}); \
             what was tried is undone. A larger ment.estimate.coefficient (0.25) pushes further and changes \
             more elsewhere; a larger ment.quota (10) tries more neurons",
            tried.repaired.position + 1,
            tried.repaired.before.target_rank,
            tried.repaired.after.target_rank
        );
    } else {
        let _ = writeln!(
            out,
            "\nthe whole target is said now: {} of {} for {}",
            many(patches, "patch", "patches"),
            many(neurons.len(), "neuron", "neurons"),
            many(count, "wrong token", "wrong tokens")
        );
    }
    out
}

fn one(out: &mut String, shown: &Shown, tokens: usize) {
    let repaired = &shown.repaired;
    let _ = writeln!(
        out,
        "\ntoken {} of {tokens}: {:?} instead of {:?}   ({:.1} s)",
        repaired.position + 1,
        repaired.target,
        repaired.was,
        shown.seconds
    );
    let after = if shown.top_after.is_empty() { "" } else { "after" };
    let line = format!("{:<width$}   {after}", "before", width = TOKEN + 7);
    let _ = writeln!(out, "   {}", line.trim_end());
    for place in 0..shown.top_before.len().max(shown.top_after.len()) {
        let cell = |tokens: &[NextToken]| {
            tokens.get(place).map_or_else(String::new, |token| {
                format!("{:<TOKEN$} {:.4}", format!("{:?}", token.text), token.probability)
            })
        };
        let (before, after) = (cell(&shown.top_before), cell(&shown.top_after));
        let line = format!("{before:<width$}   {after}", width = TOKEN + 7);
        let _ = writeln!(out, "   {}", line.trim_end());
    }
    for patched in &repaired.neurons {
        let _ = writeln!(
            out,
            "   neuron {}.{}: {:+} ranks, {:+.2} in ln(P target / P argmax)",
            patched.neuron.layer, patched.neuron.index, patched.rank_gain, patched.log_ratio_gain
        );
    }
}

/// Side effects on `texts` kept texts.
pub fn drift(drift: &Drift, texts: usize) -> String {
    let Drift { perplexity_before, perplexity_after, changed, positions } = *drift;
    format!(
        "kept     {texts} texts: perplexity {perplexity_before:.3} → {perplexity_after:.3} ({:+.2} %), \
         another token at {changed} of {positions} positions ({:.2} %)\n",
        100.0 * (perplexity_after / perplexity_before - 1.0),
        100.0 * changed as f64 / positions as f64
    )
}

/// Whether a patch still does what it was made for: `held` of `all` tokens of its target.
pub fn held(file: &PatchFile, (held, all): (usize, usize)) -> String {
    let lost = if held < all { ": it does not hold as it was made" } else { "" };
    format!(
        "{}: {held} of {all} tokens of {:?} are said{lost}\n",
        file.name(),
        file.patch.card.target
    )
}
