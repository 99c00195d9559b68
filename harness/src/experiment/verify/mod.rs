//! `ment verify`: is a run what it says it is? Everything that follows from the raw records is computed
//! again; what was read is compared with what is there now; and some trials can be run again.

#[cfg(feature = "torch")]
mod again;
mod contents;
mod records;
mod tables;

use crate::data::model_folder;
use crate::error::InputError;
use crate::records::FORMAT;
use crate::records::manifest::{Manifest, OUTSIDE};
use crate::records::store::Run;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// Outcome of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckOutcome {
    /// The check passed.
    Holds,
    /// The check failed.
    Fails,
    /// The check could not be made; the text says why.
    NotChecked,
    /// The check promises nothing; the text says what was found.
    Told,
}

/// One check.
#[derive(Clone, Debug)]
pub struct Check {
    /// Subject of the check.
    pub what: &'static str,
    /// Outcome of the check.
    pub outcome: CheckOutcome,
    /// Extent of the check, or what is wrong.
    pub text: String,
}

impl Check {
    /// `found` lists the faults, the first three of which are shown; `of` describes what was checked.
    fn of(what: &'static str, of: String, found: &[String]) -> Self {
        if found.is_empty() {
            return Self { what, outcome: CheckOutcome::Holds, text: of };
        }
        let more = match found.len().saturating_sub(3) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let text = format!("{of}: {}{more}", found[..found.len().min(3)].join("; "));
        Self { what, outcome: CheckOutcome::Fails, text }
    }

    fn not(what: &'static str, why: impl Into<String>) -> Self {
        Self { what, outcome: CheckOutcome::NotChecked, text: why.into() }
    }
}

impl std::fmt::Display for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let outcome = match self.outcome {
            CheckOutcome::Holds => "holds",
            CheckOutcome::Fails => "FAILS",
            CheckOutcome::NotChecked => "not checked",
            CheckOutcome::Told => "found",
        };
        write!(f, "{:<12} {outcome:<12} {}", self.what, self.text)
    }
}

/// Places of a run's model and data, if they have moved since the run.
#[derive(Debug, Default)]
pub struct Places {
    /// The model's folder.
    pub model: Option<PathBuf>,
    /// Folder of the sentence encoder.
    pub encoder: Option<PathBuf>,
    /// Folder of the data sets.
    pub from: Option<PathBuf>,
    /// Folder of the benchmark.
    pub benchmark: Option<PathBuf>,
}

impl Places {
    /// The place called `name` in the manifest.
    ///
    /// # Errors
    /// If the manifest does not say, or only that it was elsewhere.
    fn of(&self, manifest: &Manifest, name: &str) -> Result<PathBuf> {
        let (own, option) = match name {
            "model" => (&self.model, "--model DIR"),
            "encoder" => (&self.encoder, "--encoder DIR"),
            "benchmark" => (&self.benchmark, "--benchmark DIR"),
            _ => (&self.from, "--from DIR"),
        };
        let recorded = manifest.places.get(name).filter(|place| !place.starts_with(OUTSIDE));
        match own.clone().or_else(|| recorded.map(PathBuf::from)) {
            Some(place) if ["model", "encoder"].contains(&name) => model_folder::find(&place),
            Some(place) => Ok(place),
            None => Err(InputError::new(format!(
                "the manifest does not say where {name} was read from; this needs {option}"
            ))),
        }
    }

    /// The config of the run of `manifest`, which holds everything but the places.
    ///
    /// # Errors
    /// If a place is unknown, or the config was written by an incompatible version.
    #[cfg(feature = "torch")]
    fn config(&self, manifest: &Manifest) -> Result<crate::config::Config> {
        let place = |name: &str| Ok(self.of(manifest, name)?.display().to_string());
        let memory_mib = Some(manifest.environment.memory_mib).filter(|mib| *mib > 0);
        manifest.identity.config(place, memory_mib)
    }
}

/// Checks `run`, which was read from `folder`.
///
/// # Errors
/// If there is no room for its tables.
pub fn verify(run: &Run, folder: &Path, places: &Places) -> Result<Vec<Check>> {
    let Run { manifest, records, left_out } = run;
    let mut checks = vec![
        identity(manifest),
        Check::of("files", format!("{} records", records.len()), left_out),
    ];
    checks.extend(records::checks(run));
    checks.push(tables::check(run, folder)?);
    checks.extend(contents::checks(manifest, places));
    Ok(checks)
}

/// Runs `count` trials of `run` again, chosen by `seed`, and compares them: once with the original batches
/// run, and once in less memory, so in smaller batches.
///
/// # Errors
/// If the run cannot be continued from here, or the user stops it.
#[cfg(feature = "torch")]
pub fn again(run: &Run, places: &Places, (count, seed): (usize, u64)) -> Result<Vec<Check>> {
    again::again(run, places, count, seed)
}

/// The hash by which others know the run.
fn identity(manifest: &Manifest) -> Check {
    if manifest.format < FORMAT {
        return Check::not("identity", "format 1 hashed it differently");
    }
    let (said, found) = (&manifest.run, manifest.identity.hash());
    let wrong = format!("the manifest says {said}, its identity hashes to {found}");
    let found = if *said == found { Vec::new() } else { vec![wrong] };
    Check::of("identity", format!("run {said}"), &found)
}
