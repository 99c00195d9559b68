//! A datum written freely.

use crate::data::dataset::DatasetName;
use serde::{Deserialize, Serialize};

/// A datum under all edits of a method for it together: what is predicted given the gold, and what the model writes
/// by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FreeRecord {
    /// Data set.
    pub dataset: DatasetName,
    /// Index of the pair in its division.
    pub datum: usize,
    /// Label of the method, or of the model for the unedited one.
    pub method: String,
    /// Most probable token id at each gold position, given the gold before it.
    pub together: Vec<u32>,
    /// Ids of what the model writes, greedily, after the prompt alone, up to the end of the answer.
    pub written: Vec<u32>,
    /// The text of it, without white space at its end.
    pub written_text: String,
    /// True if the answer ended; false if it was cut at twice the length of the gold and 32 tokens.
    pub ended: bool,
}
