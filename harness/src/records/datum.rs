//! A datum: before any method, and under each.

use crate::data::dataset::DatasetName;
use serde::{Deserialize, Serialize};

/// A datum under teacher forcing: every list has one entry a gold token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatumRecord {
    /// Data set.
    pub dataset: DatasetName,
    /// Index of the pair in its division, from 0.
    pub datum: usize,
    /// Indices of the demonstrations in the retrieval division, nearest first.
    pub demonstrations: Vec<usize>,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// The prompt as text.
    #[serde(default)]
    pub prompt_text: String,
    /// Gold token ids.
    pub gold: Vec<u32>,
    /// The gold ids as text.
    pub gold_text: String,
    /// End of each gold token in it, in bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gold_ends: Vec<usize>,
    /// Most probable token id at each gold position, given the gold before it.
    pub argmax: Vec<u32>,
    /// Rank of the gold token, from 1.
    pub gold_rank: Vec<u32>,
    /// Probability of the gold token.
    pub gold_probability: Vec<f64>,
    /// Probability of the most probable token.
    pub argmax_probability: Vec<f64>,
    /// Wall time of the prediction, seconds: its share, where it was run in a batch.
    pub seconds: f64,
}

impl DatumRecord {
    /// Gold positions at which the model is wrong: the LLM errors (paper, II).
    pub fn errors(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.gold.len()).filter(|&position| self.gold_rank[position] > 1)
    }
}

/// Prediction of one method on one datum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictionRecord {
    /// Data set.
    pub dataset: DatasetName,
    /// Index of the pair in its division.
    pub datum: usize,
    /// Label of the method, or of the model for the unedited one.
    pub method: String,
    /// One id a gold token.
    pub predicted: Vec<u32>,
    /// The ids as text.
    pub predicted_text: String,
}
