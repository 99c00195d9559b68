//! What a run writes: one JSON line an observation, raw, so that every number of every report can
//! be computed again without the model.

use crate::dataset::DatasetName;
use crate::edit::Neuron;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Version of the format of manifests and records. A reader refuses newer ones.
///
/// 1 had no texts of prompts and tokens, and one hash for all methods of a run.
pub const FORMAT: u32 = 2;

/// One line of `trials.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// A datum and what the unedited model makes of it.
    Datum(DatumRecord),
    /// One LLM error, repaired or skipped by one method.
    Trial(TrialRecord),
    /// What one method makes of one datum in the end.
    Prediction(PredictionRecord),
    /// A case of a benchmark of generalization and specificity, before any method.
    Case(CaseRecord),
    /// A case patched by one method, and the edit probed on other samples.
    Patch(PatchRecord),
}

impl Record {
    /// The data set that it is of; `None` for a case of a benchmark.
    pub fn dataset(&self) -> Option<DatasetName> {
        match self {
            Self::Datum(datum) => Some(datum.dataset),
            Self::Trial(trial) => Some(trial.dataset),
            Self::Prediction(prediction) => Some(prediction.dataset),
            Self::Case(_) | Self::Patch(_) => None,
        }
    }

    /// What it answers: two records of one key are the same measurement.
    pub fn key(&self) -> Key<'_> {
        match self {
            Self::Datum(datum) => Key::Datum(datum.dataset, datum.datum),
            Self::Trial(trial) => Key::Trial(&trial.id),
            Self::Prediction(PredictionRecord { dataset, datum, method, .. }) => {
                Key::Prediction(*dataset, *datum, method)
            }
            Self::Case(case) => Key::Case(&case.name),
            Self::Patch(patch) => Key::Trial(&patch.id),
        }
    }

    /// The record on one line of `trials.jsonl`.
    ///
    /// An internally tagged value goes through a buffer, as its tag may stand anywhere. Here it
    /// stands first, so a line is read straight into its kind; any other line, and a damaged one
    /// for its error, goes the general way.
    ///
    /// # Errors
    /// If the line is no record.
    pub fn parse(line: &[u8]) -> serde_json::Result<Self> {
        let rest = line.strip_prefix(br#"{"kind":""#);
        let direct = match rest.and_then(|rest| rest.split(|&byte| byte == b'"').next()) {
            Some(b"datum") => serde_json::from_slice(line).map(Self::Datum).ok(),
            Some(b"trial") => serde_json::from_slice(line).map(Self::Trial).ok(),
            Some(b"prediction") => serde_json::from_slice(line).map(Self::Prediction).ok(),
            Some(b"case") => serde_json::from_slice(line).map(Self::Case).ok(),
            Some(b"patch") => serde_json::from_slice(line).map(Self::Patch).ok(),
            _ => None,
        };
        direct.map_or_else(|| serde_json::from_slice(line), Ok)
    }
}

/// What a record answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key<'r> {
    /// What the unedited model makes of a datum.
    Datum(DatasetName, usize),
    /// What a method does about an error or a case.
    Trial(&'r TrialId),
    /// What a method makes of a datum in the end.
    Prediction(DatasetName, usize, &'r str),
    /// What the unedited model makes of a case.
    Case(&'r CaseName),
}

impl std::fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Datum(dataset, datum) => write!(f, "datum {dataset} {datum}"),
            Self::Trial(id) => write!(f, "trial {id}"),
            Self::Prediction(dataset, datum, method) => {
                write!(f, "prediction {dataset} {datum} {method}")
            }
            Self::Case(name) => write!(f, "case {name}"),
        }
    }
}

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
    /// Where each gold token ends in it, in bytes.
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

/// How an error ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The target became the argmax.
    Solved,
    /// The quota did not suffice; everything was undone.
    Skipped,
    /// An earlier edit of the same datum had solved it (`across_errors = "keep"` only).
    AlreadySolved,
}

/// The prediction at one position, before or after an edit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Most probable token id.
    pub argmax: u32,
    /// Its probability.
    pub argmax_probability: f64,
    /// Rank of the target, from 1.
    pub target_rank: u32,
    /// Probability of the target.
    pub target_probability: f64,
}

/// One patched neuron, in the order of patching.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Patched {
    /// Which.
    #[serde(flatten)]
    pub neuron: Neuron,
    /// Its place in the attribution order, from 0.
    pub candidate: usize,
    /// Ranks the target climbed, negative where it fell (Equation 3, first part).
    pub rank_gain: i64,
    /// Change of ln(P target / P argmax) (Equation 3, second part).
    pub log_ratio_gain: f64,
}

/// Wall time of the phases of one repair, seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Phases {
    /// Running the sequence and reading the prediction off. The errors of a datum share the run, and
    /// the first one bears it; of the methods on a case of a benchmark each one bears it.
    pub trace: f64,
    /// Attribution.
    pub locate: f64,
    /// Oracle parameters.
    pub estimate: f64,
    /// Simulation of candidates.
    pub plan: f64,
    /// Committing edits.
    pub apply: f64,
}

impl Phases {
    /// All phases together: the paper's TimeCost.
    pub fn total(&self) -> f64 {
        self.trace + self.locate + self.estimate + self.plan + self.apply
    }
}

/// An edit seen at the end of a prompt of another datum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnrelatedProbe {
    /// Whether the model still predicts what it did.
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

/// One LLM error under one method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialRecord {
    /// Hash of all that determines the trial.
    pub id: TrialId,
    /// Data set.
    pub dataset: DatasetName,
    /// Index of the pair in its division.
    pub datum: usize,
    /// Label of the method.
    pub method: String,
    /// Gold position of the error.
    pub position: usize,
    /// Gold token id.
    pub target: u32,
    /// Its tokens as text.
    #[serde(default)]
    pub texts: Texts,
    /// How it ended.
    pub outcome: Outcome,
    /// Before this error's edit.
    pub before: Observation,
    /// After the edit; of a skipped error: what was reached when the quota was spent.
    pub after: Observation,
    /// Neurons patched, in order; of a skipped error: those tried.
    pub neurons: Vec<Patched>,
    /// Parallel prompts that were found, for a method that uses such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel: Option<usize>,
    /// Side effects on other data, where the config asks for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unrelated: Vec<UnrelatedProbe>,
    /// How often a batch was cut in half because memory ran out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub halvings: u32,
    /// Where the time went.
    pub seconds: Phases,
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

/// What one method makes of one datum.
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

/// A case: a sample of a benchmark with the token that is to follow it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CaseName {
    /// Type of the subtype.
    #[serde(rename = "type")]
    pub of: String,
    /// Subtype of the sample.
    pub subtype: String,
    /// Number of the sample in its subtype, from 1.
    pub sample: usize,
    /// The target symbol, as the benchmark writes it.
    pub symbol: String,
}

impl std::fmt::Display for CaseName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} → {}", self.subtype, self.sample, self.symbol.trim())
    }
}

/// A case before any method: what the model makes of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseRecord {
    /// Which.
    pub name: CaseName,
    /// The prompt as text.
    pub prompt_text: String,
    /// Its tokens.
    pub prompt_tokens: usize,
    /// Token id that the benchmark declares to follow.
    pub declared: u32,
    /// Its rank, from 1, under the unedited model.
    pub declared_rank: u32,
    /// Its probability.
    pub declared_probability: f64,
    /// Token id of the target.
    pub target: u32,
    /// The target under the unedited model.
    pub before: Observation,
    /// The target as text.
    pub target_text: String,
    /// The argmax of the unedited model as text.
    pub argmax_text: String,
    /// Whether the case is left out, as the model does not predict what is declared
    /// (`probing.undeclared = "drop"`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dropped: bool,
    /// Whether MENT made the model predict what is declared, where it does not by itself
    /// (`probing.undeclared = "nudge"`). All methods start from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nudged: Option<bool>,
}

/// A case patched by one method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PatchRecord {
    /// Hash of all that determines the trial.
    pub id: TrialId,
    /// Which case.
    pub name: CaseName,
    /// Label of the method.
    pub method: String,
    /// Token id of the target.
    pub target: u32,
    /// Its tokens as text.
    pub texts: Texts,
    /// How it ended; [`Outcome::AlreadySolved`] where the model predicts the target by itself.
    pub outcome: Outcome,
    /// The target before the edit: of a nudged case, under the nudge.
    pub before: Observation,
    /// The target after the edit; of a skipped case: what was reached when the quota was spent.
    pub after: Observation,
    /// Neurons patched, in order; of a skipped case: those tried.
    pub neurons: Vec<Patched>,
    /// Parallel prompts that were found, for a method that uses such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel: Option<usize>,
    /// How often a batch was cut in half because memory ran out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub halvings: u32,
    /// Where the time went.
    pub seconds: Phases,
    /// The edit on other samples; a skipped one is none.
    pub probes: Box<Probed>,
}

/// An edit seen after other samples of its type: one entry a sample in each list, those of the same
/// subtype (G) first, then those of the others (S), both in the order of the benchmark.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Probed {
    /// How many are of the same subtype.
    pub related: usize,
    /// The edit's target before it, and after.
    pub target: Change,
    /// What was the argmax before the edit: the token id.
    pub argmax: Vec<u32>,
    /// That token, before the edit (rank 1) and after.
    pub argmax_is: Change,
    /// The argmax after the edit: the token id.
    pub now: Vec<u32>,
    /// That token, before the edit and after (rank 1).
    pub now_is: Change,
}

impl Probed {
    /// Whether all lists have an entry a probe.
    pub fn is_whole(&self) -> bool {
        let Self { related, target, argmax, argmax_is, now, now_is } = self;
        let long = |change: &Change| {
            let Change { rank_before, rank_after, probability_before, probability_after } = change;
            let lists = [rank_before.len(), rank_after.len()];
            let others = [probability_before.len(), probability_after.len()];
            lists.into_iter().chain(others).all(|length| length == argmax.len())
        };
        [target, argmax_is, now_is].into_iter().all(long)
            && now.len() == argmax.len()
            && *related <= argmax.len()
    }
}

/// One token a sample, before an edit and after.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Rank before, from 1.
    pub rank_before: Vec<u32>,
    /// Rank after.
    pub rank_after: Vec<u32>,
    /// Probability before.
    pub probability_before: Vec<f32>,
    /// Probability after.
    pub probability_after: Vec<f32>,
}

/// Identity of a trial: a hash of the model, data and method it belongs to, and its place in them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrialId(String);

impl TrialId {
    /// The trial on the error at gold `position` of `datum`, under the setting that
    /// [`Identity::settings`](crate::manifest::Identity::settings) names.
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

#[cfg(test)]
mod tests {
    use super::*;

    const PREDICTION: &str =
        r#""dataset":"spoc","datum":7,"method":"m","predicted":[1],"predicted_text":"x""#;

    /// Reading a line straight into its kind is a shortcut: records and errors are serde's.
    #[test]
    fn a_line_is_what_serde_says() {
        let lines = [
            format!(r#"{{"kind":"prediction",{PREDICTION}}}"#),
            format!(r#"{{{PREDICTION},"kind":"prediction"}}"#),
            format!(r#"{{ "kind" : "prediction",{PREDICTION}}}"#),
            format!(r#"{{"kind":"trial",{PREDICTION}}}"#),
            format!(r#"{{"kind":"other",{PREDICTION}}}"#),
            format!(r#"{{"kind":"prediction",{PREDICTION}"#),
            format!("{{{PREDICTION}}}"),
            r#"{"kind":"prediction"#.into(),
            r#"{"kind":"datum"}"#.into(),
            "[]".into(),
        ];
        for (index, line) in lines.iter().enumerate() {
            let ours = Record::parse(line.as_bytes()).map_err(|error| error.to_string());
            let serdes = serde_json::from_str(line).map_err(|error| error.to_string());
            assert_eq!(ours, serdes, "{line}");
            assert_eq!(ours.is_ok(), index < 3, "{line}");
        }
    }
}
