//! Prompts of data, as ids: plain text, or a conversation in the model's chat template.

use crate::config::{Config, Demonstration};
use crate::data::dataset::Pair;
use crate::edit::Hint;
use crate::experiment::prompt::{ask, demonstrate, ordered, render};
use crate::model::Loaded;
use crate::model::chat::{ChatTemplate, Message};
use crate::model::tokenizer::Joint;
use anyhow::Result;

/// `pair` of the `dataset`-th data set of `config` after `demonstrations`, nearest first: its prompt, and its
/// output as gold.
///
/// # Errors
/// If the chat template refuses the conversation.
pub(super) fn ids(
    (config, dataset): (&Config, usize),
    loaded: &Loaded,
    demonstrations: &[&Pair],
    pair: &Pair,
) -> Result<Joint> {
    let (templates, order) = (config.dataset[dataset].templates(), config.retrieval.order);
    match &loaded.chat {
        None => {
            let text = render(templates, order, demonstrations, &pair.input);
            loaded.tokenizer.encode_joint(&text, &pair.output)
        }
        Some(chat) => {
            let turns = ordered(order, demonstrations);
            let text = conversation((config, dataset), chat, &turns, &pair.input)?;
            loaded.tokenizer.bare().encode_joint(&text, &pair.output)
        }
    }
}

/// `pair` as one more demonstration before a prompt.
///
/// # Errors
/// If it cannot be tokenized.
pub(super) fn hint(template: &Demonstration, loaded: &Loaded, pair: &Pair) -> Result<Hint> {
    let ids = loaded.tokenizer.bare().encode(&demonstrate(template, pair))?;
    let after = loaded.tokenizer.encode("")?.len();
    Ok(Hint { ids: ids.into(), after })
}

/// The text of a conversation in which the model has answered as in `turns`, up to its answer to `input`.
fn conversation(
    (config, dataset): (&Config, usize),
    chat: &ChatTemplate,
    turns: &[&Pair],
    input: &str,
) -> Result<String> {
    let (_, query) = config.dataset[dataset].templates();
    let user = |input: &str| Message::user(ask(query, input));
    let mut messages: Vec<Message> =
        config.prompt.system.as_deref().map(Message::system).into_iter().collect();
    for pair in turns {
        messages.extend([user(&pair.input), Message::assistant(pair.output.as_str())]);
    }
    messages.push(user(input));
    chat.render(&messages)
}
