//! Records of a study of chains.

use super::Extent;
use crate::edit::{Observation, Patched};
use serde::{Deserialize, Serialize};

/// A line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ChainStep {
    /// The chain of the unedited model.
    Before {
        /// The question.
        question: String,
        /// Chain that the model generates.
        chain: Chain,
    },
    /// A case under an edit.
    Edited(Edited),
}

/// A chain of thought.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chain {
    /// Tokens as text.
    pub tokens: Vec<String>,
    /// True if the chain was cut off and did not end by itself.
    pub cut: bool,
}

impl Chain {
    /// Returns the text of the chain.
    pub fn text(&self) -> String {
        self.tokens.concat()
    }
}

/// A case under an edit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edited {
    /// Label of the method.
    pub method: String,
    /// Part of the name that was repaired.
    pub extent: Extent,
    /// Name of the case.
    pub case: String,
    /// The tokens that were repaired; the last of a failed repair is the one that could not be.
    pub tokens: Vec<RepairedChainToken>,
    /// Why the repair failed, if it did; nothing was edited then, and nothing below is there.
    pub failed: Option<String>,
    /// The chain under the edit.
    pub chain: Option<Chain>,
    /// The controls under the edit.
    pub controls: Vec<Chain>,
    /// Positions of kept texts at which another token is predicted, and all.
    pub changed: Option<(usize, usize)>,
    /// Perplexity of the kept texts, before and after.
    pub perplexity: Option<(f64, f64)>,
    /// Seconds of the repair, without parts that were known already.
    pub seconds: f64,
}

/// A repaired token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RepairedChainToken {
    /// Token that should be predicted, as text.
    pub target: String,
    /// Token that was predicted.
    pub was: String,
    /// Before.
    pub before: Observation,
    /// After.
    pub after: Observation,
    /// Neurons in the order of patching.
    pub neurons: Vec<Patched>,
}
