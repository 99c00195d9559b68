//! What a run is, and where it was made. The identity decides whether a folder may be continued;
//! the environment is for the reader.

use crate::config::Config;
use crate::record::FORMAT;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// `manifest.json` of a run folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// Hash of `identity`.
    pub run: String,
    /// All that determines the results.
    pub identity: Identity,
    /// Departures of model, data and prompts from the paper's text, for the reader of the tables.
    pub deviations: Vec<String>,
    /// Those of each method, by label, a clause each.
    #[serde(default)]
    pub method_deviations: BTreeMap<String, Vec<String>>,
    /// Where the run was made.
    pub environment: Environment,
}

/// All that determines the results of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The resolved config, without paths (contents count, not places) and methods.
    pub config: Value,
    /// The resolved settings of each method, by label, in the order of the tables. A run may be
    /// continued with others.
    #[serde(default)]
    pub methods: Map<String, Value>,
    /// `cpu` or `cuda`.
    pub device: String,
    /// SHA-256 of every file that took part: weights, tokenizer, encoder, data.
    pub contents: BTreeMap<String, String>,
}

/// Where a run was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Environment {
    /// Version of the harness.
    pub harness: String,
    /// Commit it was built from, `-dirty` where files differed; empty outside a checkout.
    pub commit: String,
    /// Version of libtorch.
    pub libtorch: String,
    /// Threads of one tensor operation.
    pub threads: usize,
    /// Whether f32 matrix products may have been rounded to TF32.
    #[serde(default)]
    pub tf32: bool,
    /// Memory budget, MiB; 0 where the run was made before there was one.
    #[serde(default)]
    pub memory_mib: usize,
    /// Operating system and architecture.
    pub platform: String,
}

impl Manifest {
    /// Adds the methods that only `other`, a manifest of the same run, knows. Those of `self` come
    /// first in the tables.
    pub fn absorb(&mut self, other: &Self) {
        for (label, settings) in &other.identity.methods {
            self.identity.methods.entry(label).or_insert_with(|| settings.clone());
        }
        for (label, clauses) in &other.method_deviations {
            self.method_deviations.entry(label.clone()).or_insert_with(|| clauses.clone());
        }
    }

    /// Every departure, a sentence each; those of several methods once.
    pub fn all_deviations(&self) -> Vec<String> {
        let mut clauses: Vec<(&str, Vec<&str>)> = Vec::new();
        for label in self.identity.methods.keys() {
            for clause in self.method_deviations.get(label).into_iter().flatten() {
                match clauses.iter_mut().find(|(known, _)| known == clause) {
                    Some((_, labels)) => labels.push(label),
                    None => clauses.push((clause, vec![label])),
                }
            }
        }
        let mut found = self.deviations.clone();
        found.extend(
            clauses.iter().map(|(clause, labels)| format!("{}: {clause}", labels.join("; "))),
        );
        found
    }
}

impl Identity {
    /// The identity of `config` run on `device` with `contents`.
    pub fn new(config: &Config, device: &str, contents: BTreeMap<String, String>) -> Self {
        let mut value = serde_json::to_value(config).expect("a config is plain data");
        strip_paths(&mut value);
        let keys = value.as_object_mut().expect("a config is a table");
        let mut methods = Map::new();
        for kind in METHODS {
            let Some(Value::Array(settings)) = keys.remove(kind) else { continue };
            for mut settings in settings {
                settings["kind"] = kind.into();
                let label = settings["label"].as_str().unwrap_or_default().to_string();
                methods.insert(label, settings);
            }
        }
        Self { config: value, methods, device: device.into(), contents }
    }

    /// The quota of neurons of every method, by label.
    pub fn quotas(&self) -> BTreeMap<String, f64> {
        let before = self.config["ment"].as_array().into_iter().flatten(); // format 1
        let methods = self.methods.values().chain(before);
        methods
            .filter_map(|method| {
                Some((method["label"].as_str()?.into(), method["quota"].as_f64()?))
            })
            .collect()
    }

    /// Short hash of all but the methods, 16 hex digits.
    pub fn hash(&self) -> String {
        short_hash(&(FORMAT, &self.config, &self.device, &self.contents))
    }

    /// Short hash of all that determines the trials of the method `label` but their places.
    pub fn trials_of(&self, label: &str) -> String {
        short_hash(&(self.hash(), &self.methods.get(label)))
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

/// The arrays of a config that hold methods, in the order of the tables.
const METHODS: [&str; 3] = ["no_edit", "kn", "ment"];

fn short_hash(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("plain data");
    format!("{:x}", Sha256::digest(text))[..16].to_string()
}

/// Paths name places of one machine (the contents are hashed instead), and its memory is its own.
fn strip_paths(config: &mut Value) {
    match config {
        Value::Object(map) => {
            for key in ["path", "from", "encoder", "cache", "description", "memory_mib"] {
                map.remove(key);
            }
            map.values_mut().for_each(strip_paths);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_paths),
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
