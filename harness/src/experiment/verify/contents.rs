//! Comparison of the model and data with those that the run was made with.

use super::{Check, Places};
use crate::config::ProbingConfig;
use crate::data::dataset::DatasetName;
use crate::experiment::check::probed;
#[cfg(feature = "torch")]
use crate::records::manifest::CHAT_TEMPLATE;
use crate::records::manifest::Manifest;
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::Path;

/// A check a place that the manifest names.
pub(super) fn checks(manifest: &Manifest, places: &Places) -> Vec<Check> {
    let contents = &manifest.identity.contents;
    let mut checks = Vec::new();
    for name in manifest.identity.datasets() {
        let files = |from: &Path| {
            let format = manifest.identity.format(name)?;
            let dataset = name.parse::<DatasetName>()?.load(format, from)?;
            let of = dataset.files.into_iter();
            Ok(of.map(|file| (format!("{name}/{}", file.name), file.sha256)).collect())
        };
        checks.push(compare("data", places.of(manifest, name), contents, files));
    }
    if manifest.identity.is_probing() {
        let files = |from: &Path| {
            let format = manifest.identity.probed_format()?;
            let settings = ProbingConfig { format, ..ProbingConfig::new(from.into()) };
            let of = probed(&settings)?.files.into_iter();
            Ok(of.map(|file| (format!("benchmark/{}", file.name), file.sha256)).collect())
        };
        checks.push(compare("benchmark", places.of(manifest, "benchmark"), contents, files));
    }
    checks.extend(checkpoints(manifest, places));
    checks
}

#[cfg(feature = "torch")]
fn checkpoints(manifest: &Manifest, places: &Places) -> Vec<Check> {
    let model = places.of(manifest, "model");
    let contents = &manifest.identity.contents;
    let has_chat = contents.contains_key(CHAT_TEMPLATE);
    let files = |folder: &Path| checkpoints::model(folder, has_chat);
    let mut checks = vec![compare("model", model, contents, files)];
    if let Some(hash) = manifest.identity.encoder() {
        let contents = BTreeMap::from([("encoder".to_string(), hash.to_string())]);
        let encoder = places.of(manifest, "encoder");
        checks.push(compare("encoder", encoder, &contents, checkpoints::encoder));
    }
    checks
}

#[cfg(not(feature = "torch"))]
fn checkpoints(_: &Manifest, _: &Places) -> Vec<Check> {
    vec![Check::not("model", "this ment was built without the feature `torch`")]
}

/// Compares the files at `place` with those that the run read.
fn compare(
    what: &'static str,
    place: Result<std::path::PathBuf>,
    contents: &BTreeMap<String, String>,
    files: impl Fn(&Path) -> Result<BTreeMap<String, String>>,
) -> Check {
    let place = match place {
        Ok(place) if place.exists() => place,
        Ok(place) => return Check::not(what, format!("{} is not there", place.display())),
        Err(error) => return Check::not(what, error.to_string()),
    };
    let found = match files(&place) {
        Ok(found) => found,
        Err(error) => {
            let error = format!("{error:#}").replace('\n', " ");
            return Check::of(what, "it cannot be read".into(), &[error]);
        }
    };
    let differs = |(name, hash): (&String, &String)| match contents.get(name) {
        Some(known) if known == hash => None,
        Some(_) => Some(format!("{name} differs")),
        None => Some(format!("{name} was not part of the run")),
    };
    let wrong: Vec<String> = found.iter().filter_map(differs).collect();
    Check::of(what, format!("{} files at {}", found.len(), place.display()), &wrong)
}

#[cfg(feature = "torch")]
mod checkpoints {
    use crate::model::chat::ChatTemplate;
    use crate::records::manifest::CHAT_TEMPLATE;
    use anyhow::Result;
    use std::collections::BTreeMap;
    use std::path::Path;

    /// Weights, tokenizer and, if prompts were put into it, chat template.
    pub(super) fn model(folder: &Path, has_chat: bool) -> Result<BTreeMap<String, String>> {
        let [model, tokenizer] = crate::model::checksums(folder)?;
        let mut found = BTreeMap::from([("model".into(), model), ("tokenizer".into(), tokenizer)]);
        if has_chat {
            found.insert(CHAT_TEMPLATE.into(), ChatTemplate::read(folder)?.sha256);
        }
        Ok(found)
    }

    /// The sentence encoder.
    pub(super) fn encoder(folder: &Path) -> Result<BTreeMap<String, String>> {
        Ok(BTreeMap::from([("encoder".into(), crate::experiment::retrieval::checksum(folder)?)]))
    }
}
