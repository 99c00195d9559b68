//! Every method on every error.

use super::super::prepare::PreparedPrompt;
use super::live::LiveTable;
use super::locality_probes::LocalityProbes;
use super::{Patching, observe_gold};
use crate::data::dataset::DatasetName;
use crate::edit::{Edit, Outcome};
use crate::engine::device::Clock;
use crate::engine::trace::Trace;
use crate::error::NonFinite;
use crate::method::attempt::{Attempt, Traces, Warm, Workbench, attempt};
use crate::method::{LlmError, Method, Repair, RepairContext};
use crate::model::Sequences;
use crate::records::{DatumRecord, ErrorTrial, Record, Texts, Trial, TrialId};
use crate::system::{progress, signal};
use anyhow::Result;
use indicatif::ProgressBar;
use std::collections::BTreeSet;
use tch::Tensor;

/// A method on its way through the errors of a datum.
pub(super) struct DatumCourse<'m> {
    method: &'m dyn Method,
    /// Edits so far, if they pile up.
    standing: Edit,
    /// All edits so far; `None` unless what the model writes under them is asked for.
    all: Option<Edit>,
    /// Tokens at the gold positions; those of repaired errors are the gold ones.
    predicted: Vec<u32>,
    /// True if a trial was made, now or in an earlier process.
    began: bool,
    /// True where a trial had no result, so that the final prediction of the datum is not known.
    failed: bool,
}

impl<'m> DatumCourse<'m> {
    pub(super) fn new(method: &'m dyn Method, datum: &DatumRecord) -> Self {
        let (standing, predicted) = (Edit::none(), datum.argmax.clone());
        Self { method, standing, all: None, predicted, began: false, failed: false }
    }
}

impl<'a> Patching<'a> {
    /// Every method on every error, datum by datum: in a pass over the data the methods of one effort, the
    /// cheapest first, so that their results are there early.
    pub(super) fn repair_all(&mut self, mut live: LiveTable) -> Result<()> {
        let errors: usize = self
            .own
            .iter()
            .filter_map(|p| self.done.datum(self.dataset(p), p.planned.datum))
            .map(|datum| datum.errors().count())
            .sum();
        let execution = &self.config.execution;
        let (count, memory) = (execution.unrelated_probes, execution.memory() / 2);
        let model = self.loaded.model.as_ref();
        let locality = LocalityProbes::new(model, self.prompts, count, memory);
        let bar = progress::bar("repair", errors * self.methods.len());
        let mut warm = Warm::default();
        let efforts: BTreeSet<usize> = self.methods.iter().map(|method| method.effort()).collect();
        for effort in efforts {
            let methods = self.methods.iter().map(AsRef::as_ref);
            let methods: Vec<&dyn Method> = methods.filter(|own| own.effort() == effort).collect();
            for method in &methods {
                signal::check()?;
                bar.set_message(format!("{}: warm-up", method.label()));
                warm.up(*method, || self.warm_up(*method))?;
            }
            for prompt in self.own.clone() {
                self.repair_datum(prompt, &methods, &locality, (&bar, &mut live))?;
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Repairs the last error that `method` has not met yet, and drops the result. Whether there was
    /// such an error.
    pub(super) fn warm_up(&self, method: &dyn Method) -> Result<bool> {
        for prompt in self.own.iter().rev() {
            let (dataset, datum) = (self.dataset(prompt), prompt.planned.datum);
            let record = self.done.datum(dataset, datum).expect("every datum is predicted");
            let id = |position| self.id(method, (dataset, datum), position);
            let open = |position: &usize| self.done.trial(&id(*position)).is_none();
            let Some(position) = record.errors().filter(open).last() else { continue };
            let ids = prompt.tensor(self.loaded.model.spec().device);
            let parallel = self.parallel.around(&prompt.planned);
            let workbench = self.workbench();
            let mut traces = Traces::default();
            let traced = workbench.trace(method, &ids, &Edit::none(), &mut traces);
            let (target, argmax) = (record.gold[position], record.argmax[position]);
            let error = LlmError { at: prompt.at(position), target, argmax };
            let hint = prompt.hint.as_ref();
            let context = workbench.context(&ids, traced, parallel.as_ref(), hint);
            return match method.repair(&context, &error) {
                Err(error) if !error.is::<NonFinite>() => Err(error),
                _ => Ok(true),
            };
        }
        Ok(false)
    }

    /// With an equal share of the memory for the trace, another one where edits pile up, and the
    /// method; locality have half of it all, if there are any.
    fn workbench(&self) -> Workbench<'a> {
        let shares = 2 + usize::from(self.methods.iter().any(|method| method.keeps_edits()));
        let locality = self.config.execution.unrelated_probes > 0;
        let memory = self.config.execution.memory() / if locality { 2 } else { 1 } / shares;
        Workbench { config: self.config, loaded: self.loaded, memory }
    }

    /// Error by error, each of `methods` on it: those that meet the same sequence share its trace, and a
    /// stopped run has measured all of them on the same errors, but for the one at hand.
    fn repair_datum(
        &mut self,
        prompt: &PreparedPrompt<'a>,
        methods: &[&'a dyn Method],
        locality: &LocalityProbes<'_>,
        (bar, live): (&ProgressBar, &mut LiveTable),
    ) -> Result<()> {
        let (dataset, datum) = (self.dataset(prompt), prompt.planned.datum);
        let record = self.done.datum(dataset, datum).expect("every datum is predicted").clone();
        let errors: Vec<usize> = record.errors().collect();
        let mut courses: Vec<DatumCourse<'_>> = methods
            .iter()
            .map(|method| {
                let free = method.edits_stand() && self.is_unwritten(prompt, method.label());
                DatumCourse { all: free.then(Edit::none), ..DatumCourse::new(*method, &record) }
            })
            .filter(|course| self.is_open(course, &record))
            .collect();
        bar.inc((errors.len() * (methods.len() - courses.len())) as u64);
        let ids = prompt.tensor(self.loaded.model.spec().device);
        let mut unedited = Traces::default();
        for position in errors {
            for course in &mut courses {
                signal::check()?;
                let method = course.method.label();
                bar.set_message(format!("{method} on {} {datum}", dataset.label()));
                let trial =
                    self.repair_error(course, (prompt, &ids, position), &mut unedited, locality);
                let name = || format!("{method} on {dataset} {datum}, token {position}");
                course.failed |= self.failed.catch(name, trial)?.is_none();
                bar.inc(1);
            }
        }
        for course in courses.into_iter().filter(|course| !course.failed) {
            let method = course.method.label().to_string();
            if let Some(all) = &course.all {
                let name = || format!("{method} on {dataset} {datum}, written freely");
                let written = self.write_freely(prompt, method.clone(), all);
                self.failed.catch(name, written)?;
            }
            let name = || format!("{method} on {dataset} {datum}, all edits together");
            let predicted = self.predicted(&course, prompt, &ids);
            if let Some(predicted) = self.failed.catch(name, predicted)? {
                let new = self.write_prediction(prompt, method, predicted)?;
                new.into_iter().for_each(|prediction| live.update(&record, prediction));
            }
        }
        Ok(())
    }

    /// True if some work on a datum is left.
    fn is_open(&self, course: &DatumCourse<'_>, datum: &DatumRecord) -> bool {
        let (dataset, place) = (datum.dataset, datum.datum);
        let id = |position| self.id(course.method, (dataset, place), position);
        course.all.is_some()
            || !self.done.predicted(dataset, place, course.method.label())
            || datum.errors().any(|position| self.done.trial(&id(position)).is_none())
    }

    fn id(&self, method: &dyn Method, of: (DatasetName, usize), position: usize) -> TrialId {
        TrialId::new(&self.hashes[method.label()], of.0, of.1, position)
    }

    /// The next step of a method's course: the error at gold position `position`.
    pub(super) fn repair_error(
        &mut self,
        course: &mut DatumCourse<'_>,
        (prompt, ids, position): (&PreparedPrompt<'a>, &Tensor, usize),
        unedited: &mut Traces,
        locality: &LocalityProbes<'_>,
    ) -> Result<()> {
        let method = course.method;
        let (dataset, datum) = (self.dataset(prompt), prompt.planned.datum);
        let id = self.id(method, (dataset, datum), position);
        // Edits are not in the records, so where they pile up the datum is repaired as a whole.
        let piles_up = method.keeps_edits() || course.all.is_some();
        let known = self.done.trial(&id).filter(|_| !piles_up);
        let outcome = if let Some(trial) = known {
            course.began = true;
            trial.trial.outcome
        } else {
            let (workbench, parallel) = (self.workbench(), self.parallel.around(&prompt.planned));
            let mut edited = Traces::default();
            let is_edited = !course.standing.is_none();
            let traces = if is_edited { &mut edited } else { unedited };
            let traced = workbench.trace(method, ids, &course.standing, traces);
            // The trace that all errors share counts for the first of them.
            let tracing = if is_edited || !course.began { traced.seconds } else { 0.0 };
            course.began = true;
            let clock = Clock::ahead(self.loaded.model.spec().device, tracing);
            let hint = prompt.hint.as_ref();
            let context = workbench.context(ids, traced, parallel.as_ref(), hint);
            let (mut trial, edit) =
                repair(method, &context, prompt, (id, dataset, position), locality, clock)?;
            self.weights.check(self.loaded.model.as_ref(), &trial.trial.id)?;
            trial.trial.texts = self.texts(&trial.trial)?;
            let outcome = trial.trial.outcome;
            tracing::debug!(id = %trial.trial.id, method = trial.trial.method, ?outcome, "trial");
            if self.done.trial(&trial.trial.id).is_none() {
                self.write(Record::Trial(trial))?;
            }
            if let Some(all) = &mut course.all {
                *all = all.and(&edit);
            }
            if method.keeps_edits() {
                course.standing = course.standing.and(&edit);
            }
            outcome
        };
        if outcome != Outcome::Skipped {
            course.predicted[position] = prompt.ids.gold[position];
        }
        Ok(())
    }

    /// The tokens predicted at the end of a course; where edits piled up, under all of them.
    fn predicted(
        &self,
        course: &DatumCourse<'_>,
        prompt: &PreparedPrompt<'a>,
        ids: &Tensor,
    ) -> Result<Vec<u32>> {
        if !course.method.keeps_edits() {
            return Ok(course.predicted.clone());
        }
        let model = self.loaded.model.as_ref();
        let trace = Trace::new(model, &Sequences::one(ids), course.standing.clone());
        let seen = observe_gold(&trace.logits_from(model, prompt.at(0)), prompt)?;
        Ok(seen.iter().map(|o| o.argmax).collect())
    }

    /// The tokens of a trial as text, for readers of the record.
    fn texts(&self, trial: &Trial) -> Result<Texts> {
        let text = |id: u32| self.loaded.tokenizer.token(id);
        Ok(Texts {
            target: text(trial.target)?,
            before: text(trial.before.argmax)?,
            after: text(trial.after.argmax)?,
        })
    }
}

/// One trial: the record of it, and the edit, if it solved the error. `clock` has
/// the seconds of the trace on it, where the trial bears them.
fn repair(
    method: &dyn Method,
    context: &RepairContext<'_>,
    prompt: &PreparedPrompt<'_>,
    (id, dataset, position): (TrialId, DatasetName, usize),
    locality: &LocalityProbes<'_>,
    clock: Clock,
) -> Result<(ErrorTrial, Edit)> {
    let target = prompt.ids.gold[position];
    let Attempt { before, outcome, repair, halvings } =
        attempt(method, context, (prompt.at(position), target), clock)?;
    let Repair { edit, neurons, parallel, after, seconds, .. } = repair;
    let unrelated = if !edit.is_none() {
        locality.probe(prompt, &context.trace.edit.and(&edit), target)?
    } else {
        Vec::new()
    };
    let datum = prompt.planned.datum;
    let method = method.label().to_string();
    let trial = Trial {
        id,
        method,
        target,
        texts: Texts::default(),
        outcome,
        before,
        after,
        neurons,
        size: edit.size(context.model),
        parallel,
        halvings,
        seconds,
    };
    Ok((ErrorTrial { trial, dataset, datum, position, unrelated }, edit))
}
