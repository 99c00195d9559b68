//! The config of a run again, from its manifest.

use super::Places;
use crate::config::Config;
use crate::error::InputError;
use crate::manifest::Manifest;
use anyhow::Result;

/// The hash of the sentence encoder, where one took part.
pub(super) fn encoder(manifest: &Manifest) -> Option<&str> {
    let of_methods = manifest.identity.methods.values().find_map(|own| own["encoder"].as_str());
    manifest.identity.contents.get("encoder").map(String::as_str).or(of_methods)
}

/// The config of a run, of which the manifest holds everything but the places.
///
/// # Errors
/// If a place is not known, or the config of an older version is none any more.
pub(super) fn config(manifest: &Manifest, places: &Places) -> Result<Config> {
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
        InputError::new(format!("the config was written by an incompatible version ({error})"))
    })?;
    config.check().map_err(InputError::new)?;
    Ok(config)
}
