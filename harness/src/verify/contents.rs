//! Are the model and the data those that the run was made with?

use super::{Check, Places};
use crate::benchmark::Benchmark;
use crate::dataset::DatasetName;
use crate::manifest::Manifest;
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::Path;

/// A check a place that the manifest names.
pub(super) fn checks(manifest: &Manifest, places: &Places) -> Vec<Check> {
    let contents = &manifest.identity.contents;
    let mut checks = Vec::new();
    let datasets = manifest.identity.config["dataset"].as_array().cloned().unwrap_or_default();
    let names = datasets.iter().filter_map(|dataset| dataset["name"].as_str());
    for name in names {
        let files = |from: &Path| {
            let dataset = name.parse::<DatasetName>()?.load(from)?;
            let of = dataset.files.into_iter();
            Ok(of.map(|file| (format!("{name}/{}", file.name), file.sha256)).collect())
        };
        checks.push(compare("data", places.of(manifest, name), contents, files));
    }
    if manifest.identity.config["probing"].is_object() {
        let files = |from: &Path| {
            let of = Benchmark::load(from)?.files.into_iter();
            Ok(of.map(|file| (format!("benchmark/{}", file.name), file.sha256)).collect())
        };
        checks.push(compare("benchmark", places.of(manifest, "benchmark"), contents, files));
    }
    checks.push(compare("model", places.of(manifest, "model"), contents, model));
    checks
}

/// What is at `place` now, and what the run read.
fn compare(
    what: &'static str,
    place: Result<std::path::PathBuf>,
    contents: &BTreeMap<String, String>,
    files: impl Fn(&Path) -> Result<BTreeMap<String, String>>,
) -> Check {
    let found = place.and_then(|place| Ok((files(&place)?, place)));
    let (found, place) = match found {
        Ok(found) => found,
        Err(error) => return Check::not(what, format!("{error:#}").replace('\n', " ")),
    };
    let differs = |(name, hash): (&String, &String)| match contents.get(name) {
        Some(known) if known == hash => None,
        Some(_) => Some(format!("{name} is another one")),
        None => Some(format!("{name} was no part of the run")),
    };
    let wrong: Vec<String> = found.iter().filter_map(differs).collect();
    Check::of(what, format!("{} files at {}", found.len(), place.display()), &wrong)
}

/// Weights and tokenizer.
#[cfg(feature = "torch")]
fn model(folder: &Path) -> Result<BTreeMap<String, String>> {
    let [model, tokenizer] = crate::model::checksums(folder)?;
    Ok(BTreeMap::from([("model".into(), model), ("tokenizer".into(), tokenizer)]))
}

#[cfg(not(feature = "torch"))]
fn model(_: &Path) -> Result<BTreeMap<String, String>> {
    anyhow::bail!("this ment was built without the feature `torch` and opens no checkpoint")
}
