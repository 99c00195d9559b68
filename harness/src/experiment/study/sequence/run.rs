//! The sequence, measured.

use super::super::slug;
use super::{DriftReading, RepairStep, Sequence, SequenceStep};
use crate::config::Config;
use crate::data::dataset::DatasetName;
use crate::edit::{Edit, Observation, Outcome};
use crate::engine::batches::together;
use crate::engine::device::{Clock, tokens_at_once};
use crate::engine::forward::logits_at_ends;
use crate::error::InputError;
use crate::experiment::check;
use crate::experiment::plan::plan;
use crate::experiment::prompt::render;
use crate::experiment::run::FailedTrials;
use crate::method::attempt::{Attempt, Traces, Workbench, attempt};
use crate::method::{self, Method, NoParallelPrompts, WantedToken, observe_each};
use crate::model::Loaded;
use crate::model::tokenizer::Joint;
use crate::own_model::kept::{self, Drift, KeptTexts};
use crate::own_model::patch::file::{Card, Patch, PatchFile};
use crate::own_model::patch::repair::{Shown, Task, TaskOutcome};
use crate::own_model::patch::stack::Stack;
use crate::records::manifest::Manifest;
use crate::records::store::journal::Journal;
use crate::system::{progress, signal};
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tch::Tensor;

/// An error of the unedited model, as a task whose last token is wrong.
struct LastError {
    dataset: DatasetName,
    datum: usize,
    task: Task,
}

/// Runs the study into `folder`, or continues it.
///
/// # Errors
/// If the data hold too few errors, the folder is of another study, or the user stops.
pub fn run(
    config: &Config,
    sequence: &Sequence,
    loaded: &Loaded,
    manifest: &Manifest,
    folder: &Path,
) -> Result<()> {
    let errors = errors(config, sequence.count.0, loaded)?;
    let (mut journal, steps) = Journal::open::<SequenceStep>(folder, manifest)?;
    let named = steps.iter().filter(|step| matches!(step, SequenceStep::Error { .. })).count();
    for LastError { dataset, datum, task } in &errors[named.min(errors.len())..] {
        let position = task.ids.gold.len() - 1;
        let target = loaded.tokenizer.token(task.ids.gold[position])?;
        journal.append(&SequenceStep::Error {
            dataset: *dataset,
            datum: *datum,
            position,
            target,
        })?;
    }
    let kept = KeptTexts::read(sequence.keep.as_deref(), loaded)?;
    let unedited = kept.under(loaded, &Edit::none())?;
    let course = SequenceCourse { config, loaded, errors, kept, unedited, folder };
    let methods = method::all(config, loaded)?;
    let bar = progress::bar("repair", methods.len() * course.errors.len());
    let mut failed = FailedTrials::default();
    for method in &methods {
        let ended = course.method(method.as_ref(), sequence, &steps, &mut journal, &|| {
            bar.set_message(method.label().to_string());
            bar.inc(1);
        });
        failed.catch(|| format!("the rest of {}", method.label()), ended)?;
    }
    bar.finish_and_clear();
    failed.end()
}

/// The last wrong token of the first `count` data that have one, data sets in turn.
fn errors(config: &Config, count: usize, loaded: &Loaded) -> Result<Vec<LastError>> {
    let datasets = check::datasets(config)?;
    let mut planned = plan(config, &datasets);
    planned.sort_by_key(|datum| datum.place); // stable: data sets in turn
    let mut errors = Vec::new();
    let bar = progress::bar("errors", count);
    for datum in planned {
        signal::check()?;
        if errors.len() == count {
            break;
        }
        let dataset = &config.dataset[datum.dataset];
        let prompt = render(dataset.templates(), config.retrieval.order, &[], &datum.pair.input);
        let task = Task::new(loaded, &loaded.tokenizer, &prompt, &datum.pair.output);
        let task = task.with_context(|| format!("datum {} of {}", datum.datum, dataset.name))?;
        if let Some(&last) = task.wrong(loaded)?.last() {
            let task = task.up_to(last, loaded)?;
            errors.push(LastError { dataset: dataset.name, datum: datum.datum, task });
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    if errors.len() < count {
        return Err(InputError::new(format!(
            "the data hold {} errors of that model, fewer than sequence.count = {count}; add data sets, \
             or raise their limit",
            errors.len()
        )));
    }
    Ok(errors)
}

/// Repair of an error, made.
pub(super) struct MadeRepair {
    step: RepairStep,
    /// The edit and the id of its patch file, where the error was repaired.
    patch: Option<(Edit, String)>,
}

/// A study under way.
pub(super) struct SequenceCourse<'a> {
    config: &'a Config,
    pub(super) loaded: &'a Loaded,
    errors: Vec<LastError>,
    kept: KeptTexts,
    unedited: kept::KeptReading,
    folder: &'a Path,
}

impl SequenceCourse<'_> {
    /// A method on all errors, from where `steps` end.
    fn method(
        &self,
        method: &dyn Method,
        sequence: &Sequence,
        steps: &[SequenceStep],
        journal: &mut Journal,
        tick: &dyn Fn(),
    ) -> Result<()> {
        let label = method.label();
        let mut known: HashMap<usize, Outcome> = steps
            .iter()
            .filter_map(|step| match step {
                SequenceStep::Repaired(step) if step.method == label => {
                    Some((step.error, step.outcome))
                }
                _ => None,
            })
            .collect();
        // A stopped study has a beginning of the errors behind it.
        let solved =
            (0..self.errors.len()).filter(|error| known.get(error) == Some(&Outcome::Solved));
        let files = solved.map(|error| PatchFile::read(&self.place(label, error)));
        let stack = Stack::new(&self.loaded.sha256, files.collect::<Result<_>>()?)?;
        let (mut standing, mut ids) =
            (stack.edit(self.loaded.model.as_ref())?.merged(), stack.ids());
        let mut repaired = Vec::new();
        let size = if method.together().is_some() { sequence.together.0 } else { 1 };
        let mut first = 0;
        while first < self.errors.len() {
            signal::check()?;
            let end = sequence.group_end(first, size);
            let new: Vec<usize> = (first..end).filter(|index| !known.contains_key(index)).collect();
            let made = match (&new[..], method.together()) {
                ([], _) => Vec::new(),
                (new, Some(together)) if size > 1 => {
                    self.repair_together((method, together), new, &standing, &ids)?
                }
                (new, _) => vec![self.repair(method, new[0], &standing, &ids)?],
            };
            for MadeRepair { step, patch } in made {
                if let Some((edit, id)) = patch {
                    standing = standing.and(&edit).merged();
                    ids.push(id);
                }
                known.insert(step.error, step.outcome);
                journal.append(&SequenceStep::Repaired(step))?;
            }
            repaired.extend((first..end).filter(|index| known[index] == Outcome::Solved));
            let due = end == self.errors.len()
                || sequence.readings.iter().any(|reading| reading.0 == end);
            let read = |step: &SequenceStep| matches!(step, SequenceStep::Read(read) if read.method == label && read.after == end);
            if due && !steps.iter().any(read) {
                journal
                    .append(&SequenceStep::Read(self.read(label, end, &repaired, &standing)?))?;
            }
            (first..end).for_each(|_| tick());
            first = end;
        }
        Ok(())
    }

    /// One error, repaired on top of `standing`, the patches `ids`.
    fn repair(
        &self,
        method: &dyn Method,
        index: usize,
        standing: &Edit,
        ids: &[String],
    ) -> Result<MadeRepair> {
        let (task, model) = (&self.errors[index].task, self.loaded.model.as_ref());
        let workbench = Workbench::alone(self.config, self.loaded);
        let sequence = task.sequence(model.spec().device);
        let clock = Clock::start(model.spec().device);
        let mut traces = Traces::default();
        let traced = workbench.trace(method, &sequence, standing, &mut traces);
        let context = workbench.context(&sequence, traced, &NoParallelPrompts, None);
        let position = task.ids.gold.len() - 1;
        let (at, target) = (task.ids.prompt.len() - 1 + position, task.ids.gold[position]);
        let attempt = attempt(method, &context, (at, target), clock)?;
        self.made(method.label(), index, &attempt, ids)
    }

    /// The step of `attempt` on the error `index`, on top of the patches `ids`, and its edit as a patch.
    pub(super) fn made(
        &self,
        label: &str,
        index: usize,
        attempt: &Attempt,
        ids: &[String],
    ) -> Result<MadeRepair> {
        let task = &self.errors[index].task;
        let step = RepairStep {
            method: label.into(),
            error: index,
            outcome: attempt.outcome,
            before: attempt.before,
            after: attempt.repair.after,
            neurons: attempt.repair.neurons.clone(),
            seconds: attempt.repair.seconds.total(),
        };
        if attempt.outcome != Outcome::Solved {
            return Ok(MadeRepair { step, patch: None });
        }
        let shown = Shown::of(self.loaded, task, task.ids.gold.len() - 1, attempt)?;
        let edit = attempt.repair.edit.clone();
        let repairs = TaskOutcome { done: vec![shown], edit, failed: None };
        // The tokens before are given, right or wrong: the patch answers for the last one.
        let task = task.of_last(self.loaded)?;
        let card = Card::new(self.config, self.loaded, label, &task, &repairs, ids.to_vec());
        let id = Patch::new(card, &repairs.edit)?.write_again(&self.place(label, index))?;
        Ok(MadeRepair { step, patch: Some((repairs.edit, id)) })
    }

    /// The model after `after` errors, under `standing`; `repaired` of them were.
    fn read(
        &self,
        method: &str,
        after: usize,
        repaired: &[usize],
        standing: &Edit,
    ) -> Result<DriftReading> {
        let seen = self.seen(repaired, standing)?;
        let held = seen.iter().filter(|seen| seen.target_rank == 1).count();
        let drift = Drift::between(&self.unedited, &self.kept.under(self.loaded, standing)?);
        Ok(DriftReading {
            method: method.into(),
            after,
            repaired: repaired.len(),
            held,
            perplexity: (drift.perplexity_before, drift.perplexity_after),
            changed: (drift.changed, drift.positions),
        })
    }

    /// The predictions at the errors `of` under `standing`.
    pub(super) fn seen(&self, of: &[usize], standing: &Edit) -> Result<Vec<Observation>> {
        let model = self.loaded.model.as_ref();
        let wanted: Vec<WantedToken> = of.iter().map(|&index| self.wanted(index)).collect();
        let prompts: Vec<&[u32]> = wanted.iter().map(|wanted| &wanted.ids[..]).collect();
        let device = model.spec().device;
        let mut seen = Vec::with_capacity(of.len());
        for batch in together(&prompts, tokens_at_once(device), device) {
            signal::check()?;
            let logits = logits_at_ends(model, &batch.sequences, standing);
            let targets = batch.prompts.iter().map(|&place| i64::from(wanted[place].target));
            let targets = Tensor::from_slice(&targets.collect::<Vec<_>>()).to_device(device);
            seen.extend(batch.prompts.into_iter().zip(observe_each(&logits, &targets)?));
        }
        seen.sort_unstable_by_key(|(place, _)| *place);
        Ok(seen.into_iter().map(|(_, seen)| seen).collect())
    }

    /// The token that the error `index` should be, after all before it.
    pub(super) fn wanted(&self, index: usize) -> WantedToken {
        let Joint { prompt, gold } = &self.errors[index].task.ids;
        let (&target, given) = gold.split_last().expect("a target");
        WantedToken { ids: [prompt, given].concat(), target, subject: None }
    }

    /// Path of the patch of an error.
    fn place(&self, label: &str, index: usize) -> PathBuf {
        let name = format!("{:04}.safetensors", index + 1);
        self.folder.join("patches").join(slug(label)).join(name)
    }
}
