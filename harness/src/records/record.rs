//! Records of a run: one JSON line per observation, raw, so that every number of every report can be computed
//! again without the model.

use super::{
    CaseName, CaseRecord, DatumRecord, ErrorTrial, FreeRecord, PredictionRecord, ProbeTrial, Trial,
    TrialId,
};
use crate::data::dataset::DatasetName;
use serde::{Deserialize, Serialize};

/// Version of the format of manifests and records. A reader refuses newer ones.
///
/// 1 had no texts of prompts and tokens, and one hash for all methods of a run.
pub const FORMAT: u32 = 2;

/// One line of `trials.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// A datum and the prediction of the unedited model.
    Datum(DatumRecord),
    /// One LLM error, repaired or skipped by one method.
    Trial(ErrorTrial),
    /// Final prediction of one method on one datum.
    Prediction(PredictionRecord),
    /// A datum under all edits of one method together, and what the model writes by itself.
    Free(FreeRecord),
    /// A case of a benchmark of generalization and specificity, before any method.
    Case(CaseRecord),
    /// A case under one method, and the edit probed on other samples.
    #[serde(rename = "patch")]
    Probe(ProbeTrial),
}

impl Record {
    /// The data set; `None` for a case of a benchmark.
    pub fn dataset(&self) -> Option<DatasetName> {
        match self {
            Self::Datum(datum) => Some(datum.dataset),
            Self::Trial(trial) => Some(trial.dataset),
            Self::Prediction(prediction) => Some(prediction.dataset),
            Self::Free(free) => Some(free.dataset),
            Self::Case(_) | Self::Probe(_) => None,
        }
    }

    /// The trial of either experiment; `None` for the other kinds.
    pub fn trial(&self) -> Option<&Trial> {
        match self {
            Self::Trial(own) => Some(&own.trial),
            Self::Probe(own) => Some(&own.trial),
            Self::Datum(_) | Self::Prediction(_) | Self::Free(_) | Self::Case(_) => None,
        }
    }

    /// Key of the record: two records with the same key are the same measurement.
    pub fn key(&self) -> RecordKey<'_> {
        match self {
            Self::Datum(datum) => RecordKey::Datum(datum.dataset, datum.datum),
            Self::Trial(own) => RecordKey::Trial(&own.trial.id),
            Self::Prediction(PredictionRecord { dataset, datum, method, .. }) => {
                RecordKey::Prediction(*dataset, *datum, method)
            }
            Self::Free(FreeRecord { dataset, datum, method, .. }) => {
                RecordKey::Free(*dataset, *datum, method)
            }
            Self::Case(case) => RecordKey::Case(&case.name),
            Self::Probe(own) => RecordKey::Trial(&own.trial.id),
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
            Some(b"free") => serde_json::from_slice(line).map(Self::Free).ok(),
            Some(b"case") => serde_json::from_slice(line).map(Self::Case).ok(),
            Some(b"patch") => serde_json::from_slice(line).map(Self::Probe).ok(),
            _ => None,
        };
        direct.map_or_else(|| serde_json::from_slice(line), Ok)
    }
}

/// Key of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordKey<'r> {
    /// Prediction of the unedited model on a datum.
    Datum(DatasetName, usize),
    /// Trial of a method on an error or a case.
    Trial(&'r TrialId),
    /// Final prediction of a method on a datum.
    Prediction(DatasetName, usize, &'r str),
    /// Text that a method lets the model write on a datum.
    Free(DatasetName, usize, &'r str),
    /// Prediction of the unedited model on a case.
    Case(&'r CaseName),
}

impl std::fmt::Display for RecordKey<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Datum(dataset, datum) => write!(f, "datum {dataset} {datum}"),
            Self::Trial(id) => write!(f, "trial {id}"),
            Self::Prediction(dataset, datum, method) => {
                write!(f, "prediction {dataset} {datum} {method}")
            }
            Self::Free(dataset, datum, method) => write!(f, "text {dataset} {datum} {method}"),
            Self::Case(name) => write!(f, "case {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Record;

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
