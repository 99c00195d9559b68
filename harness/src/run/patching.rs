//! The patching experiment (paper, III-A): every datum is predicted, every wrong token is
//! repaired by every method, and what comes out is recorded.

use super::attempt::{Attempt, Traced, Workbench, attempt};
use super::parallel::{Corpus, Neighbourhood};
use super::prepare::Prompt;
use super::resume::Done;
use crate::config::Config;
use crate::dataset::DatasetName;
use crate::device::Clock;
use crate::edit::Edit;
use crate::engine::batches::batches;
use crate::engine::probe::Probes;
use crate::engine::{forward, trace::Trace};
use crate::error::InputError;
use crate::manifest::Identity;
use crate::method::{
    LlmError, Method, NoParallelPrompts, ParallelPrompts, Repair, Scene, observe, observe_each,
};
use crate::model::{Loaded, Sequences};
use crate::plan::{Planned, spread};
use crate::record::{
    DatumRecord, Observation, Outcome, PredictionRecord, Record, Texts, TrialId, TrialRecord,
    UnrelatedProbe,
};
use crate::store::Store;
use crate::{device, progress, signal};
use anyhow::Result;
use indicatif::ProgressBar;
use tch::Tensor;

/// A prepared experiment.
pub(super) struct Patching<'a> {
    pub(super) config: &'a Config,
    pub(super) loaded: &'a Loaded,
    pub(super) methods: &'a [Box<dyn Method>],
    /// Those of the whole run.
    pub(super) prompts: &'a [Prompt<'a>],
    /// Those that this process runs.
    pub(super) own: Vec<&'a Prompt<'a>>,
    pub(super) identity: &'a Identity,
    pub(super) parallel: Parallel<'a>,
    pub(super) store: Store,
    pub(super) done: Done,
}

/// What parallel prompts are found in.
pub(super) struct Parallel<'a> {
    /// One a data set; none where no method asks for such prompts.
    pub(super) corpora: &'a [Corpus<'a>],
    /// Embeddings of the planned data of each data set, `[N, width]`.
    pub(super) queries: Vec<Tensor>,
}

impl<'a> Parallel<'a> {
    fn around(&self, datum: &Planned<'a>) -> Box<dyn ParallelPrompts + 'a> {
        match self.corpora.get(datum.dataset) {
            None => Box::new(NoParallelPrompts),
            Some(corpus) => Box::new(Neighbourhood {
                corpus,
                query: self.queries[datum.dataset].get(datum.place as i64),
                excluded: datum.excluded.map(|_| datum.pair),
            }),
        }
    }
}

/// Prompts of other data, on which edits are probed.
struct Bystanders<'m> {
    /// Data set and datum of each.
    data: Vec<(usize, usize)>,
    probes: Probes<'m>,
}

impl<'a> Patching<'a> {
    pub(super) fn run(mut self) -> Result<()> {
        self.predict_all()?;
        self.repair_all()
    }

    /// Teacher forcing without edits: where is the model wrong? The batches are those of all data of
    /// this process, also when some are recorded already: the same numbers come out.
    fn predict_all(&mut self) -> Result<()> {
        let bar = progress::bar("predict", self.own.len());
        let lengths: Vec<usize> = self.own.iter().map(|prompt| prompt.length()).collect();
        let tokens = device::tokens_at_once(self.loaded.model.spec().device);
        for batch in batches(&lengths, tokens) {
            signal::check()?;
            let prompts: Vec<&Prompt<'_>> = batch.iter().map(|&index| self.own[index]).collect();
            let known = |prompt: &&Prompt<'_>| {
                self.done.datum(self.dataset(prompt), prompt.planned.datum).is_some()
            };
            let measured = if prompts.iter().all(known) {
                prompts.iter().map(|_| None).collect()
            } else {
                self.predict(&prompts)?.into_iter().map(Some).collect::<Vec<_>>()
            };
            for (prompt, measured) in prompts.into_iter().zip(measured) {
                self.record_prediction(prompt, measured)?;
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Records what was `measured` of a datum, unless it is recorded already.
    fn record_prediction(
        &mut self,
        prompt: &Prompt<'_>,
        measured: Option<DatumRecord>,
    ) -> Result<()> {
        let (dataset, datum) = (self.dataset(prompt), prompt.planned.datum);
        match (self.done.datum(dataset, datum), measured) {
            (Some(record), _) => check_same_prompt(record, prompt)?,
            (None, measured) => {
                self.write(Record::Datum(measured.expect("new data are measured")))?;
            }
        }
        let label = &self.config.model.label;
        if !self.done.predicted(dataset, datum, label) {
            let record = self.done.datum(dataset, datum).expect("just written");
            let predicted = record.argmax.clone();
            self.write_prediction(dataset, datum, label.clone(), predicted)?;
        }
        Ok(())
    }

    fn predict(&self, prompts: &[&Prompt<'_>]) -> Result<Vec<DatumRecord>> {
        let clock = Clock::start(self.loaded.model.spec().device);
        let model = self.loaded.model.as_ref();
        let ids: Vec<Vec<u32>> = prompts.iter().map(|prompt| prompt.sequence()).collect();
        let ids = ids.iter().map(Vec::as_slice);
        let sequences = Sequences::several(ids, model.spec().device);
        let residual = forward::residual(model, &sequences.ids, &Edit::none());
        let seen = prompts
            .iter()
            .enumerate()
            .map(|(row, prompt)| {
                let (first, count) = (prompt.at(0) as i64, prompt.ids.gold.len() as i64);
                let states = residual.get(row as i64).narrow(0, first, count);
                observe_gold(&model.head(&model.final_norm(&states)), prompt)
            })
            .collect::<Result<Vec<_>>>()?;
        let seconds = clock.seconds() / prompts.len() as f64;
        prompts
            .iter()
            .zip(seen)
            .map(|(prompt, seen)| {
                Ok(DatumRecord {
                    dataset: self.dataset(prompt),
                    datum: prompt.planned.datum,
                    demonstrations: prompt.demonstrations.clone(),
                    prompt_tokens: prompt.ids.prompt.len(),
                    prompt_text: self.loaded.tokenizer.decode(&prompt.ids.prompt)?,
                    gold: prompt.ids.gold.clone(),
                    gold_text: self.loaded.tokenizer.decode(&prompt.ids.gold)?,
                    argmax: seen.iter().map(|o| o.argmax).collect(),
                    gold_rank: seen.iter().map(|o| o.target_rank).collect(),
                    gold_probability: seen.iter().map(|o| o.target_probability).collect(),
                    argmax_probability: seen.iter().map(|o| o.argmax_probability).collect(),
                    seconds,
                })
            })
            .collect()
    }

    /// Every method on every error.
    fn repair_all(&mut self) -> Result<()> {
        let errors: usize = self
            .own
            .iter()
            .filter_map(|p| self.done.datum(self.dataset(p), p.planned.datum))
            .map(|datum| datum.errors().count())
            .sum();
        let bystanders = self.bystanders();
        let bar = progress::bar("repair", errors * self.methods.len());
        for method in self.methods {
            bar.set_message(format!("{}: warm-up", method.label()));
            self.warm_up(method.as_ref())?;
            for prompt in self.own.clone() {
                self.repair_datum(method.as_ref(), prompt, &bystanders, &bar)?;
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Repairs the last error that `method` has not met yet, and drops the result: what is made once
    /// a process is made, and no measured time holds it. (Attributions of that error's parallel
    /// prompts are kept, with the time they took.)
    fn warm_up(&self, method: &dyn Method) -> Result<()> {
        let setting = self.identity.trials_of(method.label());
        for prompt in self.own.iter().rev() {
            let (dataset, datum) = (self.dataset(prompt), prompt.planned.datum);
            let record = self.done.datum(dataset, datum).expect("every datum is predicted");
            let open = |&position: &usize| {
                self.done.trial(&TrialId::new(&setting, dataset, datum, position)).is_none()
            };
            let Some(position) = record.errors().filter(open).last() else { continue };
            let ids = prompt.tensor(self.loaded.model.spec().device);
            let parallel = self.parallel.around(&prompt.planned);
            let workbench = self.workbench();
            let traced = workbench.trace(method, &ids, Edit::none());
            let (target, argmax) = (record.gold[position], record.argmax[position]);
            let error = LlmError { at: prompt.at(position), target, argmax };
            let scene = workbench.scene(&ids, &traced, parallel.as_ref());
            return method.repair(&scene, &error).map(drop);
        }
        Ok(())
    }

    fn workbench(&self) -> Workbench<'a> {
        Workbench { config: self.config, loaded: self.loaded, memory: self.memory() / 2 }
    }

    /// Bytes for traces and methods: bystanders have half of the memory, if there are any.
    fn memory(&self) -> usize {
        let bystanders = self.config.execution.unrelated_probes > 0;
        self.config.execution.memory() / if bystanders { 2 } else { 1 }
    }

    fn repair_datum(
        &mut self,
        method: &dyn Method,
        prompt: &Prompt<'_>,
        bystanders: &Bystanders<'_>,
        bar: &ProgressBar,
    ) -> Result<()> {
        let model = self.loaded.model.as_ref();
        let (dataset, datum) = (self.dataset(prompt), prompt.planned.datum);
        let record = self.done.datum(dataset, datum).expect("every datum is predicted").clone();
        let errors: Vec<usize> = record.errors().collect();
        let finished = self.done.predicted(dataset, datum, method.label());
        let setting = self.identity.trials_of(method.label());
        let id = |position| TrialId::new(&setting, dataset, datum, position);
        if finished && errors.iter().all(|&position| self.done.trial(&id(position)).is_some()) {
            bar.inc(errors.len() as u64);
            return Ok(());
        }
        let errors: Vec<(usize, TrialId)> =
            errors.into_iter().map(|position| (position, id(position))).collect();
        bar.set_message(format!("{} on {} {datum}", method.label(), dataset.label()));

        let ids = prompt.tensor(model.spec().device);
        let sequences = Sequences::one(&ids);
        let parallel = self.parallel.around(&prompt.planned);
        let mut standing = Edit::none();
        let mut traced: Option<Traced> = None; // under the standing edit; made when an error needs it
        let mut predicted = record.argmax.clone();
        for (position, id) in errors {
            signal::check()?;
            // Edits that pile up are not in the records, so such a datum is repaired as a whole.
            let known = self.done.trial(&id).filter(|_| !method.keeps_edits());
            let outcome = if let Some(trial) = known {
                trial.outcome
            } else {
                let clock = Clock::start(model.spec().device);
                let workbench = self.workbench();
                let traced =
                    traced.get_or_insert_with(|| workbench.trace(method, &ids, standing.clone()));
                let scene = workbench.scene(&ids, traced, parallel.as_ref());
                let (mut trial, edit) =
                    repair(method, &scene, prompt, (id, dataset, position), bystanders, clock)?;
                trial.texts = self.texts(&trial)?;
                let outcome = trial.outcome;
                if self.done.trial(&trial.id).is_none() {
                    self.write(Record::Trial(trial))?;
                }
                if method.keeps_edits() {
                    standing = standing.and(&edit);
                }
                outcome
            };
            if method.keeps_edits() {
                traced = None; // the next error meets the model as it is now
            } else if outcome != Outcome::Skipped {
                predicted[position] = record.gold[position];
            }
            bar.inc(1);
        }
        if method.keeps_edits() {
            let trace = Trace::new(model, &sequences, standing);
            let seen = observe_gold(&trace.logits_from(model, prompt.at(0)), prompt)?;
            predicted = seen.iter().map(|o| o.argmax).collect();
        }
        self.write_prediction(dataset, datum, method.label().to_string(), predicted)
    }

    /// Prompts spread over all data, traced once.
    fn bystanders(&self) -> Bystanders<'a> {
        let chosen = spread(self.prompts.len(), self.config.execution.unrelated_probes);
        let chosen: Vec<&Prompt<'_>> =
            chosen.into_iter().map(|index| &self.prompts[index]).collect();
        let ids: Vec<Vec<u32>> = chosen.iter().map(|prompt| prompt.ids.prompt.clone()).collect();
        let memory = self.config.execution.memory() / 2;
        Bystanders {
            data: chosen.iter().map(|p| (p.planned.dataset, p.planned.datum)).collect(),
            probes: Probes::new(self.loaded.model.as_ref(), &ids, memory),
        }
    }

    /// The tokens of a trial as text, for whoever reads the record.
    fn texts(&self, trial: &TrialRecord) -> Result<Texts> {
        let text = |id: u32| self.loaded.tokenizer.decode(&[id]);
        Ok(Texts {
            target: text(trial.target)?,
            before: text(trial.before.argmax)?,
            after: text(trial.after.argmax)?,
        })
    }

    fn dataset(&self, prompt: &Prompt<'_>) -> DatasetName {
        self.config.dataset[prompt.planned.dataset].name
    }

    fn write_prediction(
        &mut self,
        dataset: DatasetName,
        datum: usize,
        method: String,
        predicted: Vec<u32>,
    ) -> Result<()> {
        if self.done.predicted(dataset, datum, &method) {
            return Ok(()); // only a trial of it was measured again
        }
        let predicted_text = self.loaded.tokenizer.decode(&predicted)?;
        let record = PredictionRecord { dataset, datum, method, predicted, predicted_text };
        self.write(Record::Prediction(record))
    }

    fn write(&mut self, record: Record) -> Result<()> {
        self.store.append(&record)?;
        self.done.add(record);
        Ok(())
    }
}

/// Records are continued on the very prompts they were made with.
fn check_same_prompt(record: &DatumRecord, prompt: &Prompt<'_>) -> Result<()> {
    let same = record.demonstrations == prompt.demonstrations
        && record.prompt_tokens == prompt.ids.prompt.len()
        && record.gold == prompt.ids.gold;
    if same {
        return Ok(());
    }
    Err(InputError::new(format!(
        "datum {} of {} was recorded with another prompt than it has now; use --out DIR",
        record.datum, record.dataset
    )))
}

/// One trial: the record of it, and the edit, if it solved the error. `clock` was started before
/// the sequence was traced for it.
fn repair(
    method: &dyn Method,
    scene: &Scene<'_>,
    prompt: &Prompt<'_>,
    (id, dataset, position): (TrialId, DatasetName, usize),
    bystanders: &Bystanders<'_>,
    clock: Clock,
) -> Result<(TrialRecord, Edit)> {
    let target = prompt.ids.gold[position];
    let Attempt { before, outcome, repair, halvings } =
        attempt(method, scene, (prompt.at(position), target), clock)?;
    let Repair { edit, neurons, parallel, after, seconds, .. } = repair;
    let unrelated = if edit.first_layer().is_some() {
        probe(prompt, &scene.trace.edit.and(&edit), target, bystanders)?
    } else {
        Vec::new()
    };
    let datum = prompt.planned.datum;
    let method = method.label().to_string();
    let trial = TrialRecord {
        id,
        dataset,
        datum,
        method,
        position,
        target,
        texts: Texts::default(),
        outcome,
        before,
        after,
        neurons,
        parallel,
        unrelated,
        halvings,
        seconds,
    };
    Ok((trial, edit))
}

/// What `edit` does to the next-token predictions after prompts of other data.
fn probe(
    prompt: &Prompt<'_>,
    edit: &Edit,
    target: u32,
    bystanders: &Bystanders<'_>,
) -> Result<Vec<UnrelatedProbe>> {
    if bystanders.data.is_empty() {
        return Ok(Vec::new());
    }
    let own = (prompt.planned.dataset, prompt.planned.datum);
    let before = observe(bystanders.probes.before(), target)?;
    let after = observe(&bystanders.probes.after(edit), target)?;
    let seen = before.iter().zip(&after).zip(&bystanders.data);
    Ok(seen
        .filter(|(_, datum)| **datum != own)
        .map(|((before, after), _)| UnrelatedProbe {
            argmax_kept: before.argmax == after.argmax,
            target_rank_before: before.target_rank,
            target_rank_after: after.target_rank,
            target_probability_before: before.target_probability,
            target_probability_after: after.target_probability,
        })
        .collect())
}

/// The predictions `[gold tokens, V]` at the gold positions, target: the gold token.
fn observe_gold(logits: &Tensor, prompt: &Prompt<'_>) -> Result<Vec<Observation>> {
    let gold: Vec<i64> = prompt.ids.gold.iter().map(|&id| i64::from(id)).collect();
    observe_each(logits, &Tensor::from_slice(&gold).to_device(logits.device()))
}
