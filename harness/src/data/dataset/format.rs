//! Names of formats: one for each registered data set, and JSON Lines.

use super::{Dataset, DatasetName, REGISTERED, jsonl};
use anyhow::Result;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::path::Path;

/// The name of a format: that of the registered data set whose files have it, or `jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatName(&'static str);

impl FormatName {
    /// JSON Lines.
    pub const JSONL: Self = Self("jsonl");

    /// The format of the data set `name` where no other is named.
    pub(super) fn of(name: DatasetName) -> Self {
        let has_own = name.entry().is_some_and(|entry| entry.load.is_some());
        if has_own { Self(name.as_str()) } else { Self::JSONL }
    }

    pub(super) fn all() -> impl Iterator<Item = Self> {
        let registered = DatasetName::registered().map(Self::of).filter(|own| *own != Self::JSONL);
        std::iter::once(Self::JSONL).chain(registered)
    }

    /// Reads the data set `name` in this format.
    pub(super) fn read(self, name: DatasetName, from: &Path) -> Result<Dataset> {
        let known = REGISTERED.iter().find(|known| known.name.as_str() == self.0);
        known.and_then(|known| known.load).unwrap_or(jsonl::load)(name, from)
    }
}

impl fmt::Display for FormatName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl Serialize for FormatName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for FormatName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Cow::<str>::deserialize(deserializer)?;
        Self::all().find(|known| known.0 == name).ok_or_else(|| {
            let known: Vec<String> = Self::all().map(|known| format!("`{known}`")).collect();
            let known = known.join(", ");
            serde::de::Error::custom(format!("unknown format `{name}`, expected one of {known}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{DatasetName, FormatName};
    use crate::data::dataset::source::folder_of;

    #[test]
    fn any_name_reads_any_format() {
        let conala = r#"[{"intent": "i", "snippet": "s"}]"#;
        let folder = folder_of(&[("conala-train.json", conala), ("conala-test.json", conala)]);
        let own: DatasetName = "own".parse().unwrap();
        let format: FormatName = serde_json::from_str("\"conala\"").unwrap();
        let dataset = own.load(Some(format), folder.path()).unwrap();
        assert_eq!((dataset.name, dataset.inference.len()), (own, 1));
        assert_eq!(dataset.deviations, ["a data set that the paper does not have"]);

        let line = r#"{"input": "i", "output": "o"}"#;
        let folder = folder_of(&[("retrieval.jsonl", line), ("inference.jsonl", line)]);
        let dataset = DatasetName::CONALA.load(Some(FormatName::JSONL), folder.path()).unwrap();
        assert_eq!(dataset.deviations, ["read from files in the format jsonl"]);
    }

    #[test]
    fn names_round_trip_and_others_are_refused() {
        for format in FormatName::all() {
            let json = serde_json::to_string(&format).unwrap();
            assert_eq!(serde_json::from_str::<FormatName>(&json).unwrap(), format);
        }
        let error = serde_json::from_str::<FormatName>("\"json\"").unwrap_err().to_string();
        assert!(error.starts_with("unknown format `json`, expected one of `jsonl`, "), "{error}");
    }
}
