//! `[probing]`: edits made on samples of a benchmark and probed on others (RQ3).

use super::value::{Demonstration, Positive, Query};
use crate::data::dataset::FormatName;
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// `[probing]`. The data sets of a config with this table are not prompted: their retrieval divisions
/// are where methods find parallel prompts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbingConfig {
    /// The folder of the benchmark, or of a data set whose rows name prompts beside them.
    pub from: PathBuf,
    /// Format of a data set at `from`, as of `[[dataset]]`. If left out, a folder with `benchmark.toml` is a
    /// benchmark, and any other is read as `jsonl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<FormatName>,
    /// Limit on the rows of a data set that are patched, the first of its inference division. All, when left
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<NonZeroUsize>,
    /// Cases that are patched; edits are probed on all samples of the type in any case.
    #[serde(default)]
    pub cases: Cases,
    /// Treatment of cases where the model does not predict the declared argmax token.
    #[serde(default)]
    pub undeclared: Undeclared,
    /// In the tables a rank counts as this at most (paper, IV-C: "we only consider 10 top tokens").
    #[serde(default = "ten")]
    pub rank_cap: Positive,
    /// Treatment of ranks beyond `rank_cap` in the tables.
    #[serde(default)]
    pub rank_rule: RankRule,
    /// Demonstrations at the head of every prompt: the first so many of the benchmark's, all of them if
    /// left out; of a data set, the first so many pairs of its retrieval division, up to 3 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demonstrations: Option<usize>,
    /// One demonstration; holds `{input}` and `{output}`.
    #[serde(default)]
    pub demonstration: Demonstration,
    /// Template before the code of a sample; holds `{input}`.
    #[serde(default)]
    pub query: Query,
}

fn ten() -> Positive {
    Positive(10)
}

impl ProbingConfig {
    /// The defaults, with the benchmark in the folder `from`.
    pub fn new(from: PathBuf) -> Self {
        Self {
            from,
            format: None,
            rows: None,
            cases: Cases::default(),
            undeclared: Undeclared::default(),
            rank_cap: ten(),
            rank_rule: RankRule::default(),
            demonstrations: None,
            demonstration: Demonstration::default(),
            query: Query::default(),
        }
    }

    /// Returns the templates of the prompts.
    pub fn templates(&self) -> (&Demonstration, &Query) {
        (&self.demonstration, &self.query)
    }
}

/// Treatment of ranks beyond the cap. The paper says no more than "we only consider 10 top tokens".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RankRule {
    /// They count as the cap.
    #[default]
    Clamp,
    /// A probe with such a rank takes no part in means of ranks.
    Drop,
}

/// Cases that are patched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cases {
    /// One sample for each target of each subtype, another one each time.
    #[default]
    Stratified,
    /// All samples with all targets.
    All,
}

/// Treatment of a case whose declared argmax token the model does not predict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undeclared {
    /// Patched like any other: the model's own argmax gives way to the target.
    #[default]
    Edit,
    /// Left out; its sample is still probed.
    Drop,
    /// MENT first makes the declared token the argmax, and all methods start from there.
    Nudge,
}
