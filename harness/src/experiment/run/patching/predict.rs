//! Teacher forcing without edits: where is the model wrong?

use super::super::prepare::PreparedPrompt;
use super::{Patching, observe_gold};
use crate::edit::Edit;
use crate::engine::batches::batches;
use crate::engine::device::{Clock, tokens_at_once};
use crate::engine::forward;
use crate::error::InputError;
use crate::model::Sequences;
use crate::records::{DatumRecord, Record};
use crate::system::{progress, signal};
use anyhow::{Context, Result};

impl Patching<'_> {
    /// Predicts every datum of this process. The batches are those of all data of
    /// this process, also when some are recorded already: the same numbers come out.
    pub(super) fn predict_all(&mut self) -> Result<()> {
        let bar = progress::bar("predict", self.own.len());
        let lengths: Vec<usize> = self.own.iter().map(|prompt| prompt.length()).collect();
        let tokens = tokens_at_once(self.loaded.model.spec().device);
        for batch in batches(&lengths, tokens) {
            signal::check()?;
            let prompts: Vec<&PreparedPrompt<'_>> =
                batch.iter().map(|&index| self.own[index]).collect();
            let known = |prompt: &&PreparedPrompt<'_>| {
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
        prompt: &PreparedPrompt<'_>,
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
            self.write_prediction(prompt, label.clone(), predicted)?;
        }
        Ok(())
    }

    fn predict(&self, prompts: &[&PreparedPrompt<'_>]) -> Result<Vec<DatumRecord>> {
        let clock = Clock::start(self.loaded.model.spec().device);
        let model = self.loaded.model.as_ref();
        let ids: Vec<Vec<u32>> = prompts.iter().map(|prompt| prompt.sequence()).collect();
        let ids = ids.iter().map(Vec::as_slice);
        let sequences = Sequences::several(ids, model.spec().device);
        let residual = forward::residual(model, &sequences.ids, None, &Edit::none());
        let seen = prompts
            .iter()
            .enumerate()
            .map(|(row, prompt)| {
                let (first, count) = (prompt.at(0) as i64, prompt.ids.gold.len() as i64);
                let states = residual.get(row as i64).narrow(0, first, count);
                observe_gold(&model.head(&model.final_norm(&states)), prompt).with_context(|| {
                    format!("{} {}, unedited", self.dataset(prompt), prompt.planned.datum)
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let seconds = clock.seconds() / prompts.len() as f64;
        let tokenizer = &self.loaded.tokenizer;
        prompts
            .iter()
            .zip(seen)
            .map(|(prompt, seen)| {
                let tail = tokenizer.tail(&prompt.ids.prompt)?;
                Ok(DatumRecord {
                    dataset: self.dataset(prompt),
                    datum: prompt.planned.datum,
                    demonstrations: prompt.demonstrations.clone(),
                    prompt_tokens: prompt.ids.prompt.len(),
                    prompt_text: tokenizer.decode(&prompt.ids.prompt)?,
                    gold: prompt.ids.gold.clone(),
                    gold_text: tokenizer.continuation(tail, &prompt.ids.gold)?,
                    gold_ends: tokenizer.ends(tail, &prompt.ids.gold)?,
                    argmax: seen.iter().map(|o| o.argmax).collect(),
                    gold_rank: seen.iter().map(|o| o.target_rank).collect(),
                    gold_probability: seen.iter().map(|o| o.target_probability).collect(),
                    argmax_probability: seen.iter().map(|o| o.argmax_probability).collect(),
                    seconds,
                })
            })
            .collect()
    }
}

/// Records are continued on the very prompts they were made with.
fn check_same_prompt(record: &DatumRecord, prompt: &PreparedPrompt<'_>) -> Result<()> {
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
