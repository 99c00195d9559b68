//! A trial: one error or one case under one method.

use super::{CaseName, Probed};
use crate::data::dataset::DatasetName;
use crate::edit::{EditSize, Observation, Outcome, Patched, Phases};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashSet;

/// Fields that the trials of both experiments have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Hash of all that determines the trial.
    pub id: TrialId,
    /// Label of the method.
    pub method: String,
    /// Token id that should be predicted.
    pub target: u32,
    /// The tokens as text.
    #[serde(default)]
    pub texts: Texts,
    /// Outcome of the trial.
    pub outcome: Outcome,
    /// The target before this edit: of a nudged case, under the nudge.
    pub before: Observation,
    /// The target after the edit; of a skipped trial: what was reached when the quota was spent.
    pub after: Observation,
    /// Neurons patched, in order; of a skipped trial: those tried.
    pub neurons: Vec<Patched>,
    /// Size of the edit; nothing where no weight is changed, or the record is older.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<EditSize>,
    /// Number of parallel prompts found, for a method that uses them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel: Option<usize>,
    /// Number of times a batch was cut in half because memory ran out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub halvings: u32,
    /// Seconds of the phases.
    pub seconds: Phases,
}

impl Trial {
    /// Number of neurons patched, each counted once however often it was patched.
    pub fn distinct_neurons(&self) -> usize {
        distinct(&self.neurons)
    }
}

/// Number of neurons among `patches`.
pub fn distinct(patches: &[Patched]) -> usize {
    let neurons: HashSet<_> = patches.iter().map(|patched| patched.neuron).collect();
    neurons.len()
}

/// One LLM error under one method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorTrial {
    /// Trial of the method; the target is the gold token.
    #[serde(flatten)]
    pub trial: Trial,
    /// Data set.
    pub dataset: DatasetName,
    /// Index of the pair in its division.
    pub datum: usize,
    /// Gold position of the error.
    pub position: usize,
    /// Side effects on other data, where the config asks for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unrelated: Vec<UnrelatedProbe>,
}

/// One case of a benchmark under one method, and the edit probed on other samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeTrial {
    /// Trial of the method; [`Outcome::AlreadySolved`] where the model predicts the target by itself.
    #[serde(flatten)]
    pub trial: Trial,
    /// The case.
    pub name: CaseName,
    /// The edit on other samples; the edit of a skipped trial is empty.
    pub probes: Box<Probed>,
}

/// Tokens of a trial as text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Texts {
    /// The target.
    pub target: String,
    /// The argmax before the edit.
    pub before: String,
    /// The argmax after it.
    pub after: String,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// An edit seen at the end of a prompt of another datum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnrelatedProbe {
    /// True if the model's prediction is unchanged.
    pub argmax_kept: bool,
    /// The edit's target there, before.
    pub target_rank_before: u32,
    /// The edit's target there, after.
    pub target_rank_after: u32,
    /// Probability of the edit's target there, before.
    pub target_probability_before: f64,
    /// Probability of the edit's target there, after.
    pub target_probability_after: f64,
}

/// Identity of a trial: a hash of the model, data and method it belongs to, and its place in them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrialId(String);

impl TrialId {
    /// The trial on the error at gold `position` of `datum`, under the setting that
    /// [`Identity::settings`](crate::records::manifest::Identity::settings) names.
    pub fn new(setting: &str, dataset: DatasetName, datum: usize, position: usize) -> Self {
        Self::of(&format!("{setting}\n{dataset}\n{datum}\n{position}"))
    }

    /// The trial on a case of a benchmark, likewise.
    pub fn of_case(setting: &str, name: &CaseName) -> Self {
        Self::of(&format!("{setting}\n{}\n{}\n{}", name.subtype, name.sample, name.symbol))
    }

    fn of(place: &str) -> Self {
        Self(format!("{:x}", Sha256::digest(place))[..16].to_string())
    }

    /// The hash, or its beginning, as users write it.
    pub fn starts_with(&self, beginning: &str) -> bool {
        self.0.starts_with(beginning)
    }
}

impl std::fmt::Display for TrialId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
