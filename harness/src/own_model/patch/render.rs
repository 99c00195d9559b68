//! Repairs and their side effects as text for people.

use super::file::PatchFile;
use super::free::Free;
use super::repair::{Cause, Failed, PatchTest, Shown, Task, TaskOutcome};
use crate::edit::{Edit, Neuron};
use crate::model::Loaded;
use crate::model::tokenizer::{Border, quoted};
use crate::own_model::kept::Drift;
use crate::own_model::predict::NextToken;
use anyhow::Result;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Columns of a token between quotes.
const TOKEN: usize = 22;

/// Describes the task: the target's tokens, and the border to the prompt where it lies within a token.
///
/// # Errors
/// If a token cannot be decoded.
pub fn task(loaded: &Loaded, task: &Task) -> Result<String> {
    let tokens: Vec<String> =
        task.ids.gold.iter().map(|&id| loaded.tokenizer.token(id)).collect::<Result<_>>()?;
    let (prompt, target) = (task.ids.prompt.len(), tokens.len());
    let many = |count| many(count, "token", "tokens");
    let mut out =
        format!("prompt   {}\ntarget   {}: {}\n", many(prompt), many(target), quoted(&tokens));
    if let Some(Border { together, apart }) = &task.border {
        let _ = writeln!(
            out,
            "note     prompt and target meet within a token. Cut together they are … {} …; a model that is \
             given the prompt meets … {} …, and that is what is repaired. A prompt that ends where a word \
             ends (spaces belong to the target) is what models are trained on",
            quoted(together),
            quoted(apart)
        );
    }
    Ok(out)
}

/// Change that an edit makes, as a phrase.
fn size(edit: &Edit) -> String {
    if !edit.inputs.is_empty() {
        let neurons: BTreeSet<Neuron> = edit.inputs.iter().map(|input| input.neuron).collect();
        return format!(
            "{} that {} anew",
            many(neurons.len(), "neuron", "neurons"),
            if neurons.len() == 1 { "reads" } else { "read" }
        );
    }
    if edit.updates.is_empty() {
        let neurons: BTreeSet<Neuron> = edit.columns.iter().map(|column| column.neuron).collect();
        return format!(
            "{} of {}",
            many(edit.columns.len(), "patch", "patches"),
            many(neurons.len(), "neuron", "neurons")
        );
    }
    let layers: BTreeSet<usize> = edit.updates.iter().map(|update| update.layer).collect();
    let rank: usize = edit.updates.iter().map(|update| update.change.rank()).sum();
    let matrices = many(layers.len(), "matrix", "matrices");
    format!("an update of {matrices} of rank {rank} in all")
}

/// A count with what is counted.
fn many(count: usize, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// Every repair, before and after, and how it ended: with what the model writes after the prompt alone, or
/// with `advice` on what to do.
pub fn repairs(task: &Task, repairs: &TaskOutcome, free: Option<&Free>, advice: &str) -> String {
    let mut out = String::new();
    let tokens = task.ids.gold.len();
    for shown in &repairs.done {
        one(&mut out, shown, tokens);
    }
    let count = repairs.done.len();
    if let Some(Failed { tried, reason, cause }) = &repairs.failed {
        one(&mut out, tried, tokens);
        let _ = writeln!(
            out,
            "\ntoken {} of {tokens} could not be repaired: {reason} (rank of the target {} → {}). Nothing is \
             kept{}.",
            tried.repaired.position + 1,
            tried.repaired.before.target_rank,
            tried.repaired.after.target_rank,
            if count > 0 { ", not even the repairs of earlier tokens" } else { "" }
        );
        if let Cause::Undone { by: Some(by) } = cause {
            let _ = writeln!(out, "The repair of token {} has undone it.", by + 1);
        }
        if !advice.is_empty() {
            let _ = writeln!(out, "{advice}");
        }
    } else {
        let _ = writeln!(
            out,
            "\n{}: {} for {}",
            if free.is_none_or(|free| free.says_target) {
                "the model now predicts the whole target"
            } else {
                "every token of the target is predicted now, but the model does not write it by itself"
            },
            size(&repairs.edit),
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

/// Describes the text that the model writes after the prompt of `task` alone.
pub fn free(task: &Task, free: &Free) -> String {
    let mut out = format!("writes   {:?} (greedily, after the prompt alone)\n", free.text);
    if let Some(word) = &free.longer_word {
        let ended = |end: &str| format!("{}{end}", task.target);
        let _ = writeln!(
            out,
            "note     the word goes on: {word:?}. A target that includes what follows the word ends it there, \
             as {:?} or {:?} would",
            ended("("),
            ended("\n")
        );
    }
    out
}

/// Perplexity (a factor) and share of other predictions from which side effects are large.
const LARGE: (f64, f64) = (1.1, 0.1);

/// Side effects on `texts` kept texts, against the model without any patch.
pub fn drift(drift: &Drift, texts: usize) -> String {
    let Drift { perplexity_before, perplexity_after, changed, positions } = *drift;
    let (factor, share) = (perplexity_after / perplexity_before, changed as f64 / positions as f64);
    let mut out = format!(
        "kept     {texts} texts: perplexity {perplexity_before:.3} → {perplexity_after:.3} ({:+.2} %), \
         another token at {changed} of {positions} positions ({:.2} %)\n",
        100.0 * (factor - 1.0),
        100.0 * share
    );
    if is_large(drift) {
        out += "warning  these side effects are large: many predictions change that have nothing to \
         do with the prompt\n";
    }
    out
}

/// True if side effects are so large that the user must be warned.
pub fn is_large(drift: &Drift) -> bool {
    let Drift { perplexity_before, perplexity_after, changed, positions } = *drift;
    perplexity_after > LARGE.0 * perplexity_before || changed as f64 > LARGE.1 * positions as f64
}

/// Describes whether a patch still does what it was made for.
pub fn held(file: &PatchFile, held: &PatchTest) -> String {
    let PatchTest { tokens, of, free, holds } = held;
    let lost = match (holds, tokens == of) {
        (true, _) => String::new(),
        (false, true) => format!(", but the model writes {:?} after the prompt alone", free.text),
        (false, false) => ": it does not hold as it was made".into(),
    };
    format!(
        "{}: {tokens} of {of} tokens of {:?} are predicted{lost}\n",
        file.name(),
        file.patch.card.target
    )
}
