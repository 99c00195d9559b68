//! `[[dataset]]`: the data that are prompted.

use super::{Demonstration, Query};
use crate::data::dataset::{DatasetName, FormatName};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// `[[dataset]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetConfig {
    /// Name of the data set.
    pub name: DatasetName,
    /// Format of its files: `jsonl`, or that of a registered data set, by its name. If left out, the format
    /// that `name` is registered with, and `jsonl` for any other name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<FormatName>,
    /// The folder with its files.
    pub from: PathBuf,
    /// Division that is prompted.
    #[serde(default)]
    pub division: Division,
    /// At most so many pairs are prompted: the first of the inference division, or spread evenly
    /// over the retrieval division. All, when left out.
    #[serde(default)]
    pub limit: Option<std::num::NonZeroUsize>,
    /// One demonstration; holds `{input}` and `{output}`.
    #[serde(default)]
    pub demonstration: Demonstration,
    /// The query that ends the prompt; holds `{input}`.
    #[serde(default)]
    pub query: Query,
}

impl DatasetConfig {
    /// Returns the templates of the prompts.
    pub fn templates(&self) -> (&Demonstration, &Query) {
        (&self.demonstration, &self.query)
    }
}

/// Division that is prompted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Division {
    /// The inference division: what the tables report.
    #[default]
    Inference,
    /// Pairs of the retrieval division, each left out of its own demonstrations: for choosing
    /// settings on data that no table reports.
    Calibration,
}
