//! Identity of a run: everything that determines its results. The only place that reads the config as JSON.

use crate::config::{Config, Division, MethodKind};
use crate::data::corpus::Corpus;
use crate::data::dataset::FormatName;
use crate::error::InputError;
use crate::records::FORMAT;
use anyhow::Result;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// All that determines the results of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The resolved config, without paths (contents count, not places) and methods.
    pub(super) config: Value,
    /// The resolved settings of each method, by label, in the order of the tables. A run may be
    /// continued with others.
    #[serde(default)]
    pub(super) methods: Map<String, Value>,
    /// `cpu` or `cuda`.
    pub device: String,
    /// SHA-256 of every file that took part: weights, tokenizer, encoder, data.
    pub contents: BTreeMap<String, String>,
}

impl Identity {
    /// The identity of `config` run on `device` with `contents`. `encoder` is the hash of what finds
    /// demonstrations, which are the run's, and parallel prompts, which are a method's.
    pub fn new(
        config: &Config,
        device: &str,
        mut contents: BTreeMap<String, String>,
        encoder: Option<&str>,
    ) -> Self {
        let mut value = serde_json::to_value(config).expect("a config is plain data");
        strip(&mut value);
        let keys = value.as_object_mut().expect("a config is a table");
        let demonstrated = config.probing.is_none() && config.retrieval.demonstrations > 0;
        if let Some(encoder) = encoder.filter(|_| demonstrated) {
            contents.insert("encoder".into(), encoder.into());
        }
        for kind in MethodKind::ALL {
            keys.remove(kind.key());
        }
        let mut methods = Map::new();
        for method in &config.methods {
            let kind = method.kind();
            let mut settings = serde_json::to_value(method).expect("settings are plain data");
            strip(&mut settings);
            settings["kind"] = kind.key().into();
            if kind.needs_parallel_prompts() {
                settings["encoder"] = encoder.into();
            }
            methods.insert(method.label().clone(), settings);
        }
        Self { config: value, methods, device: device.into(), contents }
    }

    /// Adds the hash of the text that keys are estimated on to the settings of each method of `config` that needs
    /// one.
    ///
    /// # Errors
    /// If a text cannot be read.
    pub fn add_corpora(&mut self, config: &Config) -> Result<()> {
        for method in &config.methods {
            if let Some(keys) = method.keys() {
                let corpus = Corpus::read(keys.from.as_deref())?;
                self.methods[method.label()][CORPUS] = corpus.sha256.into();
            }
        }
        Ok(())
    }

    /// The labels of the methods, in the order of the tables.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.methods.keys().map(String::as_str)
    }

    /// True if the run has a method `label`.
    pub fn has_method(&self, label: &str) -> bool {
        self.methods.contains_key(label)
    }

    /// True if the method `label` is a control, which is compared with others and is never the best.
    pub fn is_control(&self, label: &str) -> bool {
        self.methods.get(label).is_some_and(|settings| settings["kind"] == MethodKind::NoEdit.key())
    }

    /// True if the method `label` is MENT, under whatever settings.
    pub fn is_ment(&self, label: &str) -> bool {
        self.methods.get(label).is_some_and(|settings| settings["kind"] == MethodKind::Ment.key())
    }

    /// The labels of the methods whose edits stay within a datum (`across_errors = "keep"`).
    pub fn keeping(&self) -> impl Iterator<Item = &str> {
        let keeping = self.settings_of_all().filter(|own| own["across_errors"] == "keep");
        keeping.filter_map(|own| own["label"].as_str())
    }

    /// The settings of every method. A manifest of format 1 has them in its config.
    fn settings_of_all(&self) -> impl Iterator<Item = &Value> {
        let before = self.config["ment"].as_array().into_iter().flatten();
        self.methods.values().chain(before)
    }

    /// The names of the data sets.
    pub fn datasets(&self) -> impl Iterator<Item = &str> {
        self.dataset_settings().filter_map(|dataset| dataset["name"].as_str())
    }

    /// The division that is prompted of the data set `name`; `None` if it is not one of the run.
    pub fn division(&self, name: &str) -> Option<Division> {
        let own = self.dataset_settings().find(|dataset| dataset["name"] == name)?;
        Division::deserialize(&own["division"]).ok()
    }

    /// The format that the config names for the data set `name`, if it names one.
    ///
    /// # Errors
    /// If this version does not know the format.
    pub fn format(&self, name: &str) -> Result<Option<FormatName>> {
        format_of(self.dataset_settings().find(|dataset| dataset["name"] == name))
    }

    /// The format that the config names for the rows that are probed, likewise.
    ///
    /// # Errors
    /// If this version does not know the format.
    pub fn probed_format(&self) -> Result<Option<FormatName>> {
        format_of(self.config.get("probing"))
    }

    fn dataset_settings(&self) -> impl Iterator<Item = &Value> {
        self.config["dataset"].as_array().into_iter().flatten()
    }

    /// True if this is the probing experiment.
    pub fn is_probing(&self) -> bool {
        self.config["probing"].is_object()
    }

    /// The hash of the sentence encoder, where one took part.
    pub fn encoder(&self) -> Option<&str> {
        let of_methods = self.methods.values().find_map(|own| own["encoder"].as_str());
        self.contents.get("encoder").map(String::as_str).or(of_methods)
    }

    /// The settings of a study that stand under `key`; `None` where there are none, or they are not
    /// understood.
    pub fn study<S: DeserializeOwned>(&self, key: &str) -> Option<S> {
        S::deserialize(self.config.get(key)?).ok()
    }

    /// Adds the settings of a study under `key`, without `keep`, which is a place (its content is hashed),
    /// and the tokens that end a text.
    #[cfg(feature = "torch")]
    pub(crate) fn add_study(&mut self, key: &str, settings: &impl Serialize, ends: &[u32]) {
        let mut settings = serde_json::to_value(settings).expect("settings are plain data");
        settings.as_object_mut().expect("settings are a table").remove("keep");
        self.config[key] = settings;
        self.config["ends"] = ends.into();
    }

    /// The config that a run with this identity has, with the places that `place` names and `memory_mib`,
    /// if that is known.
    ///
    /// # Errors
    /// If a place is unknown, or the config was written by an incompatible version.
    pub fn config(
        &self,
        place: impl Fn(&str) -> Result<String>,
        memory_mib: Option<usize>,
    ) -> Result<Config> {
        let mut value = self.config.clone();
        value["model"]["path"] = place("model")?.into();
        if self.encoder().is_some() {
            value["retrieval"]["encoder"] = place("encoder")?.into();
        }
        for dataset in value["dataset"].as_array_mut().into_iter().flatten() {
            let name = dataset["name"].as_str().unwrap_or_default().to_string();
            dataset["from"] = place(&name)?.into();
        }
        if self.is_probing() {
            value["probing"]["from"] = place("benchmark")?.into();
            value["probing"]["cases"] = "all".into();
        }
        if let Some(memory_mib) = memory_mib {
            value["execution"]["memory_mib"] = memory_mib.into();
        }
        for settings in self.methods.values() {
            let mut settings = settings.clone();
            let keys = settings.as_object_mut().expect("settings are a table");
            let kind = keys.shift_remove("kind").unwrap_or_default();
            keys.shift_remove("encoder");
            if let Some(corpus) = keys.shift_remove(CORPUS)
                && corpus != Corpus::read(None)?.sha256
            {
                return Err(InputError::new(format!(
                    "`{}` was run with a text of its own for keys, whose place no record has",
                    keys["label"].as_str().unwrap_or_default()
                )));
            }
            let kind = kind.as_str().unwrap_or_default();
            add_absent(kind, keys);
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

    /// The label of the unedited model.
    pub fn model(&self) -> &str {
        self.config["model"]["label"].as_str().unwrap_or_default()
    }

    /// The first MENT of the tables, which variants are compared with.
    pub fn first_ment(&self) -> Option<String> {
        let ment = |(_, settings): &(&String, &Value)| settings["kind"] == MethodKind::Ment.key();
        self.methods.iter().find(ment).map(|(label, _)| label.clone())
    }

    /// The quota of neurons of every method, by label; nothing for one whose edits are no patches of neurons.
    pub fn quotas(&self) -> BTreeMap<String, Option<f64>> {
        self.settings_of_all()
            .filter_map(|method| Some((method["label"].as_str()?.into(), method["quota"].as_f64())))
            .collect()
    }

    /// Short hash of all but the methods, 16 hex digits.
    pub fn hash(&self) -> String {
        short_hash(&(FORMAT, &self.config, &self.device, &self.contents))
    }

    /// Short hash of everything that determines the trials of a method but their places, by label.
    pub fn settings(&self) -> BTreeMap<String, String> {
        let hash = self.hash();
        let of = |settings: &Value| short_hash(&(&hash, &Some(settings)));
        self.methods.iter().map(|(label, settings)| (label.clone(), of(settings))).collect()
    }

    /// The keys in which two identities differ, as `key: theirs → ours`. Methods that only one of
    /// them has are no difference.
    pub fn differences(&self, theirs: &Self) -> Vec<String> {
        let flat = |identity: &Self, other: &Self| {
            let mut identity = identity.clone();
            identity.methods.retain(|label, _| other.methods.contains_key(label));
            let mut out = BTreeMap::new();
            let value = serde_json::to_value(identity).expect("an identity is plain data");
            flatten(String::new(), &value, &mut out);
            out
        };
        let (ours, theirs) = (flat(self, theirs), flat(theirs, self));
        let mut keys: Vec<&String> = ours.keys().chain(theirs.keys()).collect();
        keys.sort();
        keys.dedup();
        let show = |side: &BTreeMap<String, String>, key: &String| {
            side.get(key).cloned().unwrap_or_else(|| "(absent)".into())
        };
        keys.into_iter()
            .filter(|key| ours.get(*key) != theirs.get(*key))
            .map(|key| format!("{key}: {} → {}", show(&theirs, key), show(&ours, key)))
            .collect()
    }
}

/// Key of the hash of a text that keys are estimated on.
const CORPUS: &str = "corpus";

/// The format that a table of a config names, if it names one.
fn format_of(settings: Option<&Value>) -> Result<Option<FormatName>> {
    let format = settings.and_then(|own| own.get("format"));
    let format = format.map(FormatName::deserialize).transpose();
    format.map_err(|error| InputError::new(error.to_string()))
}

/// A short hash of `config`, 16 hex digits, that no order of keys changes, no place on disk and nothing else
/// that is not part of the identity; except keys that are `set` on purpose, as lines of `key = value`.
pub fn id(config: &Config, set: &[String]) -> String {
    let is_set = |key: &str| {
        let keys = set.iter().filter_map(|line| line.split('=').next());
        keys.flat_map(|own| own.split('.')).any(|part| part.trim().trim_matches('"') == key)
    };
    let ignored: Vec<&str> =
        PLACES.into_iter().chain(NOT_IDENTITY).filter(|key| !is_set(key)).collect();
    let mut value = serde_json::to_value(config).expect("a config is plain data");
    remove(&mut value, &ignored);
    short_hash(&value)
}

/// Keys that say where something lies, or what it is for.
const PLACES: [&str; 5] = ["path", "from", "encoder", "cache", "description"];

/// Other keys that change no record.
const NOT_IDENTITY: [&str; 7] =
    ["memory_mib", "cases", "rows", "rank_cap", "rank_rule", "strict", "free"];

/// Adds to the settings of a method the keys that manifests leave out and whose default is another one
/// now: a run made before `repeat` or `positions` existed was made with these values.
fn add_absent(kind: &str, settings: &mut Map<String, Value>) {
    if kind == MethodKind::Ment.key() {
        settings.entry("repeat").or_insert(Value::Null);
    } else if kind == MethodKind::Kn.key() {
        settings.entry("positions").or_insert("all".into());
    }
}

/// Hash of the value, independent of the order in which its keys are declared.
fn short_hash(value: &impl Serialize) -> String {
    let mut value = serde_json::to_value(value).expect("plain data");
    value.sort_all_objects();
    format!("{:x}", Sha256::digest(value.to_string()))[..16].to_string()
}

/// Paths name places of one machine (the contents are hashed instead), and its memory is its own. How
/// many of a benchmark's cases are patched, and how their ranks are read, changes none of them.
fn strip(config: &mut Value) {
    remove(config, &PLACES);
    remove(config, &NOT_IDENTITY);
}

fn remove(config: &mut Value, keys: &[&str]) {
    match config {
        Value::Object(map) => {
            for key in keys {
                map.remove(*key);
            }
            map.values_mut().for_each(|value| remove(value, keys));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| remove(value, keys)),
        _ => {}
    }
}

fn flatten(key: String, value: &Value, out: &mut BTreeMap<String, String>) {
    let join = |part: &str| if key.is_empty() { part.into() } else { format!("{key}.{part}") };
    match value {
        Value::Object(map) => {
            for (part, value) in map {
                flatten(join(part), value, out);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                flatten(join(&index.to_string()), value, out);
            }
        }
        leaf => {
            out.insert(key, leaf.to_string());
        }
    }
}
