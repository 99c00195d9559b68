//! A model under measurement, and the work it is given: prompts of RQ1, of a wanted length, at whose
//! end it predicts a wrong token.

use crate::config::{DatasetConfig, Engine, MentConfig, Order, Positive, Quantity};
use crate::data::dataset::{DatasetName, Pair};
use crate::edit::Edit;
use crate::engine::forward;
use crate::engine::integrated_gradients::{PathPoint, integrated_gradients};
use crate::engine::probe::Probes;
use crate::engine::prompt_end::PromptEnd;
use crate::engine::trace::Trace;
use crate::experiment::prompt::render;
use crate::method::ment::{LocateCache, Ment};
use crate::method::{LlmError, Method, NoParallelPrompts, Oracle, Repair, RepairContext};
use crate::model::tokenizer::{Joint, Tokenizer};
use crate::model::{CausalLm, Options, Sequences, load_weights};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::rc::Rc;
use tch::{Device, Kind, Tensor};

/// Memory of the engine, as in a run.
pub(super) const MEMORY: usize = 512 << 20;

/// A model and ids to prompt it with.
pub(super) struct Subject {
    pub(super) label: String,
    pub(super) model: Box<dyn CausalLm>,
    /// True if the weights are trained. A repair of a random model is cut short after one round.
    pub(super) trained: bool,
    oracle: Rc<Oracle>,
    tasks: Vec<Joint>,
}

/// A prompt at whose end the prediction is wrong.
#[derive(Clone)]
pub(super) struct Wrong {
    pub(super) ids: Vec<u32>,
    pub(super) target: u32,
}

/// The tasks of the CoNaLa sample, each after as many demonstrations as there are, each task after
/// others; ids of the tokenizer in `folder`. What precedes the wanted length is cut off.
pub(super) fn tasks(folder: &Path) -> Result<Vec<Joint>> {
    let config: DatasetConfig =
        toml::from_str("name = \"conala\"\nfrom = \"benchmark/conala/sample\"")?;
    let dataset = DatasetName::CONALA.load(None, &config.from)?;
    let tokenizer = Tokenizer::load(folder)?;
    let task = |(index, query): (usize, &Pair)| {
        let mut demonstrations: Vec<&Pair> = dataset.retrieval.iter().collect();
        let shift = index * 3 % demonstrations.len();
        demonstrations.rotate_left(shift);
        let prompt =
            render(config.templates(), Order::MostSimilarLast, &demonstrations, &query.input);
        tokenizer.encode_joint(&prompt, &query.output)
    };
    dataset.inference.iter().enumerate().map(task).collect()
}

/// A sequence as a method meets it in a run.
pub(super) fn context<'a>(
    model: &'a dyn CausalLm,
    ids: &'a Tensor,
    trace: &'a Trace,
    located: &'a LocateCache,
) -> RepairContext<'a> {
    RepairContext {
        model,
        ids,
        trace,
        located,
        engine: Engine::Replay,
        memory: MEMORY / 2,
        parallel: &NoParallelPrompts,
        hint: None,
        subject: None,
        seed: 0,
    }
}

impl Subject {
    pub(super) fn load(
        label: &str,
        folder: &Path,
        tasks: &[Joint],
        device: Device,
    ) -> Result<Self> {
        Self::load_as(label, folder, tasks, device, Kind::Float)
    }

    pub(super) fn load_as(
        label: &str,
        folder: &Path,
        tasks: &[Joint],
        device: Device,
        kind: Kind,
    ) -> Result<Self> {
        let (model, _) = load_weights(folder, Options { device, kind, ..Options::default() })?;
        let vocabulary = model.spec().vocabulary;
        let oracle = Rc::new(Oracle::new(model.as_ref(), vocabulary));
        let within = |ids: &[u32]| ids.iter().map(|&id| id % vocabulary as u32).collect();
        let within =
            |task: &Joint| Joint { prompt: within(&task.prompt), gold: within(&task.gold) };
        let tasks = tasks.iter().map(within).collect();
        let trained = folder.join("tokenizer.json").is_file();
        Ok(Self { label: label.into(), model, trained, oracle, tasks })
    }

    /// MENT with the settings of a run, or one round of it.
    pub(super) fn config(&self) -> MentConfig {
        let default = MentConfig::default();
        let quota = if self.trained { default.quota } else { Positive(1) };
        MentConfig { quota, ..default }
    }

    /// The last `tokens` tokens of the prompt of a task, counted round.
    pub(super) fn prompt(&self, tokens: usize, index: usize) -> Vec<u32> {
        self.before(&self.tasks[index % self.tasks.len()], 0, tokens)
    }

    /// The `tokens` tokens before the gold token at `position`.
    fn before(&self, task: &Joint, position: usize, tokens: usize) -> Vec<u32> {
        let given = [&task.prompt[..], &task.gold[..position]].concat();
        given[given.len() - tokens..].to_vec()
    }

    /// One wrong prediction of gold in each of `count` tasks, the first after the position that
    /// begins with the task's place, so that all parts of gold are met. To a random model no text
    /// means anything; its second choice is the target.
    pub(super) fn errors(&self, tokens: usize, count: usize) -> Result<Vec<Wrong>> {
        let mut found = Vec::new();
        for (index, task) in self.tasks.iter().enumerate() {
            for step in 0..task.gold.len() {
                if found.len() == count {
                    return Ok(found);
                }
                let position = (index + step) % task.gold.len();
                let ids = self.before(task, position, tokens);
                let (_, best) = self.logits(&ids).get(-1).topk(2, 0, true, true);
                let best = Vec::<i64>::try_from(best)?;
                let gold = task.gold[position];
                if !self.trained {
                    found.push(Wrong { ids, target: best[1] as u32 });
                    break;
                }
                if best[0] != i64::from(gold) {
                    found.push(Wrong { ids, target: gold });
                    break;
                }
            }
        }
        ensure!(found.len() == count, "the tasks hold too few wrong predictions");
        Ok(found)
    }

    /// That of `count` errors whose target is the most probable: a repair that an editor can finish.
    pub(super) fn nearest_error(&self, tokens: usize, count: usize) -> Result<Wrong> {
        let probability = |wrong: &Wrong| {
            let last = self.logits(&wrong.ids).get(-1).softmax(-1, Kind::Float);
            last.double_value(&[i64::from(wrong.target)])
        };
        let errors = self.errors(tokens, count)?.into_iter();
        let errors = errors.map(|wrong| (probability(&wrong), wrong));
        let nearest = errors.max_by(|(one, _), (other, _)| one.total_cmp(other));
        nearest.map(|(_, wrong)| wrong).context("no error was asked for")
    }

    /// Logits `[T,V]` at all positions.
    pub(super) fn logits(&self, ids: &[u32]) -> Tensor {
        let sequences = self.sequences(ids);
        forward::logits(self.model.as_ref(), &sequences.ids, &Edit::none()).squeeze_dim(0)
    }

    /// MENT on one error, from the ids on: traced, located, estimated, planned.
    pub(super) fn repair(&self, wrong: &Wrong, config: &MentConfig) -> Result<Repair> {
        let sequences = self.sequences(&wrong.ids);
        let model = self.model.as_ref();
        let trace = Trace::with_graphs(model, &sequences, Edit::none(), MEMORY / 2);
        let at = wrong.ids.len() - 1;
        let argmax = u32::try_from(i64::try_from(trace.logits_at(model, at).argmax(0, false))?)?;
        let (ids, located) = (sequences.ids.squeeze_dim(0), LocateCache::default());
        let context = context(model, &ids, &trace, &located);
        let method = Ment::new(config.clone(), Rc::clone(&self.oracle));
        method.repair(&context, &LlmError { at, target: wrong.target, argmax })
    }

    /// Integrated gradients of P(target) after one prompt, left Riemann sum: `[L,F]`.
    pub(super) fn integrated_gradients(&self, wrong: &Wrong, steps: usize) -> Tensor {
        let model = self.model.as_ref();
        let trace = Trace::to_ends(model, &self.sequences(&wrong.ids), Edit::none());
        let points: Vec<PathPoint> = (0..steps)
            .map(|step| PathPoint { alpha: step as f64 / steps as f64, weight: 1.0 / steps as f64 })
            .collect();
        let prompts = [PromptEnd::new(model, &trace, wrong.target, 0)];
        let layers = 0..model.spec().layers;
        integrated_gradients(model, &prompts, Quantity::Probability, layers, &points, MEMORY)
            .squeeze_dim(0)
    }

    /// `prompts`, traced.
    pub(super) fn probes(&self, prompts: &[Vec<u32>]) -> Probes<'_> {
        Probes::new(self.model.as_ref(), prompts, MEMORY)
    }

    fn sequences(&self, ids: &[u32]) -> Sequences {
        Sequences::several(std::iter::once(ids), self.model.spec().device)
    }
}
