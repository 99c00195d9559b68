//! Names of data sets: those of the paper, and any other.

use crate::error::InputError;
use anyhow::Result;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

/// The name of a data set: one of the paper's, or any other of lower-case letters, digits, `-` and `_`.
/// It is as small as a number: names are few, and each is kept once for the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DatasetName(&'static str);

/// Names with another meaning where a run lists the files that it read.
const TAKEN: [&str; 4] = ["model", "tokenizer", "encoder", "benchmark"];

impl DatasetName {
    /// API-sequence recommendation in Python.
    pub const FIMAX: Self = Self("fimax");
    /// API-sequence recommendation from the documentation of Python libraries.
    pub const API_SEQ: Self = Self("api-seq");
    /// Line-level code generation in Python.
    pub const CONALA: Self = Self("conala");
    /// Pseudocode to C++, line by line.
    pub const SPOC: Self = Self("spoc");
    /// Code generation in Python with rewritten and neighbouring intents (CLMEEval).
    pub const CONALA_EDIT: Self = Self("conala-edit");
    /// Summaries of Python functions with rewritten and neighbouring functions (CLMEEval).
    pub const CODESEARCHNET_EDIT: Self = Self("codesearchnet-edit");
    /// Programs that use an updated API.
    pub const CODE_UPDATE_ARENA: Self = Self("code-update-arena");
    /// English sentences to Bash commands.
    pub const NL2BASH: Self = Self("nl2bash");

    /// The name as it is written in configurations and records.
    pub fn as_str(self) -> &'static str {
        self.0
    }

    fn new(name: &str) -> Result<Self, String> {
        let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(fine) {
            return Err(format!(
                "{name:?} cannot name a data set; use lower-case letters, digits, - and _"
            ));
        }
        if TAKEN.contains(&name) {
            return Err(format!("`{name}` is reserved and cannot name a data set"));
        }
        if let Some(known) = Self::registered().find(|known| known.0 == name) {
            return Ok(known);
        }
        static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = names.get(name).copied();
        let name = kept.unwrap_or_else(|| Box::leak(name.to_string().into_boxed_str()));
        names.insert(name);
        Ok(Self(name))
    }

    /// The registered name that this one may be a slip of.
    pub(super) fn nearest(self) -> Option<Self> {
        let distance = |known: &Self| strsim::damerau_levenshtein(self.0, known.0);
        Self::registered().filter(|known| distance(known) <= 2).min_by_key(distance)
    }
}

/// Data sets of the paper in its order, then others by name: the order of the tables.
impl Ord for DatasetName {
    fn cmp(&self, other: &Self) -> Ordering {
        let place = |name: &Self| Self::registered().position(|known| known == *name);
        let key = |name: &Self| (place(name).unwrap_or(usize::MAX), name.0);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for DatasetName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl FromStr for DatasetName {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::new(name).map_err(InputError::new)
    }
}

impl Serialize for DatasetName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for DatasetName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::new(&name).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::DatasetName;

    #[test]
    fn names_round_trip_and_are_ordered() {
        let own: DatasetName = "my-data_2".parse().unwrap();
        for name in DatasetName::registered().chain([own]) {
            assert_eq!(name.to_string().parse::<DatasetName>().unwrap(), name);
            let json = serde_json::to_string(&name).unwrap();
            assert_eq!(json, format!("\"{name}\""));
            assert_eq!(serde_json::from_str::<DatasetName>(&json).unwrap(), name);
        }
        assert_eq!(format!("{:>7}|", DatasetName::SPOC), "   spoc|");
        let mut names = [own, "a".parse().unwrap(), DatasetName::SPOC, DatasetName::FIMAX];
        names.sort();
        assert_eq!(names.map(DatasetName::as_str), ["fimax", "spoc", "a", "my-data_2"]);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in ["", "SPoC", "my data", "a/b", "é"] {
            let error = name.parse::<DatasetName>().unwrap_err().to_string();
            assert!(error.contains("cannot name a data set; use"), "{error}");
        }
        let error = "model".parse::<DatasetName>().unwrap_err().to_string();
        assert!(error.contains("`model` is reserved"), "{error}");
        assert!(serde_json::from_str::<DatasetName>("\"a b\"").is_err());
    }
}
