//! `ment show`: the trials of a run, and all that is known of one.

use crate::error::InputError;
use crate::record::{DatumRecord, Observation, Outcome, Record, TrialRecord};
use crate::store;
use anyhow::Result;
use std::fmt::Write as _;
use std::path::Path;

/// One line a trial of the run in `folder`: id, data set, datum, position, outcome, tokens, method.
///
/// # Errors
/// If the folder is no run.
pub fn list(folder: &Path) -> Result<String> {
    let (_, records) = store::read(folder)?;
    let mut out = String::new();
    for trial in trials(&records) {
        let id = trial.id.to_string();
        let (dataset, datum, position) = (trial.dataset.label(), trial.datum, trial.position);
        let outcome = outcome(trial.outcome);
        let was = token(&trial.texts.before, trial.before.argmax);
        let target = token(&trial.texts.target, trial.target);
        let _ = writeln!(
            out,
            "{id}  {dataset:<6} {datum:>5} {position:>4}  {outcome:<14} {was} → {target}  {}",
            trial.method
        );
    }
    Ok(out)
}

/// The trial of the run in `folder` whose id begins with `id`.
///
/// # Errors
/// If the folder is no run, or there is no or more than one such trial.
pub fn trial(folder: &Path, id: &str) -> Result<String> {
    let (_, records) = store::read(folder)?;
    let found: Vec<&TrialRecord> =
        trials(&records).filter(|trial| trial.id.starts_with(id)).collect();
    let [trial] = found[..] else {
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
    let datum = records.iter().find_map(|record| match record {
        Record::Datum(datum) => {
            (datum.dataset == trial.dataset && datum.datum == trial.datum).then_some(datum)
        }
        _ => None,
    });
    Ok(describe(trial, datum))
}

fn trials(records: &[Record]) -> impl Iterator<Item = &TrialRecord> {
    records.iter().filter_map(|record| match record {
        Record::Trial(trial) => Some(trial),
        _ => None,
    })
}

/// A token as text, or by its id, where the record (of format 1) has no text.
fn token(text: &str, id: u32) -> String {
    if text.is_empty() { format!("(id {id})") } else { format!("{text:?} (id {id})") }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Solved => "solved",
        Outcome::Skipped => "skipped",
        Outcome::AlreadySolved => "already solved",
    }
}

fn describe(trial: &TrialRecord, datum: Option<&DatumRecord>) -> String {
    let TrialRecord { id, dataset, method, position, before, after, texts, .. } = trial;
    let mut out = format!(
        "trial {id}: {method} on {} {}, gold token {position}: {}\n\n",
        dataset.label(),
        trial.datum,
        outcome(trial.outcome)
    );
    if let Some(datum) = datum.filter(|datum| !datum.prompt_text.is_empty()) {
        let _ = writeln!(out, "prompt ({} tokens)", datum.prompt_tokens);
        for line in datum.prompt_text.lines() {
            let _ = writeln!(out, "  │ {line}");
        }
        let _ = writeln!(out, "gold\n  │ {}\n", datum.gold_text.replace('\n', "\n  │ "));
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
    if !trial.unrelated.is_empty() {
        let kept = trial.unrelated.iter().filter(|probe| probe.argmax_kept).count();
        let all = trial.unrelated.len();
        let _ = writeln!(out, "\nunrelated predictions kept: {kept} of {all}");
    }
    let seconds = trial.seconds;
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
