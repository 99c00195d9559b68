//! Manifest of a run: its identity, which decides whether a folder may be continued, and its environment,
//! which is for the reader.

mod headings;
mod identity;
mod session;

pub use self::headings::Headings;
pub use self::identity::{Identity, id};

/// Name of the chat template among the contents of a run whose prompts are conversations.
#[cfg(feature = "torch")]
pub(crate) const CHAT_TEMPLATE: &str = "chat_template";

pub use self::session::{OUTSIDE, Session, command, places};

use crate::config::RankRule;
use crate::records::Record;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};

/// `manifest.json` of a run folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`](crate::records::FORMAT) of the writer.
    pub format: u32,
    /// Hash of `identity`.
    pub run: String,
    /// All that determines the results.
    pub identity: Identity,
    /// Departures of model, data and prompts from the paper's text, for the reader of the tables.
    pub deviations: Vec<String>,
    /// Departures of each method, by label, a clause each.
    #[serde(default)]
    pub method_deviations: BTreeMap<String, Vec<String>>,
    /// Places it was read from: model, encoder, benchmark, data sets by name. Of places outside the folder
    /// that the command was run in, only the last part.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub places: BTreeMap<String, String>,
    /// The config file, verbatim, as it was when the run was begun.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub config: String,
    /// Pairs that demonstrations and parallel prompts are retrieved from, by name of the data set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pairs: BTreeMap<String, usize>,
    /// Reading of the probing experiment for its tables, as last configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probing: Option<ProbingReading>,
    /// Environment in which the run was begun.
    pub environment: Environment,
    /// Environments of methods that were added later, by label.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub added_in: BTreeMap<String, Environment>,
    /// The processes that worked on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<Session>,
}

/// Reading of the records of the probing experiment; not part of the measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbingReading {
    /// Cases of the whole benchmark.
    pub cases: usize,
    /// The largest rank that counts.
    pub rank_cap: u32,
    /// Treatment of larger ranks.
    #[serde(default)]
    pub rank_rule: RankRule,
    /// Type and name of each subtype, in the order of the benchmark; empty in older manifests. It tells
    /// which subtype an unrelated probe is of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subtypes: Vec<(String, String)>,
    /// Description of the rows, if the benchmark is made of rows of a data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<String>,
}

/// Environment of a run.
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
    /// True if f32 matrix products may have been rounded to TF32.
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
    /// True if times taken in both can be compared.
    pub fn keeps_time_with(&self, other: &Self) -> bool {
        (self.threads, self.tf32, &self.platform, &self.processor, &self.accelerator)
            == (other.threads, other.tf32, &other.platform, &other.processor, &other.accelerator)
    }
}

impl Manifest {
    /// This manifest combined with `before`, that of the run it continues: its methods
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
                "{key} is of the data set `{dataset}`, which the manifest does not name; remove its line"
            )),
        }
    }

    /// True if the times of two methods can be compared.
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
        let headings = self.identity.headings();
        let own = self.deviations.iter().map(|sentence| headings.in_sentence(sentence));
        let mut found: Vec<String> = own.collect();
        found.extend(
            clauses.iter().map(|(clause, labels)| format!("{}: {clause}", labels.join("; "))),
        );
        found
    }
}
