//! Methods: an LLM error in, an [`Edit`] out. A method never touches the weights.

mod adam;
mod alpha_edit;
pub(crate) mod attempt;
mod descent;
mod fine_tuning;
mod in_context;
mod in_order;
mod joint;
pub(crate) mod keys;
pub mod kn;
mod lora;
mod memit;
pub mod ment;
mod no_edit;
mod observe;
mod oracle;
mod outcome;
mod preserved;
mod rome;
mod simulate;
mod spread;
mod star;
mod value;

pub(crate) use self::observe::{check_finite, observe_each};
pub use self::observe::{observe, softmax};
pub use self::oracle::Oracle;

use self::alpha_edit::AlphaEdit;
use self::fine_tuning::FineTuning;
use self::in_context::InContext;
use self::joint::Joint;
use self::keys::KeyStatistics;
use self::lora::Lora;
use self::memit::Memit;
use self::no_edit::NoEdit;
use self::rome::Rome;
use self::spread::Spread;
use self::value::Surrounding;
use crate::config::{Config, Engine, KeysConfig, MethodConfig, MethodKind, ValueConfig};
use crate::edit::{Edit, Hint, Neuron, Observation, Patched, Phases};
use crate::engine::trace::Trace;
use crate::model::{CausalLm, Loaded};
use anyhow::Result;
use std::rc::Rc;
use tch::Tensor;

/// One wrong next-token prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LlmError {
    /// Index of the token whose next-token prediction is wrong, in the sequence.
    pub at: usize,
    /// Token that should be predicted.
    pub target: u32,
    /// Token that is predicted.
    pub argmax: u32,
}

/// The datum an error lies in.
pub struct RepairContext<'a> {
    /// The model, unedited.
    pub model: &'a dyn CausalLm,
    /// Prompt and gold, `[T]`.
    pub ids: &'a Tensor,
    /// The sequence traced under the edits that stand.
    pub trace: &'a Trace,
    /// Neurons that were located on it before.
    pub located: &'a ment::LocateCache,
    /// Engine that simulates candidate edits.
    pub engine: Engine,
    /// Bytes that a method may take for what it keeps or runs at once.
    pub memory: usize,
    /// Source of prompts that continue with a wanted token.
    pub parallel: &'a dyn ParallelPrompts,
    /// Index of the token that the wanted answer is about, for a method that stores it there; the last one before the
    /// error, where none is named.
    pub subject: Option<usize>,
    /// The datum with its right answer as a demonstration, where there is one.
    pub hint: Option<&'a Hint>,
    /// Random seed.
    pub seed: u64,
}

/// Ids of a prompt that continues with a wanted token.
pub type ParallelPrompt = Vec<u32>;

/// Prompts of the datum's kind that go on with a wanted token.
pub trait ParallelPrompts {
    /// At most `count` prompts that go on with `target`, nearest to the datum first; whether each
    /// has `demonstrations` of its own.
    fn find(&self, target: u32, count: usize, demonstrations: bool) -> Result<Vec<ParallelPrompt>>;
}

/// Source without any prompt.
#[derive(Clone, Copy, Debug)]
pub struct NoParallelPrompts;

impl ParallelPrompts for NoParallelPrompts {
    fn find(&self, _: u32, _: usize, _: bool) -> Result<Vec<ParallelPrompt>> {
        Ok(Vec::new())
    }
}

/// Result of a method on an error.
#[derive(Debug)]
pub struct Repair {
    /// The edit, on top of those that stood; empty if the error was skipped.
    pub edit: Edit,
    /// True if the target became the argmax.
    pub solved: bool,
    /// Neurons that were located, best first.
    pub located: Vec<Neuron>,
    /// Neurons in the order of patching; of a skipped error, those tried.
    pub neurons: Vec<Patched>,
    /// Number of parallel prompts found, for a method that uses them.
    pub parallel: Option<usize>,
    /// The prediction under the edit; of a skipped error, under what was tried.
    pub after: Observation,
    /// Seconds of the phases.
    pub seconds: Phases,
}

/// A token that should follow a text.
#[derive(Clone, Debug)]
pub struct WantedToken {
    /// The text, at least one id.
    pub ids: Vec<u32>,
    /// The token.
    pub target: u32,
    /// See [`RepairContext::subject`].
    pub subject: Option<usize>,
}

impl WantedToken {
    /// The token that `error` should be.
    ///
    /// # Errors
    /// If libtorch fails.
    fn new(context: &RepairContext<'_>, error: &LlmError) -> Result<Self> {
        let ids = Vec::<i64>::try_from(context.ids.narrow(0, 0, error.at as i64 + 1))?;
        let ids = ids.into_iter().map(|id| id as u32).collect();
        Ok(Self { ids, target: error.target, subject: context.subject })
    }
}

/// Tokens that one edit should bring about.
#[derive(Clone, Debug)]
pub struct Request {
    /// At least one token, after one text or several.
    pub wanted: Vec<WantedToken>,
    /// Texts in which predictions should stay.
    pub keep: Vec<HeldText>,
}

/// A text in which predictions should stay.
#[derive(Clone, Debug)]
pub struct HeldText {
    /// The text.
    pub ids: Vec<u32>,
    /// Number of ids, at least one, after which the first prediction should stay; and all after it.
    pub from: usize,
}

/// A method that can make the edits of many requests in one go.
pub trait Together {
    /// Edits `model` under `standing` so that it says what `requests` want: one edit a request, which act together.
    ///
    /// # Errors
    /// If libtorch fails, what the method needs cannot be had, or the user stops.
    fn edits(
        &self,
        model: &dyn CausalLm,
        standing: &Edit,
        requests: &[Request],
    ) -> Result<Vec<Edit>>;
}

/// A model-editing method under one setting.
pub trait Method {
    /// Row label in the tables.
    fn label(&self) -> &str;
    /// Methods of one kind run the same code under different settings.
    fn kind(&self) -> MethodKind;
    /// True if edits pile up within a datum.
    fn keeps_edits(&self) -> bool {
        false
    }
    /// Sequences that a repair back-propagates through, roughly. A run takes the methods in ascending order,
    /// so that the results of the cheap ones are there early.
    fn effort(&self) -> usize {
        1
    }
    /// True if its edits act wherever they are met, so that they can stand while the model writes.
    fn edits_stand(&self) -> bool {
        true
    }
    /// True if it back-propagates through the datum's own sequence; graphs are then kept.
    fn differentiates_the_datum(&self) -> bool {
        false
    }
    /// Tries to make the target of `error` the argmax.
    fn repair(&self, context: &RepairContext<'_>, error: &LlmError) -> Result<Repair>;
    /// The method, if it can repair many errors in one go.
    fn together(&self) -> Option<&dyn Together> {
        None
    }
    /// Departures from the paper's text that a reader of the results must know, a clause each.
    fn deviations(&self) -> Vec<String>;
}

/// Every method of `config`, in the order of the tables. One arm a kind.
///
/// # Errors
/// If the text that keys are estimated on cannot be read, or is too short.
pub fn all(config: &Config, loaded: &Loaded) -> Result<Vec<Box<dyn Method>>> {
    let (mut kn, mut ment) = (kn::KnMaker::default(), ment::MentMaker::new(config, loaded));
    let layers = loaded.model.spec().layers;
    let prefix = loaded.tokenizer.encode("")?.len();
    let essence = loaded.tokenizer.bare().encode(" is a")?;
    let surrounding = Rc::new(Surrounding { prefix, essence });
    let statistics = |keys: &KeysConfig, layers: &[usize]| {
        KeyStatistics::new(keys, loaded, layers.to_vec(), &config.model.cache)
    };
    let spread = |layers: Vec<usize>, value: ValueConfig, keys: &KeysConfig| {
        let statistics = statistics(keys, &layers)?;
        Ok::<_, anyhow::Error>(Spread {
            layers,
            value,
            statistics,
            surrounding: Rc::clone(&surrounding),
        })
    };
    let method = |settings: &MethodConfig| -> Result<Box<dyn Method>> {
        Ok(match settings.clone() {
            MethodConfig::NoEdit(settings) => Box::new(NoEdit(settings)),
            MethodConfig::Kn(settings) => Box::new(kn.make(settings)),
            MethodConfig::InContext(settings) => Box::new(InContext(settings)),
            MethodConfig::FineTuning(settings) => Box::new(FineTuning(settings)),
            MethodConfig::Lora(settings) => Box::new(Lora(settings)),
            MethodConfig::Rome(config) => {
                let statistics = statistics(&config.keys, &[config.place.of(layers)])?;
                Box::new(Rome { config, statistics, surrounding: Rc::clone(&surrounding) })
            }
            MethodConfig::Memit(config) => {
                let spread = spread(config.layers.of(layers), config.value, &config.keys)?;
                Box::new(Memit { config, spread })
            }
            MethodConfig::AlphaEdit(config) => {
                let spread = spread(config.layers.of(layers), config.value, &config.keys)?;
                Box::new(AlphaEdit::new(config, spread))
            }
            MethodConfig::Joint(config) => {
                let layer = config.place.of(layers);
                let statistics = statistics(&config.keys, &[layer])?;
                Box::new(Joint { config, layer, statistics })
            }
            MethodConfig::Star(settings) => Box::new(ment.make_star(settings)),
            MethodConfig::Ment(settings) => Box::new(ment.make(settings)?),
        })
    };
    config.methods.iter().map(method).collect()
}
