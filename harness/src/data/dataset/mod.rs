//! Data sets: those of the paper (section III-C) in their own formats, a file each, and any other as JSON
//! Lines (`jsonl.rs`), without a line of Rust.
//!
//! To add a foreign format: write its file, and its line in `REGISTERED`.

mod conala;
mod fimax;
mod jsonl;
mod name;
mod source;
mod spoc;

pub use self::name::DatasetName;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::path::Path;

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
    /// Name of the data set.
    pub name: DatasetName,
    /// The corpus that demonstrations are retrieved from.
    pub retrieval: Vec<Pair>,
    /// The pairs that are evaluated.
    pub inference: Vec<Pair>,
    /// The files read: those of the retrieval division, then those of the inference division.
    pub files: Vec<SourceFile>,
    /// Differences between its divisions and the paper's, one sentence each.
    pub deviations: Vec<String>,
}

/// A format of its own: the name of the data set, its label in tables, and its reader.
struct DatasetFormat {
    name: DatasetName,
    label: &'static str,
    load: fn(&Path) -> Result<Dataset>,
}

/// The formats that are known by name, in the order of the paper's tables. One line each.
const REGISTERED: &[DatasetFormat] = &[
    DatasetFormat { name: DatasetName::FIMAX, label: "FIMAX", load: fimax::load },
    DatasetFormat { name: DatasetName::CONALA, label: "CoNaLa", load: conala::load },
    DatasetFormat { name: DatasetName::SPOC, label: "SPoC", load: spoc::load },
];

impl DatasetName {
    /// The names that have a format of their own, in the order of the paper's tables.
    pub fn registered() -> impl Iterator<Item = Self> {
        REGISTERED.iter().map(|format| format.name)
    }

    fn format(self) -> Option<&'static DatasetFormat> {
        REGISTERED.iter().find(|format| format.name == self)
    }

    /// The name as tables print it.
    pub fn label(self) -> &'static str {
        self.format().map_or(self.as_str(), |format| format.label)
    }

    /// The data set that tables call `label`; `None` where that is no name of one.
    pub(crate) fn of_label(label: &str) -> Option<Self> {
        let known = REGISTERED.iter().find(|format| format.label == label);
        known.map(|format| format.name).or_else(|| label.parse().ok())
    }

    /// Reads both divisions from the folder `from`, which may also be the folder that an official
    /// archive was unpacked in.
    ///
    /// # Errors
    /// Every mistake in the files is an [`InputError`](crate::error::InputError) that names the file, the
    /// place in it and what to do.
    pub fn load(self, from: &Path) -> Result<Dataset> {
        match self.format() {
            Some(format) => (format.load)(from),
            None => jsonl::load(self, from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::DatasetName;

    #[test]
    fn labels_are_those_of_the_paper() {
        let labels: Vec<&str> = DatasetName::registered().map(DatasetName::label).collect();
        assert_eq!(labels, ["FIMAX", "CoNaLa", "SPoC"]);
        assert_eq!("my-data".parse::<DatasetName>().unwrap().label(), "my-data");
    }
}
