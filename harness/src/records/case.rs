//! A case of a benchmark before any method.

use crate::edit::Observation;
use serde::{Deserialize, Serialize};

/// A case: a sample of a benchmark with the token that is to follow it, or a row of a data set.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CaseName {
    /// Type of the subtype.
    #[serde(rename = "type")]
    pub of: String,
    /// Subtype of the sample.
    pub subtype: String,
    /// Number of the sample in its subtype, from 1.
    pub sample: usize,
    /// The target symbol, as the benchmark writes it; of a row, its whole output.
    pub symbol: String,
}

impl std::fmt::Display for CaseName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} → {}", self.subtype, self.sample, self.symbol.trim())
    }
}

/// A case before any edit, with the prediction of the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseRecord {
    /// Name of the case.
    pub name: CaseName,
    /// The prompt as text.
    pub prompt_text: String,
    /// Number of tokens of the prompt.
    pub prompt_tokens: usize,
    /// Token id that the benchmark declares to follow; of a row of a data set, the model's own argmax.
    pub declared: u32,
    /// Rank of the declared token, from 1, under the unedited model.
    pub declared_rank: u32,
    /// Probability of the declared token.
    pub declared_probability: f64,
    /// Token id of the target.
    pub target: u32,
    /// The target under the unedited model.
    pub before: Observation,
    /// The target as text.
    pub target_text: String,
    /// The argmax of the unedited model as text.
    pub argmax_text: String,
    /// True if the case is left out because the model does not predict the declared token
    /// (`probing.undeclared = "drop"`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dropped: bool,
    /// Result of MENT making the model predict the declared token, where it does not by itself
    /// (`probing.undeclared = "nudge"`). All methods start from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nudged: Option<bool>,
    /// Count, for a row of a data set, of related prompts whose own output lacks the target token, which are
    /// asked for it right behind them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unplaced: usize,
}

/// Left out of a record, as older ones do.
#[expect(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_zero(count: &usize) -> bool {
    *count == 0
}
