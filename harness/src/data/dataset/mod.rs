//! Data sets: those of the paper (section III-C) in their own formats, a file each, and any other as JSON
//! Lines (`jsonl.rs`), without a line of Rust.
//!
//! To add a foreign format: write its file, and its line in `REGISTERED`.

mod clmeeval;
mod code_update_arena;
mod conala;
mod divide;
mod fimax;
mod format;
mod jsonl;
mod name;
mod nl2bash;
mod samples;
mod source;
mod spoc;

pub use self::format::FormatName;
pub use self::name::DatasetName;

use crate::error::InputError;
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

/// A prompt beside a pair, on which an edit that is made for the pair is probed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SidePrompt {
    /// The query, as of a pair.
    pub input: String,
    /// The output wanted for it; `None` where the data do not say.
    pub output: Option<String>,
}

/// Name of a pair of the inference division, and the prompts beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    /// The pair's own name.
    pub id: Option<String>,
    /// Prompts that an edit made for the pair should carry over to (generalization).
    pub related: Vec<SidePrompt>,
    /// Prompts that it should leave as they are (specificity).
    pub unrelated: Vec<SidePrompt>,
}

/// A data set in its two divisions (Table I), each in file order. [`DatasetName::load`] gives none that is
/// empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// Name of the data set.
    pub name: DatasetName,
    /// The corpus that demonstrations are retrieved from.
    pub retrieval: Vec<Pair>,
    /// The pairs that are evaluated.
    pub inference: Vec<Pair>,
    /// Names and prompts beside each pair of the inference division; empty where the format has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<Beside>,
    /// The files read: those of the retrieval division, then those of the inference division.
    pub files: Vec<SourceFile>,
    /// Differences between its divisions and the paper's, one sentence each.
    pub deviations: Vec<String>,
}

/// A data set that is known by name.
struct Registered {
    name: DatasetName,
    /// Its name in tables.
    label: &'static str,
    /// The column of the paper's tables that stands beside it.
    paper: Option<&'static str>,
    /// The reader of its own format; `None` where its files are JSON Lines.
    load: Option<fn(DatasetName, &Path) -> Result<Dataset>>,
}

/// The data sets that are known by name, in the order of the tables. One entry each.
const REGISTERED: &[Registered] = &[
    Registered {
        name: DatasetName::FIMAX,
        label: "FIMAX",
        paper: Some("FIMAX"),
        load: Some(fimax::load),
    },
    Registered { name: DatasetName::API_SEQ, label: "API-seq", paper: Some("FIMAX"), load: None },
    Registered {
        name: DatasetName::CONALA,
        label: "CoNaLa",
        paper: Some("CoNaLa"),
        load: Some(conala::load),
    },
    Registered {
        name: DatasetName::SPOC,
        label: "SPoC",
        paper: Some("SPoC"),
        load: Some(spoc::load),
    },
    Registered {
        name: DatasetName::CONALA_EDIT,
        label: "CoNaLa-Edit",
        paper: None,
        load: Some(clmeeval::conala_edit),
    },
    Registered {
        name: DatasetName::CODESEARCHNET_EDIT,
        label: "CodeSearchNet-Edit",
        paper: None,
        load: Some(clmeeval::codesearchnet_edit),
    },
    Registered {
        name: DatasetName::CODE_UPDATE_ARENA,
        label: "CodeUpdateArena",
        paper: None,
        load: Some(code_update_arena::load),
    },
    Registered {
        name: DatasetName::NL2BASH,
        label: "NL2Bash",
        paper: None,
        load: Some(nl2bash::load),
    },
];

impl DatasetName {
    /// The names that are known, in the order of the tables.
    pub fn registered() -> impl Iterator<Item = Self> {
        REGISTERED.iter().map(|entry| entry.name)
    }

    fn entry(self) -> Option<&'static Registered> {
        REGISTERED.iter().find(|entry| entry.name == self)
    }

    /// The name as tables print it.
    pub fn label(self) -> &'static str {
        self.entry().map_or(self.as_str(), |entry| entry.label)
    }

    /// The data set that tables call `label`; `None` where that is no name of one.
    pub(crate) fn of_label(label: &str) -> Option<Self> {
        let known = REGISTERED.iter().find(|entry| entry.label == label);
        known.map(|entry| entry.name).or_else(|| label.parse().ok())
    }

    /// The column of the paper's tables that stands beside the data set that tables call `label`.
    pub(crate) fn paper_column(label: &str) -> Option<&'static str> {
        REGISTERED.iter().find(|entry| entry.label == label)?.paper
    }

    /// Reads both divisions from the folder `from`, which may also be the folder that an official
    /// archive was unpacked in. `format` replaces the format that the name stands for.
    ///
    /// # Errors
    /// Every mistake in the files is an [`InputError`](crate::error::InputError) that names the file, the
    /// place in it and what to do.
    pub fn load(self, format: Option<FormatName>, from: &Path) -> Result<Dataset> {
        let dataset = self.read(format, from)?;
        for (division, pairs) in
            [("retrieval", &dataset.retrieval), ("inference", &dataset.inference)]
        {
            if pairs.is_empty() {
                return Err(InputError::new(format!(
                    "{}: no line of the {division} division; demonstrations come from the retrieval \
                     division, and the inference division is prompted",
                    from.display()
                )));
            }
        }
        Ok(dataset)
    }

    /// Reads what there is, as [`DatasetName::load`] does; a division may be empty.
    fn read(self, format: Option<FormatName>, from: &Path) -> Result<Dataset> {
        let format = format.unwrap_or_else(|| FormatName::of(self));
        let mut dataset = format.read(self, from)?;
        let departure = match self.entry().and_then(|entry| entry.paper) {
            None => Some("a data set that the paper does not have".into()),
            Some(paper) if paper != self.label() => Some(format!(
                "another data set than the paper's {paper}, of the same kind; the paper's figures beside it \
                 are of {paper}"
            )),
            Some(_) if format != FormatName::of(self) => {
                Some(format!("read from files in the format {format}"))
            }
            Some(_) => None,
        };
        dataset.deviations.splice(0..0, departure);
        Ok(dataset)
    }
}

impl Dataset {
    /// Heading in tables.
    pub(crate) fn heading(&self) -> &'static str {
        self.name.heading(self.files.iter().map(|file| file.sha256.as_str()))
    }

    /// Reads rows that are probed: as [`DatasetName::load`] does, but either division may be empty.
    ///
    /// # Errors
    /// If something in the files is wrong.
    pub fn of_rows(format: FormatName, from: &Path) -> Result<Self> {
        let name: DatasetName = "rows".parse()?;
        name.read(Some(format), from)
    }
}

#[cfg(test)]
mod tests {
    use super::DatasetName;
    use super::source::folder_of;

    #[test]
    fn another_set_of_the_same_kind_says_so() {
        let line = r#"{"input": "i", "output": "o"}"#;
        let folder = folder_of(&[("retrieval.jsonl", line), ("inference.jsonl", line)]);
        let found = DatasetName::API_SEQ.load(None, folder.path()).unwrap();
        assert_eq!(found.heading(), "API-seq");
        assert_eq!(DatasetName::paper_column("API-seq"), Some("FIMAX"));
        insta::assert_snapshot!(found.deviations.join("\n"), @"another data set than the paper's FIMAX, of the same kind; the paper's figures beside it are of FIMAX");
    }

    #[test]
    fn labels_are_those_of_the_paper() {
        let labels: Vec<&str> = DatasetName::registered().map(DatasetName::label).collect();
        let of_paper =
            labels.iter().filter(|label| DatasetName::paper_column(label) == Some(**label));
        assert_eq!(of_paper.collect::<Vec<_>>(), [&"FIMAX", &"CoNaLa", &"SPoC"]);
        assert_eq!("my-data".parse::<DatasetName>().unwrap().label(), "my-data");
    }
}
