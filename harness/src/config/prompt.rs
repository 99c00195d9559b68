//! `[prompt]` and `[retrieval]`: the form of the prompts, and their demonstrations.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// `[prompt]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PromptConfig {
    /// True if prompts are conversations in the model's chat template: each demonstration is a turn of the user,
    /// the data set's `query` with its input, and the model's answer, its output; the datum's query is the
    /// last turn.
    pub chat: bool,
    /// Text of the system's turn before the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
}

impl PromptConfig {
    /// True if nothing is set: the identity of a run then has no such key.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// `[retrieval]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetrievalConfig {
    /// A `sentence-transformers` folder with a BERT encoder.
    pub encoder: PathBuf,
    /// Demonstrations in a prompt (paper, III-F: 3).
    pub demonstrations: usize,
    /// Order of the demonstrations; the paper does not state it.
    pub order: Order,
    /// Folder in which embeddings are kept between runs.
    pub cache: PathBuf,
}

impl Default for RetrievalConfig {
    fn default() -> Self {
        Self {
            encoder: ".models/all-minilm-l6-v2".into(),
            demonstrations: 3,
            order: Order::default(),
            cache: ".cache/embeddings".into(),
        }
    }
}

/// Order of the demonstrations in the prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The nearest demonstration stands next to the query.
    #[default]
    MostSimilarLast,
    /// The nearest demonstration opens the prompt.
    MostSimilarFirst,
}
