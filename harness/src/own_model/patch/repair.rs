//! Repair of a target text: each wrong token is repaired by a method's edit, on top of the edits before.

use super::file::{Card, RepairedToken};
use super::free::{self, Free};
use crate::config::Config;
use crate::edit::{Edit, Outcome};
use crate::engine::device::Clock;
use crate::engine::forward::argmax;
use crate::error::InputError;
use crate::method::attempt::{Attempt, Traces, Workbench, attempt};
use crate::method::{Method, NoParallelPrompts, RepairContext, check_finite};
use crate::model::Loaded;
use crate::model::tokenizer::{Border, Joint, Tokenizer};
use crate::own_model::predict::{self, NextToken};
use crate::system::signal;
use anyhow::Result;
use serde::Serialize;
use tch::Tensor;

/// Tokens shown before and after.
pub const TOP: usize = 5;

/// The message for an empty target.
pub const NO_TARGET: &str = "the target is empty; say what the model should write";

/// Most repairs of one token: later repairs may undo it.
const TRIES: usize = 3;

/// Target text to produce after a prompt.
#[derive(Clone, Debug)]
pub struct Task {
    /// The prompt as text.
    pub prompt: String,
    /// The target as text.
    pub target: String,
    /// Both as ids: the prompt as it is cut alone, so that what is repaired is what the model meets.
    pub ids: Joint,
    /// The border between the two, where it lies within a token.
    pub border: Option<Border>,
    /// Index of the last token of the span of the prompt that the target is about, if one is named.
    pub subject: Option<usize>,
}

impl Task {
    /// `target` after `prompt`, as `tokenizer` cuts them, for that model.
    ///
    /// # Errors
    /// If one of them is empty, both are longer than the model's context, they meet where the tokenizer
    /// cannot part them, or the target holds an end of sequence.
    pub fn new(loaded: &Loaded, tokenizer: &Tokenizer, prompt: &str, target: &str) -> Result<Self> {
        let (ids, border) = tokenizer.encode_after(prompt, target)?;
        if target.is_empty() || ids.gold.is_empty() {
            return Err(InputError::new(NO_TARGET));
        }
        if ids.prompt.is_empty() {
            return Err(InputError::new(
                "the prompt is empty; a prediction needs at least one token",
            ));
        }
        let (tokens, context) = (ids.prompt.len() + ids.gold.len(), loaded.model.spec().context);
        if tokens > context {
            return Err(InputError::new(format!(
                "prompt and target have {tokens} tokens, the model's context holds {context}"
            )));
        }
        if let Some(&end) = ids.gold.iter().find(|id| loaded.ends.contains(id)) {
            return Err(InputError::new(format!(
                "the target holds {:?}, an end of sequence: the model writes nothing there. Leave it out",
                loaded.tokenizer.token(end)?
            )));
        }
        Ok(Self { prompt: prompt.into(), target: target.into(), ids, border, subject: None })
    }

    /// The same task about the last occurrence of `span` in the prompt.
    ///
    /// # Errors
    /// If the prompt does not hold it.
    pub fn about(self, span: &str, loaded: &Loaded) -> Result<Self> {
        let start = self.prompt.rfind(span).filter(|_| !span.is_empty());
        let end = span.len()
            + start.ok_or_else(|| {
                InputError::new(format!("--subject: the prompt does not hold {span:?}"))
            })?;
        // Ids that stand before every text have no part in it.
        let whole = loaded.tokenizer.continuation(&[], &self.ids.prompt)?;
        let before = whole.strip_suffix(self.prompt.as_str()).map(str::len).ok_or_else(|| {
            InputError::new(
                "--subject: the tokenizer changes the text of the prompt, so that no token can be found for a part \
                 of it",
            )
        })?;
        let ends = loaded.tokenizer.ends(&[], &self.ids.prompt)?;
        let subject = ends.iter().position(|&own| own >= before + end);
        Ok(Self { subject, ..self })
    }

    /// The tokens of the target that the unedited model does not say.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn wrong(&self, loaded: &Loaded) -> Result<Vec<usize>> {
        let said = self.said(loaded, &Edit::none())?;
        let gold = &self.ids.gold;
        Ok((0..gold.len()).filter(|&position| said[position] != gold[position]).collect())
    }

    /// The same with a target that ends with its token `position`.
    ///
    /// # Errors
    /// If it cannot be decoded.
    pub fn up_to(&self, position: usize, loaded: &Loaded) -> Result<Self> {
        let Joint { prompt, gold } = &self.ids;
        let ids = Joint { prompt: prompt.clone(), gold: gold[..=position].to_vec() };
        let target = loaded.tokenizer.continuation(prompt, &ids.gold)?;
        let (prompt, border) = (self.prompt.clone(), self.border.clone());
        Ok(Self { prompt, target, ids, border, subject: self.subject })
    }

    /// The same error with all of the target but its last token as part of the prompt: a patch of that token
    /// alone answers for no other.
    ///
    /// # Errors
    /// If it cannot be decoded.
    pub fn of_last(&self, loaded: &Loaded) -> Result<Self> {
        let Joint { prompt, gold } = &self.ids;
        let (given, last) = gold.split_at(gold.len() - 1);
        let tokenizer = &loaded.tokenizer;
        let text = format!("{}{}", self.prompt, tokenizer.continuation(prompt, given)?);
        let prompt = [&prompt[..], given].concat();
        let target = tokenizer.continuation(&prompt, last)?;
        let ids = Joint { prompt, gold: last.to_vec() };
        Ok(Self { prompt: text, target, ids, border: None, subject: self.subject })
    }

    /// Task of the patch of that `card`.
    pub fn of(card: &Card) -> Self {
        let Card { prompt, target, prompt_ids, target_ids, .. } = card;
        let ids = Joint { prompt: prompt_ids.clone(), gold: target_ids.clone() };
        Self { prompt: prompt.clone(), target: target.clone(), ids, border: None, subject: None }
    }

    /// Prompt and target without its last token, whose own prediction is not needed, `[T]`.
    pub(crate) fn sequence(&self, device: tch::Device) -> Tensor {
        let Joint { prompt, gold } = &self.ids;
        let ids = prompt.iter().chain(&gold[..gold.len() - 1]).map(|&id| i64::from(id));
        Tensor::from_slice(&ids.collect::<Vec<i64>>()).to_device(device)
    }

    /// Predicted token at each token of the target, given those before it.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn said(&self, loaded: &Loaded, edit: &Edit) -> Result<Vec<u32>> {
        let model = loaded.model.as_ref();
        let ids = self.sequence(model.spec().device).unsqueeze(0);
        let states = crate::engine::forward::residual(model, &ids, None, edit);
        let first = self.ids.prompt.len() as i64 - 1;
        let states = states.narrow(1, first, self.ids.gold.len() as i64);
        argmaxes(&model.head(&model.final_norm(&states)).squeeze_dim(0))
    }
}

/// The test of a patch: does it do what it was made for?
#[derive(Clone, Debug, Serialize)]
pub struct PatchTest {
    /// Tokens of the target that are predicted, those before each given.
    pub tokens: usize,
    /// All tokens of the target.
    pub of: usize,
    /// The text written after the prompt alone.
    pub free: Free,
    /// True where the whole target is predicted, and written after the prompt alone.
    pub holds: bool,
}

impl PatchTest {
    /// Tests the patch of that `card` on a model under `edit`.
    ///
    /// # Errors
    /// If logits are not finite, or libtorch fails.
    pub fn new(loaded: &Loaded, card: &Card, edit: &Edit) -> Result<Self> {
        let task = Task::of(card);
        let said = task.said(loaded, edit)?;
        let pairs = said.iter().zip(&card.target_ids);
        let tokens = pairs.filter(|(said, target)| said == target).count();
        let (of, free) = (said.len(), free::write(loaded, &task, edit)?);
        let holds = tokens == of && free.says_target;
        Ok(Self { tokens, of, free, holds })
    }
}

/// The largest logit of each row of `[N,V]`, the first of equals.
///
/// # Errors
/// If a logit is NaN or infinite.
pub(in crate::own_model) fn argmaxes(logits: &Tensor) -> Result<Vec<u32>> {
    check_finite(logits)?;
    Ok(Vec::<i64>::try_from(argmax(logits))?.into_iter().map(|id| id as u32).collect())
}

/// A repair as people look at it.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// Repair of the token.
    #[serde(flatten)]
    pub repaired: RepairedToken,
    /// Seconds of the phases.
    pub seconds: f64,
    /// The most probable tokens before.
    pub top_before: Vec<NextToken>,
    /// Most probable tokens after the repair.
    pub top_after: Vec<NextToken>,
}

impl Shown {
    /// Describes `attempt` on token `position` of the target of `task`, without the most probable tokens.
    ///
    /// # Errors
    /// If a token cannot be decoded.
    pub(crate) fn of(
        loaded: &Loaded,
        task: &Task,
        position: usize,
        attempt: &Attempt,
    ) -> Result<Self> {
        let text = |id: u32| loaded.tokenizer.token(id);
        let repaired = RepairedToken {
            position,
            target: text(task.ids.gold[position])?,
            was: text(attempt.before.argmax)?,
            before: attempt.before,
            after: attempt.repair.after,
            neurons: attempt.repair.neurons.clone(),
        };
        let seconds = attempt.repair.seconds.total();
        Ok(Self { repaired, seconds, top_before: Vec::new(), top_after: Vec::new() })
    }
}

/// Why a token could not be repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The method named no neuron to patch.
    NoNeuron,
    /// The edit, which is one piece, did not suffice.
    TooWeak,
    /// The quota did not suffice.
    NotEnough {
        /// Number of patches tried.
        tried: usize,
    },
    /// The token was repaired again and again, and the repair of another token undid it.
    Undone {
        /// Index in the target, from 0, of the token that was repaired last.
        by: Option<usize>,
    },
}

impl Cause {
    fn reason(self) -> String {
        match self {
            Self::NoNeuron => "no neuron was found to patch".into(),
            Self::TooWeak => "the edit did not suffice".into(),
            Self::NotEnough { tried: 1 } => "one patch did not suffice".into(),
            Self::NotEnough { tried } => format!("{tried} patches did not suffice"),
            Self::Undone { .. } => format!("it was repaired {TRIES} times, and did not last"),
        }
    }
}

/// A token that could not be repaired.
#[derive(Clone, Debug, Serialize)]
pub struct Failed {
    /// Repairs that were tried, all undone.
    pub tried: Shown,
    /// Why, in words.
    pub reason: String,
    /// Why.
    #[serde(skip)]
    pub cause: Cause,
}

impl Failed {
    fn new(tried: Shown, cause: Cause) -> Self {
        Self { tried, reason: cause.reason(), cause }
    }
}

/// Outcome of a task.
#[derive(Debug)]
pub struct TaskOutcome {
    /// In order.
    pub done: Vec<Shown>,
    /// All of them, without what stood before.
    pub edit: Edit,
    /// The token that ended it, unless all of the target is said now.
    pub failed: Option<Failed>,
}

/// Repairs the wrong tokens of `task` one after the other with `method`, which is one of `config`, on top of
/// the edit `standing`.
///
/// # Errors
/// If the model says the target already, or the user stops.
pub fn repair(
    loaded: &Loaded,
    config: &Config,
    method: &dyn Method,
    task: &Task,
    standing: &Edit,
) -> Result<TaskOutcome> {
    let model = loaded.model.as_ref();
    let workbench = Workbench::alone(config, loaded);
    let (ids, first) = (task.sequence(model.spec().device), task.ids.prompt.len() - 1);
    let gold = &task.ids.gold;
    let (mut tries, mut tied) = (vec![0; gold.len()], vec![false; gold.len()]);
    let mut repairs = TaskOutcome { done: Vec::new(), edit: Edit::none(), failed: None };
    loop {
        signal::check()?;
        let clock = Clock::start(model.spec().device);
        let mut traces = Traces::default();
        let edit = standing.and(&repairs.edit);
        let traced = workbench.trace(method, &ids, &edit, &mut traces);
        let context = RepairContext {
            subject: task.subject,
            ..workbench.context(&ids, traced, &NoParallelPrompts, None)
        };
        let logits = context.trace.logits_from(model, first);
        let top = |position: usize| predict::top(loaded, &logits.get(position as i64), TOP);
        if let Some(last) = repairs.done.last_mut() {
            last.top_after = top(last.repaired.position)?;
        }
        let said = argmaxes(&logits)?;
        let wrong = |place: &usize| gold[*place] != said[*place] && !tied[*place];
        let Some(position) = (0..gold.len()).find(wrong) else { break };
        let attempt = attempt(method, &context, (first + position, gold[position]), clock)?;
        if attempt.outcome == Outcome::AlreadySolved {
            tied[position] = true; // two sums of the same logits that differ in their last bits
            continue;
        }
        let shown =
            Shown { top_before: top(position)?, ..Shown::of(loaded, task, position, &attempt)? };
        tries[position] += 1;
        if attempt.outcome != Outcome::Solved {
            let cause = match shown.repaired.neurons.len() {
                _ if !method.kind().patches_neurons() => Cause::TooWeak,
                0 => Cause::NoNeuron,
                tried => Cause::NotEnough { tried },
            };
            repairs.failed = Some(Failed::new(shown, cause));
            break;
        }
        if tries[position] > TRIES {
            let by = repairs.done.last().map(|last| last.repaired.position);
            let by = by.filter(|by| *by != position);
            repairs.failed = Some(Failed::new(shown, Cause::Undone { by }));
            break;
        }
        repairs.done.push(shown);
        repairs.edit = repairs.edit.and(&attempt.repair.edit);
    }
    if repairs.done.is_empty() && repairs.failed.is_none() {
        return Err(InputError::new(
            "the model already predicts the target: none of its tokens is wrong, so there is nothing \
             to patch",
        ));
    }
    Ok(repairs)
}
