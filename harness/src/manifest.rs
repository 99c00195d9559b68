//! What a run is, and where it was made. The identity decides whether a folder may be continued;
//! the environment is for the reader.

use crate::config::Config;
use crate::record::FORMAT;
use serde::{Deserialize, Serialize};
use serde_json::Value;
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
    /// Departures from the paper's text, for the reader of the tables.
    pub deviations: Vec<String>,
    /// Where the run was made.
    pub environment: Environment,
}

/// All that determines the results of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The resolved config, without paths: contents count, not places.
    pub config: Value,
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

impl Identity {
    /// The identity of `config` run on `device` with `contents`.
    pub fn new(config: &Config, device: &str, contents: BTreeMap<String, String>) -> Self {
        let mut config = serde_json::to_value(config).expect("a config is plain data");
        strip_paths(&mut config);
        Self { config, device: device.into(), contents }
    }

    /// The quota of neurons of every method, by label.
    pub fn quotas(&self) -> BTreeMap<String, f64> {
        let methods = self.config["ment"].as_array().into_iter().flatten();
        methods
            .filter_map(|method| {
                Some((method["label"].as_str()?.into(), method["quota"].as_f64()?))
            })
            .collect()
    }

    /// Short hash, 16 hex digits.
    pub fn hash(&self) -> String {
        let text = serde_json::to_string(&(FORMAT, self)).expect("an identity is plain data");
        format!("{:x}", Sha256::digest(text))[..16].to_string()
    }

    /// The keys in which two identities differ, as `key: ours → theirs`.
    pub fn differences(&self, theirs: &Self) -> Vec<String> {
        let flat = |identity: &Self| {
            let mut out = BTreeMap::new();
            let value = serde_json::to_value(identity).expect("an identity is plain data");
            flatten(String::new(), &value, &mut out);
            out
        };
        let (ours, theirs) = (flat(self), flat(theirs));
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
