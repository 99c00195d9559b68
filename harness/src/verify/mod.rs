//! `ment verify`: is a run what it says it is? Everything that follows from the raw records is computed
//! again; what was read is compared with what is there now; and some trials can be run again.

#[cfg(feature = "torch")]
mod again;
mod contents;
mod records;
mod tables;

use crate::config::Config;
use crate::error::InputError;
use crate::manifest::{Manifest, OUTSIDE};
use crate::record::FORMAT;
use crate::store::{self, Run};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Holds,
    /// It does not.
    Fails,
    /// It could not be tried; the text says why.
    NotChecked,
    /// Nothing is promised; the text says what was found.
    Told,
}

/// One check.
#[derive(Clone, Debug)]
pub struct Check {
    /// What is checked.
    pub what: &'static str,
    /// What came of it.
    pub outcome: Outcome,
    /// Of how much, or what is wrong with it.
    pub text: String,
}

impl Check {
    /// `found` lists what is wrong, of which the first three are told; `of` says what was looked at.
    fn of(what: &'static str, of: String, found: &[String]) -> Self {
        if found.is_empty() {
            return Self { what, outcome: Outcome::Holds, text: of };
        }
        let more = match found.len().saturating_sub(3) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let text = format!("{of}: {}{more}", found[..found.len().min(3)].join("; "));
        Self { what, outcome: Outcome::Fails, text }
    }

    fn not(what: &'static str, why: impl Into<String>) -> Self {
        Self { what, outcome: Outcome::NotChecked, text: why.into() }
    }
}

impl std::fmt::Display for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let outcome = match self.outcome {
            Outcome::Holds => "holds",
            Outcome::Fails => "FAILS",
            Outcome::NotChecked => "not checked",
            Outcome::Told => "found",
        };
        write!(f, "{:<12} {outcome:<12} {}", self.what, self.text)
    }
}

/// Where a run's model and data are now, where that is not where it read them.
#[derive(Debug, Default)]
pub struct Places {
    /// The model's folder.
    pub model: Option<PathBuf>,
    /// That of the sentence encoder.
    pub encoder: Option<PathBuf>,
    /// That of the data sets.
    pub from: Option<PathBuf>,
    /// That of the benchmark.
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
        if let Some(path) = own {
            return Ok(path.clone());
        }
        match manifest.places.get(name).filter(|place| !place.starts_with(OUTSIDE)) {
            Some(place) => Ok(place.into()),
            None => Err(InputError::new(format!(
                "the manifest does not say where {name} was read from; this needs {option}"
            ))),
        }
    }
}

/// Checks the run in `folder`.
///
/// # Errors
/// If it cannot be read.
pub fn verify(folder: &Path, places: &Places) -> Result<Vec<Check>> {
    let run = store::read(folder)?;
    let Run { manifest, records, left_out } = &run;
    let mut checks = vec![
        identity(manifest),
        Check::of("files", format!("{} records", records.len()), left_out),
    ];
    checks.extend(records::checks(&run));
    checks.push(tables::check(folder)?);
    checks.extend(contents::checks(manifest, places));
    Ok(checks)
}

/// Runs `count` trials of the run in `folder` again, chosen by `seed`, and compares them: once as they were
/// run, and once in less memory, so in smaller batches.
///
/// # Errors
/// If the run cannot be read or continued from here, or the user stops it.
#[cfg(feature = "torch")]
pub fn again(folder: &Path, places: &Places, (count, seed): (usize, u64)) -> Result<Vec<Check>> {
    again::again(folder, places, count, seed)
}

/// The hash by which others know the run.
fn identity(manifest: &Manifest) -> Check {
    if manifest.format < FORMAT {
        return Check::not("identity", "format 1 hashed it otherwise");
    }
    let (said, found) = (&manifest.run, manifest.identity.hash());
    let wrong = format!("the manifest says {said}, its identity hashes to {found}");
    let found = if *said == found { Vec::new() } else { vec![wrong] };
    Check::of("identity", format!("run {said}"), &found)
}

/// The hash of the sentence encoder, where one took part.
fn encoder(manifest: &Manifest) -> Option<&str> {
    let of_methods = manifest.identity.methods.values().find_map(|own| own["encoder"].as_str());
    manifest.identity.contents.get("encoder").map(String::as_str).or(of_methods)
}

/// The config of a run, of which the manifest holds everything but the places.
///
/// # Errors
/// If a place is not known, or the config of an older version is none any more.
pub(crate) fn config(manifest: &Manifest, places: &Places) -> Result<Config> {
    let mut value = manifest.identity.config.clone();
    let path = |name: &str| places.of(manifest, name).map(|path| path.display().to_string());
    value["model"]["path"] = path("model")?.into();
    if encoder(manifest).is_some() {
        value["retrieval"]["encoder"] = path("encoder")?.into();
    }
    for dataset in value["dataset"].as_array_mut().into_iter().flatten() {
        let name = dataset["name"].as_str().unwrap_or_default().to_string();
        dataset["from"] = path(&name)?.into();
    }
    if value["probing"].is_object() {
        value["probing"]["from"] = path("benchmark")?.into();
        value["probing"]["cases"] = "all".into();
    }
    if manifest.environment.memory_mib > 0 {
        value["execution"]["memory_mib"] = manifest.environment.memory_mib.into();
    }
    for settings in manifest.identity.methods.values() {
        let mut settings = settings.clone();
        let keys = settings.as_object_mut().expect("settings are a table");
        let kind = keys.shift_remove("kind").unwrap_or_default();
        keys.shift_remove("encoder");
        let kind = kind.as_str().unwrap_or_default();
        match value[kind].as_array_mut() {
            Some(methods) => methods.push(settings),
            None => value[kind] = vec![settings].into(),
        }
    }
    let config: Config = serde_json::from_value(value).map_err(|error| {
        InputError::new(format!("the manifest holds no config of today: {error}"))
    })?;
    config.check().map_err(InputError::new)?;
    Ok(config)
}
