//! What a run is, and where it was made. The identity decides whether a folder may be continued;
//! the environment is for the reader.

mod session;

pub use self::session::{OUTSIDE, Session, command, places};

use crate::config::{Config, MethodKind};
use crate::record::{FORMAT, Record};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashSet};

/// `manifest.json` of a run folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Where it was read from: model, encoder, benchmark, data sets by name. Places outside the folder that
    /// the command was run in by their last part.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub places: BTreeMap<String, String>,
    /// The config file, word by word, as it was when the run was begun.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub config: String,
    /// Pairs that demonstrations and parallel prompts are retrieved from, by name of the data set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pairs: BTreeMap<String, usize>,
    /// Of the probing experiment: what its tables are made with, as last said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probing: Option<Reading>,
    /// Where the run was begun.
    pub environment: Environment,
    /// Where methods were begun that were added later, by label.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub added_in: BTreeMap<String, Environment>,
    /// The processes that worked on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<Session>,
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

/// How records of the probing experiment are read; no part of what was measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Cases of the whole benchmark.
    pub cases: usize,
    /// What a rank counts as at most.
    pub rank_cap: u32,
}

/// Where a run was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// The processor, as it calls itself; empty where it was not recorded.
    #[serde(default)]
    pub processor: String,
    /// The graphics processor and its driver, as they call themselves; empty on a CPU.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub accelerator: String,
}

impl Environment {
    /// Whether times taken in both can be compared.
    pub fn keeps_time_with(&self, other: &Self) -> bool {
        (self.threads, self.tf32, &self.platform, &self.processor, &self.accelerator)
            == (other.threads, other.tf32, &other.platform, &other.processor, &other.accelerator)
    }
}

impl Manifest {
    /// This manifest with what `before`, that of the run it continues, knows besides: its methods
    /// follow in the tables, and where it was begun.
    pub fn continuing(&self, before: &Self) -> Self {
        let mut whole = self.clone();
        whole.environment = before.environment.clone();
        whole.added_in = before.added_in.clone();
        whole.sessions = before.sessions.clone();
        if !before.config.is_empty() {
            whole.config.clone_from(&before.config);
        }
        for label in self.identity.methods.keys() {
            let new = !before.identity.methods.contains_key(label);
            if new && self.environment != before.environment {
                whole.added_in.insert(label.clone(), self.environment.clone());
            }
        }
        // The tables keep their order, unless this process has all methods and another one.
        let own = &self.identity.methods;
        if before.identity.methods.keys().any(|label| !own.contains_key(label)) {
            whole.identity.methods.clone_from(&before.identity.methods);
            for (label, settings) in own {
                whole.identity.methods.entry(label).or_insert_with(|| settings.clone());
            }
        }
        for (label, clauses) in &before.method_deviations {
            whole.method_deviations.entry(label.clone()).or_insert_with(|| clauses.clone());
        }
        whole
    }

    /// Refuses records of a data set that it does not name.
    ///
    /// # Errors
    /// If there is one.
    pub(crate) fn check_datasets(&self, records: &[Record]) -> Result<(), String> {
        let known: HashSet<&str> = self.identity.datasets().collect();
        let stray = records.iter().find_map(|record| {
            let dataset = record.dataset().filter(|name| !known.contains(name.as_str()))?;
            Some((record.key(), dataset))
        });
        match stray {
            None => Ok(()),
            Some((key, dataset)) => Err(format!(
                "{key} is of the data set `{dataset}`, which the manifest does not name; take its line out"
            )),
        }
    }

    /// Whether the times of two methods can be compared.
    pub fn keep_time(&self, a: &str, b: &str) -> bool {
        let of = |label: &str| self.added_in.get(label).unwrap_or(&self.environment);
        of(a).keeps_time_with(of(b))
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
        let mut methods = Map::new();
        for kind in MethodKind::ALL {
            let Some(Value::Array(settings)) = keys.remove(kind.key()) else { continue };
            for mut settings in settings {
                settings["kind"] = kind.key().into();
                if kind.needs_parallel_prompts() {
                    settings["encoder"] = encoder.into();
                }
                let label = settings["label"].as_str().unwrap_or_default().to_string();
                methods.insert(label, settings);
            }
        }
        Self { config: value, methods, device: device.into(), contents }
    }

    /// Whether the method `label` is a control, which is compared with and does not compete.
    pub fn is_control(&self, label: &str) -> bool {
        self.methods.get(label).is_some_and(|settings| settings["kind"] == MethodKind::NoEdit.key())
    }

    /// The names of the data sets.
    pub fn datasets(&self) -> impl Iterator<Item = &str> {
        let sets = self.config["dataset"].as_array().into_iter().flatten();
        sets.filter_map(|dataset| dataset["name"].as_str())
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

    /// By label, a short hash of all that determines the trials of a method but their places.
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

/// A short hash of `config`, 16 hex digits, that no order of keys changes, no place on disk and nothing else
/// that is no part of what a run is, but for what is `set` on purpose: lines of `key = value`.
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

/// Keys besides that change no record.
const NOT_IDENTITY: [&str; 4] = ["memory_mib", "cases", "rank_cap", "strict"];

/// Of the value, not of the order in which its keys happen to be declared.
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
