//! `ment generate`: what a model writes after a prompt, unedited or under patches.

mod sample;
mod stop;

pub use self::sample::{Sampler, Sampling};
pub use self::stop::Stops;

use crate::edit::Edit;
use crate::engine::decode::Decoder;
use crate::error::InputError;
use crate::model::Loaded;
use crate::system::signal;
use anyhow::Result;
use serde::Serialize;

/// Settings of generation.
#[derive(Clone, Debug)]
pub struct GenerateSettings {
    /// Tokens at most.
    pub tokens: usize,
    /// Sampling of each token.
    pub sampling: Sampling,
    /// Texts that end it.
    pub stops: Stops,
}

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// A stop string came.
    Stop,
    /// The model ended it.
    EndOfSequence,
    /// The requested number of tokens is reached.
    Length,
    /// The model's context is full.
    Context,
}

/// A text that a model has written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Generated {
    /// Tokens of the text; those of a stop string are included.
    pub ids: Vec<u32>,
    /// Text, without the stop string.
    pub text: String,
    /// Why it ended.
    pub ended: Ended,
}

/// Generates text after `prompt` with the model of `loaded` under `edit`. `say` receives each piece of the
/// text as soon as no later token can change it.
///
/// # Errors
/// If the prompt is empty, fills the context, or holds an id outside the vocabulary; or the user stops.
pub fn generate(
    loaded: &Loaded,
    prompt: &[u32],
    edit: &Edit,
    settings: &GenerateSettings,
    mut say: impl FnMut(&str),
) -> Result<Generated> {
    let spec = loaded.model.spec();
    let hinted = edit.hint.as_ref().map(|hint| hint.before(prompt));
    let prompt = hinted.as_deref().filter(|hinted| hinted.len() < spec.context).unwrap_or(prompt);
    let edit = Edit { hint: None, ..edit.clone() };
    crate::own_model::predict::check(prompt, spec.vocabulary, spec.context)?;
    let room = spec.context - prompt.len();
    if room == 0 {
        return Err(InputError::new(format!(
            "the prompt fills the {} tokens of the model's context; nothing can follow it",
            spec.context
        )));
    }
    let most = settings.tokens.min(room);
    let mut sampler = Sampler::new(settings.sampling);
    let mut decoder = Decoder::new(loaded.model.as_ref(), prompt, edit, most);
    let before = loaded.tokenizer.tail(prompt)?;
    let mut ids: Vec<u32> = Vec::new();
    let (mut text, mut said) = (String::new(), String::new());
    let ended = loop {
        if ids.len() == most {
            break if most == settings.tokens { Ended::Length } else { Ended::Context };
        }
        signal::check()?;
        let next = sampler.choose(decoder.logits())?;
        if loaded.ends.contains(&next) {
            break Ended::EndOfSequence;
        }
        ids.push(next);
        text = loaded.tokenizer.unfinished(before, &ids)?;
        if let Some(end) = settings.stops.find(&text) {
            text.truncate(end);
            break Ended::Stop;
        }
        let settled = loaded.tokenizer.settled(before, &ids, &text)?;
        let sure = settings.stops.sure(&text[..settled]);
        if let Some(more) = text[..sure].strip_prefix(&said).filter(|more| !more.is_empty()) {
            say(more);
            said.push_str(more);
        }
        if ids.len() < most {
            decoder.push(next);
        }
    };
    say(text.strip_prefix(&said).unwrap_or_default());
    Ok(Generated { ids, text, ended })
}
