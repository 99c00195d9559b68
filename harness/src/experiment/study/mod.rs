//! Studies of edits that stay: a chain of thought before and after one ([`chains`]), and many edits one
//! on top of the other ([`sequence`]). Each is a config, a folder with what was measured, a line a
//! measurement ([`journal`]), and a page made of that alone.

pub mod chains;
#[cfg(feature = "torch")]
mod run;
pub mod sequence;

#[cfg(feature = "torch")]
pub use self::run::run;

use self::chains::Chains;
use self::sequence::Sequence;
use crate::config::{Config, SettingKey};
use crate::error::InputError;
use crate::records::store::journal;
use anyhow::Result;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use toml::Table;

/// Keys that a study does not read: of what a run does with a datum's other errors and with other data.
const UNREAD: [&str; 6] = [
    "ment.across_errors",
    "kn.parallel.prompts",
    "kn.parallel.demonstrations",
    "execution.too_long",
    "execution.unrelated_probes",
    "execution.strict",
];

/// Kind of study, with its settings.
#[derive(Clone, Debug)]
pub enum Study {
    /// `[chains]`
    Chains(Chains),
    /// `[sequence]`
    Sequence(Sequence),
}

/// A study as written, with what the command line lays over it.
#[derive(Clone, Debug)]
pub struct StudyConfig {
    /// Model and methods.
    pub config: Config,
    /// Settings of the study itself.
    pub study: Study,
    /// The file, word by word.
    pub text: String,
}

impl StudyConfig {
    /// Reads the study at `path` and lays the lines `set` over it.
    ///
    /// # Errors
    /// If the file is none, or a line sets nothing.
    pub fn read(path: &Path, set: &[String]) -> Result<Self> {
        let wrong = |error: String| InputError::new(format!("{}: {error}", path.display()));
        let text = Config::text(path)?;
        let mut table: Table = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        for line in set {
            let told = |error: String| InputError::new(format!("--set: {error}"));
            let keys = SettingKey::all(line).map_err(told)?;
            if keys.iter().any(|key| UNREAD.iter().any(|unread| key.is_below(unread))) {
                return Err(told(format!("`{line}`: a study has no such key")));
            }
            crate::config::set(&mut table, line).map_err(told)?;
        }
        let study = match (table.remove("chains"), table.remove("sequence")) {
            (Some(value), None) => {
                let chains: Chains = parse("chains", value).map_err(wrong)?;
                chains.check().map_err(wrong)?;
                Study::Chains(chains)
            }
            (None, Some(value)) => {
                let sequence: Sequence = parse("sequence", value).map_err(wrong)?;
                sequence.check().map_err(wrong)?;
                Study::Sequence(sequence)
            }
            _ => {
                return Err(wrong(
                    "a study has a [chains] or a [sequence] table, one of both".into(),
                ));
            }
        };
        let config = Config::of_methods(table).map_err(wrong)?;
        if config.labels().next().is_none() {
            return Err(wrong("no method; add a [[ment]] or [[kn]] entry".into()));
        }
        config.check_edits_stand().map_err(wrong)?;
        let mut slugs: Vec<String> = config.labels().map(|label| slug(label)).collect();
        slugs.sort();
        if slugs.windows(2).any(|pair| pair[0] == pair[1]) || slugs[0].is_empty() {
            return Err(wrong(
                "labels of methods must differ in letters and digits, because these name files"
                    .into(),
            ));
        }
        match (&study, config.dataset.is_empty()) {
            (Study::Chains(_), false) => {
                return Err(wrong("[[dataset]] has no effect on [chains]; remove it".into()));
            }
            (Study::Sequence(_), true) => {
                return Err(wrong(
                    "a [sequence] repairs errors on data; add a [[dataset]] entry".into(),
                ));
            }
            _ => {}
        }
        Ok(Self { config, study, text })
    }
}

/// Parses the table under `key` of a config.
fn parse<T: DeserializeOwned>(key: &str, value: toml::Value) -> Result<T, String> {
    value.try_into().map_err(|error| format!("{key}: {}", error.to_string().trim_end()))
}

/// The page, tables and pictures of the study in `folder` again, from what was measured.
///
/// # Errors
/// If the folder is no study, or cannot be written.
pub fn report(folder: &Path) -> Result<(Vec<crate::table::Table>, Vec<PathBuf>)> {
    let manifest = journal::manifest(folder)?;
    if manifest.identity.study::<Chains>("chains").is_some() {
        chains::report(folder, &manifest)
    } else {
        sequence::report(folder, &manifest)
    }
}

/// A label as part of a file's name.
fn slug(label: &str) -> String {
    let fine = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let words = label.chars().map(fine).collect::<String>();
    words.split('-').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
}
