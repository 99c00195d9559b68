//! The patching experiment (paper, III-A): every datum is predicted, every wrong token is
//! repaired by every method, and what comes out is recorded.

mod forecast;
mod free;
mod live;
mod locality_probes;
mod predict;
mod repair;

use self::live::LiveTable;
use super::failed::FailedTrials;
use super::parallel::{Corpus, ParallelIndex};
use super::prepare::PreparedPrompt;
use super::resume::Done;
use super::strict::Weights;
use crate::config::Config;
use crate::data::dataset::DatasetName;
use crate::edit::Observation;
use crate::experiment::plan::Planned;
use crate::method::{Method, NoParallelPrompts, ParallelPrompts, observe_each};
use crate::model::Loaded;
use crate::records::store::Store;
use crate::records::{PredictionRecord, Record};
use anyhow::Result;
use std::collections::BTreeMap;
use tch::Tensor;

/// A prepared experiment.
pub(super) struct Patching<'a> {
    pub(super) config: &'a Config,
    pub(super) loaded: &'a Loaded,
    pub(super) methods: &'a [Box<dyn Method>],
    /// Prompts of the whole run.
    pub(super) prompts: &'a [PreparedPrompt<'a>],
    /// Prompts that this process runs.
    pub(super) own: Vec<&'a PreparedPrompt<'a>>,
    /// Prefix of the trial ids of a method, by label.
    pub(super) hashes: BTreeMap<String, String>,
    /// Headings of the data sets, in the order of the config.
    pub(super) headings: Vec<&'static str>,
    pub(super) parallel: ParallelData<'a>,
    pub(super) weights: Weights,
    pub(super) store: Store,
    pub(super) done: Done,
    pub(super) failed: FailedTrials,
}

/// Pairs and embeddings in which parallel prompts are found.
pub(super) struct ParallelData<'a> {
    /// One per data set; empty if no method needs such prompts.
    pub(super) corpora: &'a [Corpus<'a>],
    /// Embeddings of the planned data of each data set, `[N, width]`.
    pub(super) queries: Vec<Tensor>,
}

impl<'a> ParallelData<'a> {
    fn around(&self, datum: &Planned<'a>) -> Box<dyn ParallelPrompts + 'a> {
        match self.corpora.get(datum.dataset) {
            None => Box::new(NoParallelPrompts),
            Some(corpus) => Box::new(ParallelIndex {
                corpus,
                query: self.queries[datum.dataset].get(datum.place as i64),
                excluded: datum.excluded.map(|_| datum.pair),
            }),
        }
    }
}

impl<'a> Patching<'a> {
    pub(super) fn run(mut self) -> Result<()> {
        self.predict_all()?;
        let live = LiveTable::new(self.config, &self.headings, &self.done);
        self.repair_all(live)?;
        self.failed.end()
    }

    fn dataset(&self, prompt: &PreparedPrompt<'_>) -> DatasetName {
        self.config.dataset[prompt.planned.dataset].name
    }

    /// Records what `method` predicts, unless it is recorded already; the record, if it is new.
    fn write_prediction(
        &mut self,
        prompt: &PreparedPrompt<'_>,
        method: String,
        predicted: Vec<u32>,
    ) -> Result<Option<&PredictionRecord>> {
        let (dataset, datum) = (self.dataset(prompt), prompt.planned.datum);
        if self.done.predicted(dataset, datum, &method) {
            return Ok(None); // only a trial of it was measured again
        }
        let tokenizer = &self.loaded.tokenizer;
        let tail = tokenizer.tail(&prompt.ids.prompt)?;
        let predicted_text = tokenizer.continuation(tail, &predicted)?;
        let own = method.clone();
        let record = PredictionRecord { dataset, datum, method, predicted, predicted_text };
        self.write(Record::Prediction(record))?;
        Ok(self.done.prediction(dataset, datum, &own))
    }

    fn write(&mut self, record: Record) -> Result<()> {
        self.store.append(&record)?;
        self.done.add(record);
        Ok(())
    }
}

/// The predictions `[gold tokens, V]` at the gold positions, target: the gold token.
fn observe_gold(logits: &Tensor, prompt: &PreparedPrompt<'_>) -> Result<Vec<Observation>> {
    let gold: Vec<i64> = prompt.ids.gold.iter().map(|&id| i64::from(id)).collect();
    observe_each(logits, &Tensor::from_slice(&gold).to_device(logits.device()))
}
