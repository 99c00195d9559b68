//! `ment show`: the trials of a run, and all that is known of one.

use crate::edit::{Observation, Outcome};
use crate::error::InputError;
use crate::records::view::{PromptView, Prompts, TrialView, outcome, token};
use crate::records::{Record, Trial, store};
use anyhow::Result;
use std::fmt::Write as _;
use std::path::Path;

/// One line a trial of the run in `folder`: id, place, outcome, tokens, method.
///
/// # Errors
/// If the folder is no run.
pub(crate) fn list(folder: &Path) -> Result<String> {
    let records = store::read(folder)?.records;
    let mut out = String::new();
    for view in records.iter().filter_map(TrialView::of) {
        let trial = view.trial();
        let was = token(&trial.texts.before, trial.before.argmax);
        let target = token(&trial.texts.target, trial.target);
        let _ = writeln!(
            out,
            "{}  {:<32}  {:<14} {was} → {target}  {}",
            trial.id,
            view.place(),
            outcome(trial.outcome),
            trial.method
        );
    }
    Ok(out)
}

/// The trial of the run in `folder` whose id begins with `id`.
///
/// # Errors
/// If the folder is no run, or there is no or more than one such trial.
pub(crate) fn trial(folder: &Path, id: &str) -> Result<String> {
    let records = store::read(folder)?.records;
    let called = |view: &TrialView<'_>| view.trial().id.starts_with(id);
    let found: Vec<TrialView<'_>> =
        records.iter().filter_map(TrialView::of).filter(called).collect();
    let [view] = &found[..] else {
        let what = match found.len() {
            0 => format!("no trial has an id that begins with {id:?}"),
            several => format!("{several} trials have an id that begins with {id:?}"),
        };
        return Err(InputError::new(format!(
            "{}: {what}; `ment show {}` lists them",
            folder.display(),
            folder.display()
        )));
    };
    Ok(describe(view, &records))
}

fn describe(view: &TrialView<'_>, records: &[Record]) -> String {
    let trial = view.trial();
    let Trial { id, method, before, after, texts, .. } = trial;
    let mut out =
        format!("trial {id}: {method} on {}: {}\n\n", view.place(), outcome(trial.outcome));
    let prompt = Prompts::of(records).get(view).filter(|prompt| !prompt.text.is_empty());
    if let Some(PromptView { tokens, text, gold, .. }) = prompt {
        let _ = writeln!(out, "prompt ({tokens} tokens before the target)");
        for line in text.lines() {
            let _ = writeln!(out, "  │ {line}");
        }
        let _ = writeln!(out, "gold\n  │ {}\n", gold.replace('\n', "\n  │ "));
    }

    let _ = writeln!(out, "target   {}", token(&texts.target, trial.target));
    let mut state = |head: &str, seen: &Observation, argmax: &str| {
        let _ = writeln!(
            out,
            "{head}   argmax {} at {:.4}; target at rank {}, {:.4}",
            token(argmax, seen.argmax),
            seen.argmax_probability,
            seen.target_rank,
            seen.target_probability
        );
    };
    state("before", before, &texts.before);
    let tried = trial.outcome == Outcome::Skipped;
    state(if tried { "tried " } else { "after " }, after, &texts.after);
    if let Some(parallel) = trial.parallel {
        let _ = writeln!(out, "parallel prompts: {parallel}");
    }
    let head = if tried { "neurons tried, all undone" } else { "neurons" };
    if trial.neurons.is_empty() {
        let _ = writeln!(out, "\nno neuron was patched");
    } else {
        let _ = writeln!(out, "\n{head}\n   layer neuron located  gain in rank  gain in ln(Pt/Pa)");
    }
    for patched in &trial.neurons {
        let _ = writeln!(
            out,
            "   {:>5} {:>6} {:>7}  {:>12}  {:>17.4}",
            patched.neuron.layer,
            patched.neuron.index,
            patched.candidate + 1,
            patched.rank_gain,
            patched.log_ratio_gain
        );
    }
    let elsewhere = view.elsewhere();
    if !elsewhere.is_empty() {
        let _ = writeln!(out, "\n{}", elsewhere.join("\n"));
    }
    let seconds = &trial.seconds;
    let _ = writeln!(
        out,
        "\nseconds   trace {:.3}, locate {:.3}, estimate {:.3}, plan {:.3}, apply {:.3}: {:.3}",
        seconds.trace,
        seconds.locate,
        seconds.estimate,
        seconds.plan,
        seconds.apply,
        seconds.total()
    );
    out
}
