//! Data written freely: all edits of a datum together, judged by what the model predicts given the gold, and by what
//! it writes by itself.

use super::super::prepare::PreparedPrompt;
use super::{Patching, observe_gold};
use crate::edit::Edit;
use crate::engine::trace::Trace;
use crate::model::Sequences;
use crate::own_model::generate::{Ended, GenerateSettings, Sampling, Stops, generate};
use crate::records::{FreeRecord, Record};
use anyhow::Result;
use tch::Tensor;

/// Tokens that are written at most, over twice those of the gold.
const BEYOND: usize = 32;

impl<'a> Patching<'a> {
    /// True if what `method` writes on the datum of `prompt` is asked for, and not recorded.
    pub(super) fn is_unwritten(&self, prompt: &PreparedPrompt<'_>, method: &str) -> bool {
        let (dataset, datum) = (self.dataset(prompt), prompt.planned.datum);
        self.config.execution.free && self.done.written(dataset, datum, method).is_none()
    }

    /// Records what the model writes on the datum of `prompt` under `edit`, all edits of `method` for it, and before
    /// that, if nobody has, without any.
    pub(super) fn write_freely(
        &mut self,
        prompt: &PreparedPrompt<'a>,
        method: String,
        edit: &Edit,
    ) -> Result<()> {
        let (dataset, datum, model) =
            (self.dataset(prompt), prompt.planned.datum, &self.config.model.label);
        if self.is_unwritten(prompt, model) {
            let unedited = self.written(prompt, model.clone(), &Edit::none())?;
            self.write(Record::Free(unedited))?;
        }
        let written = match self.done.written(dataset, datum, model) {
            Some(unedited) if edit.is_none() => FreeRecord { method, ..unedited.clone() },
            _ => self.written(prompt, method, &edit.merged())?,
        };
        self.write(Record::Free(written))
    }

    fn written(
        &self,
        prompt: &PreparedPrompt<'a>,
        method: String,
        edit: &Edit,
    ) -> Result<FreeRecord> {
        let together = self.together(prompt, edit)?;
        let stops = if self.loaded.chat.is_some() { Vec::new() } else { vec![self.end(prompt)] };
        let settings = GenerateSettings {
            tokens: 2 * prompt.ids.gold.len() + BEYOND,
            sampling: Sampling::GREEDY,
            stops: Stops::new(stops),
        };
        let written = generate(self.loaded, &prompt.ids.prompt, edit, &settings, |_| {})?;
        let ended = matches!(written.ended, Ended::Stop | Ended::EndOfSequence);
        let text = written.text.trim_end();
        // As the gold is cut: the model may have written its end and the stop as one token.
        let tokenizer = match self.loaded.chat {
            Some(_) => &self.loaded.tokenizer.bare(),
            None => &self.loaded.tokenizer,
        };
        let before = self.loaded.tokenizer.decode(&prompt.ids.prompt)?;
        let ids =
            if text.is_empty() { Vec::new() } else { tokenizer.encode_joint(&before, text)?.gold };
        Ok(FreeRecord {
            dataset: self.dataset(prompt),
            datum: prompt.planned.datum,
            method,
            together,
            written: ids,
            written_text: text.into(),
            ended,
        })
    }

    /// The text that ends an answer: what stands behind the output in a demonstration.
    fn end(&self, prompt: &PreparedPrompt<'_>) -> String {
        let (demonstration, _) = self.config.dataset[prompt.planned.dataset].templates();
        let (_, end) = demonstration.0.split_once("{output}").unwrap_or_default();
        if end.is_empty() { "\n".into() } else { end.into() }
    }

    /// The predictions at the gold positions, given the gold before them, under `edit`.
    fn together(&self, prompt: &PreparedPrompt<'a>, edit: &Edit) -> Result<Vec<u32>> {
        let (model, ids) = (self.loaded.model.as_ref(), prompt.sequence());
        let device = model.spec().device;
        let fits = |hinted: &Vec<u32>| hinted.len() <= model.spec().context;
        let hinted = edit.hint.as_ref().map(|hint| hint.before(&ids)).filter(fits);
        let more = hinted.as_ref().map_or(0, |hinted| hinted.len() - ids.len());
        let ids: Vec<i64> = hinted.unwrap_or(ids).into_iter().map(i64::from).collect();
        let sequences = Sequences::one(&Tensor::from_slice(&ids).to_device(device));
        let weights = Edit { hint: None, ..edit.clone() };
        let logits = Trace::new(model, &sequences, weights).logits_from(model, prompt.at(0) + more);
        let seen = observe_gold(&logits, prompt)?;
        Ok(seen.iter().map(|seen| seen.argmax).collect())
    }
}
