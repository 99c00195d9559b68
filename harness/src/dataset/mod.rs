//! The data sets of the paper (section III-C), read from files the user has.
//!
//! Each is a file of its own here. To add one: write the file, add a variant to [`DatasetName`]
//! (and to [`DatasetName::ALL`]) and its line in `DatasetName::registration`, without which
//! nothing compiles.

mod conala;
mod fimax;
mod source;
mod spoc;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use anyhow::Result;
use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};

use crate::error::InputError;

/// A natural-language input and the output wanted for it, both trimmed and neither empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pair {
    /// The query, intent or line of pseudocode.
    pub input: String,
    /// The API sequence or code.
    pub output: String,
}

/// A file that a data set was read from, for the record of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// File name, without its folder.
    pub name: String,
    /// SHA-256 of the file's bytes as they are on disk, in lower-case hex.
    pub sha256: String,
    /// Number of pairs the file contributed.
    pub pairs: usize,
}

/// A data set in its two divisions (Table I), each in file order and never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// Which data set this is.
    pub name: DatasetName,
    /// The corpus that demonstrations are retrieved from.
    pub retrieval: Vec<Pair>,
    /// The pairs that are evaluated.
    pub inference: Vec<Pair>,
    /// The files read: those of the retrieval division, then those of the inference division.
    pub files: Vec<SourceFile>,
    /// Where the divisions are not composed as the paper's, one sentence each.
    pub deviations: Vec<String>,
}

/// The data sets, in the order of the paper's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatasetName {
    /// API-sequence recommendation in Python.
    Fimax,
    /// Line-level code generation in Python.
    Conala,
    /// Pseudocode to C++, line by line.
    Spoc,
}

impl DatasetName {
    /// Every data set, in the order of the paper's tables.
    pub const ALL: [Self; 3] = [Self::Fimax, Self::Conala, Self::Spoc];

    /// The registry: what the paper's tables print, and the loader.
    fn registration(self) -> (&'static str, fn(&Path) -> Result<Dataset>) {
        match self {
            Self::Fimax => ("FIMAX", fimax::load),
            Self::Conala => ("CoNaLa", conala::load),
            Self::Spoc => ("SPoC", spoc::load),
        }
    }

    /// The name as the paper's tables print it.
    pub fn label(self) -> &'static str {
        self.registration().0
    }

    /// Reads both divisions from the folder `from`, which may also be the folder that an official
    /// archive was unpacked in.
    ///
    /// Every mistake in the files is an [`InputError`] that names the file, the place in it and
    /// what to do.
    pub fn load(self, from: &Path) -> Result<Dataset> {
        self.registration().1(from)
    }
}

/// Writes the name as it is written in configurations: `fimax`, `conala`, `spoc`.
impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl FromStr for DatasetName {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::deserialize(name.into_deserializer()).map_err(|_: serde::de::value::Error| {
            let known = Self::ALL.map(|name| name.to_string()).join(", ");
            InputError::new(format!("no data set is named `{name}`; there are {known}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for name in DatasetName::ALL {
            assert_eq!(name.to_string().parse::<DatasetName>().unwrap(), name);
            assert_eq!(serde_json::to_string(&name).unwrap(), format!("\"{name}\""));
        }
        assert_eq!(format!("{:>7}|", DatasetName::Spoc), "   spoc|");
        insta::assert_snapshot!(
            "SPoC".parse::<DatasetName>().unwrap_err(),
            @"no data set is named `SPoC`; there are fimax, conala, spoc"
        );
    }

    #[test]
    fn all_lists_every_variant() {
        // serde knows the variants from the enum itself.
        let error = serde_json::from_str::<DatasetName>("\"\"").unwrap_err();
        for name in DatasetName::ALL {
            assert!(error.to_string().contains(&format!("`{name}`")));
        }
        let listed = error.to_string().matches('`').count() / 2 - 1;
        assert_eq!(listed, DatasetName::ALL.len(), "{error}");
    }

    #[test]
    fn labels_are_those_of_the_paper() {
        let labels = DatasetName::ALL.map(DatasetName::label);
        assert_eq!(labels, ["FIMAX", "CoNaLa", "SPoC"]);
    }
}
