//! The patching experiment (paper, III-A): every datum is predicted, every wrong token is
//! repaired by every method, and what comes out is recorded.

use super::prepare::Prompt;
use super::resume::Done;
use crate::config::Config;
use crate::dataset::DatasetName;
use crate::edit::Edit;
use crate::error::InputError;
use crate::method::{LlmError, Method, Repair, Scene, observe, observe_each};
use crate::model::{Loaded, replay::replay, trace::Trace};
use crate::plan::{Planned, spread};
use crate::record::{
    DatumRecord, Observation, Outcome, Phases, PredictionRecord, Record, TrialId, TrialRecord,
    UnrelatedProbe,
};
use crate::store::Store;
use crate::{progress, signal};
use anyhow::Result;
use indicatif::ProgressBar;
use std::time::Instant;
use tch::Tensor;

/// A prepared experiment.
pub(super) struct Patching<'a> {
    pub(super) config: &'a Config,
    pub(super) loaded: &'a Loaded,
    pub(super) methods: &'a [Box<dyn Method>],
    pub(super) prompts: &'a [Prompt<'a>],
    /// Hash of the run's identity.
    pub(super) run: String,
    pub(super) store: Store,
    pub(super) done: Done,
}

/// The prompt of another datum, on which edits are probed.
struct Bystander {
    dataset: usize,
    datum: usize,
    trace: Trace,
    logits: Tensor,
}

impl Patching<'_> {
    pub(super) fn run(mut self) -> Result<()> {
        self.predict_all()?;
        self.repair_all()
    }

    /// Teacher forcing without edits: where is the model wrong?
    fn predict_all(&mut self) -> Result<()> {
        let bar = progress::bar("predict", self.prompts.len());
        for prompt in self.prompts {
            signal::check()?;
            let label = &self.config.model.label;
            let (dataset, datum) = (self.dataset(prompt), prompt.planned.datum);
            match self.done.datum(dataset, datum) {
                Some(record) => check_same_prompt(record, prompt)?,
                None => {
                    let record = self.predict(prompt)?;
                    self.write(Record::Datum(record))?;
                }
            }
            if !self.done.predicted(dataset, datum, label) {
                let record = self.done.datum(dataset, datum).expect("just written");
                let predicted = record.argmax.clone();
                self.write_prediction(dataset, datum, label.clone(), predicted)?;
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn predict(&self, prompt: &Prompt<'_>) -> Result<DatumRecord> {
        let clock = Instant::now();
        let model = self.loaded.model.as_ref();
        let trace = Trace::new(model, &prompt.sequence(model.spec().device), Edit::none());
        let seen = observe_gold(self.loaded, &trace, prompt)?;
        Ok(DatumRecord {
            dataset: self.dataset(prompt),
            datum: prompt.planned.datum,
            demonstrations: prompt.demonstrations.clone(),
            prompt_tokens: prompt.ids.prompt.len(),
            gold: prompt.ids.gold.clone(),
            gold_text: self.loaded.tokenizer.decode(&prompt.ids.gold)?,
            argmax: seen.iter().map(|o| o.argmax).collect(),
            gold_rank: seen.iter().map(|o| o.target_rank).collect(),
            gold_probability: seen.iter().map(|o| o.target_probability).collect(),
            argmax_probability: seen.iter().map(|o| o.argmax_probability).collect(),
            seconds: clock.elapsed().as_secs_f64(),
        })
    }

    /// Every method on every error.
    fn repair_all(&mut self) -> Result<()> {
        let errors: usize = self
            .prompts
            .iter()
            .filter_map(|p| self.done.datum(self.dataset(p), p.planned.datum))
            .map(|datum| datum.errors().count())
            .sum();
        let bystanders = self.bystanders()?;
        let bar = progress::bar("repair", errors * self.methods.len());
        for method in self.methods {
            for prompt in self.prompts {
                self.repair_datum(method.as_ref(), prompt, &bystanders, &bar)?;
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn repair_datum(
        &mut self,
        method: &dyn Method,
        prompt: &Prompt<'_>,
        bystanders: &[Bystander],
        bar: &ProgressBar,
    ) -> Result<()> {
        let model = self.loaded.model.as_ref();
        let (dataset, datum) = (self.dataset(prompt), prompt.planned.datum);
        let record = self.done.datum(dataset, datum).expect("every datum is predicted").clone();
        let errors: Vec<usize> = record.errors().collect();
        let finished = self.done.predicted(dataset, datum, method.label());
        let id = |position| TrialId::new(&self.run, dataset, datum, method.label(), position);
        if finished && errors.iter().all(|&position| self.done.trial(&id(position)).is_some()) {
            bar.inc(errors.len() as u64);
            return Ok(());
        }
        let errors: Vec<(usize, TrialId)> =
            errors.into_iter().map(|position| (position, id(position))).collect();
        bar.set_message(format!("{} on {} {datum}", method.label(), dataset.label()));

        let ids = prompt.sequence(model.spec().device);
        let mut standing = Edit::none();
        let mut trace: Option<Trace> = None; // of the standing edit; made when an error needs it
        let mut predicted = record.argmax.clone();
        for (position, id) in errors {
            signal::check()?;
            // Edits that pile up are not in the records, so such a datum is repaired as a whole.
            let known = self.done.trial(&id).filter(|_| !method.keeps_edits());
            let outcome = if let Some(trial) = known {
                trial.outcome
            } else {
                let clock = Instant::now();
                let trace =
                    trace.get_or_insert_with(|| Trace::with_graph(model, &ids, standing.clone()));
                let engine = self.config.execution.engine;
                let scene = Scene { model, ids: &ids, trace, engine };
                let (trial, edit) =
                    repair(method, &scene, prompt, (id, dataset, position), bystanders, clock)?;
                let outcome = trial.outcome;
                if self.done.trial(&trial.id).is_none() {
                    self.write(Record::Trial(trial))?;
                }
                if method.keeps_edits() {
                    standing.0.extend(edit.0);
                }
                outcome
            };
            if method.keeps_edits() {
                trace = None; // the next error meets the model as it is now
            } else if outcome != Outcome::Skipped {
                predicted[position] = record.gold[position];
            }
            bar.inc(1);
        }
        if method.keeps_edits() {
            let trace = Trace::new(model, &ids, standing);
            let seen = observe_gold(self.loaded, &trace, prompt)?;
            predicted = seen.iter().map(|o| o.argmax).collect();
        }
        self.write_prediction(dataset, datum, method.label().to_string(), predicted)
    }

    /// Prompts spread over all data, traced once.
    fn bystanders(&self) -> Result<Vec<Bystander>> {
        let model = self.loaded.model.as_ref();
        spread(self.prompts.len(), self.config.execution.unrelated_probes)
            .into_iter()
            .map(|index| {
                let prompt = &self.prompts[index];
                let ids = prompt.prompt(model.spec().device);
                let trace = Trace::new(model, &ids, Edit::none());
                let logits = trace.logits_at(model, prompt.at(0)).unsqueeze(0);
                let Planned { dataset, datum, .. } = prompt.planned;
                Ok(Bystander { dataset, datum, trace, logits })
            })
            .collect()
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
    bystanders: &[Bystander],
    clock: Instant,
) -> Result<(TrialRecord, Edit)> {
    let (at, target) = (prompt.at(position), prompt.ids.gold[position]);
    let before = observe(&scene.trace.logits_at(scene.model, at).unsqueeze(0), target)?[0];
    let tracing = clock.elapsed().as_secs_f64();
    let (outcome, repair) = if before.target_rank == 1 {
        (Outcome::AlreadySolved, untouched(before))
    } else {
        let repair = method.repair(scene, &LlmError { at, target, argmax: before.argmax })?;
        (if repair.solved { Outcome::Solved } else { Outcome::Skipped }, repair)
    };
    let Repair { edit, neurons, after, mut seconds, .. } = repair;
    seconds.trace = tracing;
    let unrelated = if edit.first_layer().is_some() {
        let mut standing = scene.trace.edit.clone();
        standing.0.extend(edit.0.iter().cloned());
        probe(scene, prompt, &standing, target, bystanders)?
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
        outcome,
        before,
        after,
        neurons,
        unrelated,
        seconds,
    };
    Ok((trial, edit))
}

/// An error that an earlier edit of the same datum has solved.
fn untouched(now: Observation) -> Repair {
    let seconds = Phases::default();
    Repair { edit: Edit::none(), solved: true, neurons: Vec::new(), after: now, seconds }
}

/// What `edit` does to the next-token predictions after prompts of other data.
fn probe(
    scene: &Scene<'_>,
    prompt: &Prompt<'_>,
    edit: &Edit,
    target: u32,
    bystanders: &[Bystander],
) -> Result<Vec<UnrelatedProbe>> {
    let own = (prompt.planned.dataset, prompt.planned.datum);
    bystanders
        .iter()
        .filter(|other| (other.dataset, other.datum) != own)
        .map(|other| {
            let before = observe(&other.logits, target)?[0];
            let logits = replay(scene.model, &other.trace, std::slice::from_ref(edit));
            let after = observe(&logits, target)?[0];
            Ok(UnrelatedProbe {
                argmax_kept: before.argmax == after.argmax,
                target_rank_before: before.target_rank,
                target_rank_after: after.target_rank,
                target_probability_before: before.target_probability,
                target_probability_after: after.target_probability,
            })
        })
        .collect()
}

/// The prediction at every gold position of a traced sequence, target: the gold token.
fn observe_gold(loaded: &Loaded, trace: &Trace, prompt: &Prompt<'_>) -> Result<Vec<Observation>> {
    let gold: Vec<i64> = prompt.ids.gold.iter().map(|&id| i64::from(id)).collect();
    let logits = trace.logits_from(loaded.model.as_ref(), prompt.at(0));
    observe_each(&logits, &Tensor::from_slice(&gold).to_device(logits.device()))
}
