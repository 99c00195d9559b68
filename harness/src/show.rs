//! `ment show`: the trials of a run, and all that is known of one.

use crate::error::InputError;
use crate::record::{Observation, Outcome, Patched, Phases, Probed, Record, Texts, TrialId};
use crate::store;
use anyhow::Result;
use std::fmt::Write as _;
use std::path::Path;

/// One line a trial of the run in `folder`: id, place, outcome, tokens, method.
///
/// # Errors
/// If the folder is no run.
pub fn list(folder: &Path) -> Result<String> {
    let (_, records) = store::read(folder)?;
    let mut out = String::new();
    for trial in records.iter().filter_map(Trial::of) {
        let was = token(&trial.texts.before, trial.before.argmax);
        let target = token(&trial.texts.target, trial.target);
        let _ = writeln!(
            out,
            "{}  {:<32}  {:<14} {was} → {target}  {}",
            trial.id,
            trial.place,
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
pub fn trial(folder: &Path, id: &str) -> Result<String> {
    let (_, records) = store::read(folder)?;
    let found: Vec<Trial<'_>> =
        records.iter().filter_map(Trial::of).filter(|trial| trial.id.starts_with(id)).collect();
    let [trial] = &found[..] else {
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
    Ok(describe(trial, &records))
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

/// A trial of either experiment.
struct Trial<'r> {
    id: &'r TrialId,
    /// Where it belongs, in words.
    place: String,
    method: &'r str,
    outcome: Outcome,
    target: u32,
    texts: &'r Texts,
    before: &'r Observation,
    after: &'r Observation,
    neurons: &'r [Patched],
    parallel: Option<usize>,
    seconds: &'r Phases,
    record: &'r Record,
}

impl<'r> Trial<'r> {
    fn of(record: &'r Record) -> Option<Self> {
        match record {
            Record::Trial(trial) => Some(Self {
                id: &trial.id,
                place: format!(
                    "{} {}, gold token {}",
                    trial.dataset.label(),
                    trial.datum,
                    trial.position
                ),
                method: &trial.method,
                outcome: trial.outcome,
                target: trial.target,
                texts: &trial.texts,
                before: &trial.before,
                after: &trial.after,
                neurons: &trial.neurons,
                parallel: trial.parallel,
                seconds: &trial.seconds,
                record,
            }),
            Record::Patch(patch) => Some(Self {
                id: &patch.id,
                place: patch.name.to_string(),
                method: &patch.method,
                outcome: patch.outcome,
                target: patch.target,
                texts: &patch.texts,
                before: &patch.before,
                after: &patch.after,
                neurons: &patch.neurons,
                parallel: patch.parallel,
                seconds: &patch.seconds,
                record,
            }),
            Record::Datum(_) | Record::Prediction(_) | Record::Case(_) => None,
        }
    }

    /// What was prompted, and what should follow.
    fn prompt(&self, records: &'r [Record]) -> Option<(usize, &'r str, &'r str)> {
        records.iter().find_map(|record| match (self.record, record) {
            (Record::Trial(trial), Record::Datum(datum)) => {
                let own = datum.dataset == trial.dataset && datum.datum == trial.datum;
                own.then_some((datum.prompt_tokens, &*datum.prompt_text, &*datum.gold_text))
            }
            (Record::Patch(patch), Record::Case(case)) => {
                let own = case.name == patch.name;
                own.then_some((case.prompt_tokens, &*case.prompt_text, &*case.target_text))
            }
            _ => None,
        })
    }

    /// What the edit does elsewhere.
    fn elsewhere(&self) -> String {
        match self.record {
            Record::Trial(trial) if !trial.unrelated.is_empty() => {
                let kept = trial.unrelated.iter().filter(|probe| probe.argmax_kept).count();
                format!("\nunrelated predictions kept: {kept} of {}\n", trial.unrelated.len())
            }
            Record::Patch(patch) => probed(&patch.probes),
            _ => String::new(),
        }
    }
}

/// One line for each of the two probe sets.
fn probed(probes: &Probed) -> String {
    let Probed { related, target, argmax, now, .. } = probes;
    let mut out = String::from("\n");
    let sets = [("same subtype", 0..*related), ("other subtypes", *related..argmax.len())];
    for (name, set) in sets {
        let mean = |ranks: &[u32]| {
            let sum: f64 = ranks[set.clone()].iter().map(|&rank| f64::from(rank)).sum();
            sum / set.len().max(1) as f64
        };
        let top = set.clone().filter(|&index| target.rank_after[index] == 1).count();
        let kept = set.clone().filter(|&index| now[index] == argmax[index]).count();
        let _ = writeln!(
            out,
            "probed on {} of the {name}: target at mean rank {:.1} → {:.1}, on top in {top}; argmax kept \
             in {kept}",
            set.len(),
            mean(&target.rank_before),
            mean(&target.rank_after)
        );
    }
    out
}

fn describe(trial: &Trial<'_>, records: &[Record]) -> String {
    let Trial { id, place, method, before, after, texts, .. } = trial;
    let mut out = format!("trial {id}: {method} on {place}: {}\n\n", outcome(trial.outcome));
    let prompt = trial.prompt(records).filter(|(_, prompt, _)| !prompt.is_empty());
    if let Some((tokens, prompt, gold)) = prompt {
        let _ = writeln!(out, "prompt ({tokens} tokens)");
        for line in prompt.lines() {
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
    for patched in trial.neurons {
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
    out += &trial.elsewhere();
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
