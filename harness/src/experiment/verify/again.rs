//! Trials run again. A copy of the run without them is continued as any other run is.

use super::{Check, CheckOutcome, Places};
use crate::config::{Config, Positive};
use crate::edit::Phases;
use crate::experiment::run::{self, RunOptions};
use crate::records::store::{self, Run, Store};
use crate::records::{Record, view};
use anyhow::{Context, Result};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;

/// Numbers that differ by more were not computed by the same arithmetic.
const TOLERANCE: f64 = 1e-4;

/// The part of the memory that trials are run in to see what other batches change.
const LESS: usize = 8;

pub(super) fn again(run: &Run, places: &Places, count: usize, seed: u64) -> Result<Vec<Check>> {
    let mut config = places.config(&run.manifest)?;
    let chosen = choose(&run.records, count, seed);
    let found = compare(run, &chosen, &remeasure(run, &config, &chosen)?);
    let same = format!("{} trials run again: {}", chosen.len(), found.text());
    let again = Check::of("again", same, &found.wrong);
    let memory = config.execution.memory_mib.0;
    let less = (memory / LESS).max(1);
    config.execution.memory_mib = Positive(less);
    let found = compare(run, &chosen, &remeasure(run, &config, &chosen)?);
    let wrong = if found.wrong.is_empty() { String::new() } else { found.wrong.join("; ") + "; " };
    let text = format!(
        "the same in {less} MiB instead of {memory}, other batches: {wrong}{}",
        found.text()
    );
    Ok(vec![again, Check { what: "batches", outcome: CheckOutcome::Told, text }])
}

/// The `chosen` trials, measured again.
fn remeasure(
    run: &Run,
    config: &Config,
    chosen: &HashSet<String>,
) -> Result<HashMap<String, Record>> {
    let scratch = tempfile::tempdir().context("no folder for temporary files")?;
    let mut manifest = run.manifest.clone();
    manifest.environment.commit = env!("MENT_COMMIT").into(); // no news that it is another one
    let mut store = Store::scratch(scratch.path(), &manifest)?;
    for record in run.records.iter().filter(|record| !chosen.contains(&record.key().to_string())) {
        store.append(record)?;
    }
    drop(store);
    let device = if manifest.identity.device == "cuda" { "cuda:0" } else { "cpu" };
    let threads = NonZeroUsize::new(manifest.environment.threads);
    // Of a run that is not whole, nothing else is made up for.
    let about = run.records.iter().filter(|record| chosen.contains(&record.key().to_string()));
    let about: HashSet<String> = about.filter_map(view::about).collect();
    let (out, written, only) = (scratch.path(), manifest.config.as_str(), Some(&about));
    run::run(config, &RunOptions { device, threads, shard: None, out, written, only })
        .context("its trials cannot be repeated here")?;
    let records = store::read(scratch.path())?.records.into_iter();
    Ok(records.map(|record| (record.key().to_string(), record)).collect())
}

/// Comparison of repeated trials with their records.
#[derive(Default)]
struct Comparison {
    same: usize,
    /// Trials with the same neurons, tokens and ranks, but not equal bit for bit.
    alike: usize,
    /// Largest deviation of a fraction among those.
    furthest: f64,
    wrong: Vec<String>,
}

impl Comparison {
    fn text(&self) -> String {
        let Self { same, alike, furthest, .. } = self;
        let alike = match alike {
            0 => String::new(),
            alike => {
                format!(", {alike} but for fractions that differ by {furthest:.1e} at most")
            }
        };
        format!("{same} bit for bit the same{alike}")
    }
}

fn compare(run: &Run, chosen: &HashSet<String>, measured: &HashMap<String, Record>) -> Comparison {
    let mut found = Comparison::default();
    for record in &run.records {
        let key = record.key().to_string();
        if !chosen.contains(&key) {
            continue;
        }
        let Some(other) = measured.get(&key) else {
            found.wrong.push(format!("{key} was not measured again"));
            continue;
        };
        if timeless(record) == timeless(other) {
            found.same += 1;
            continue;
        }
        let mut apart = Apart::default();
        apart.compare("", &plain(record), &plain(other));
        match apart {
            Apart { differs: Some(key_of), .. } => {
                found.wrong.push(format!("{key} differs in{key_of}"));
            }
            Apart { furthest, .. } if furthest > TOLERANCE => {
                found.wrong.push(format!("{key}: a number differs by {furthest:.1e}"));
            }
            Apart { furthest, .. } => {
                found.alike += 1;
                found.furthest = found.furthest.max(furthest);
            }
        }
    }
    found
}

/// The keys of `count` trials, or of all if there are fewer.
fn choose(records: &[Record], count: usize, seed: u64) -> HashSet<String> {
    let trials = records.iter().filter(|record| record.trial().is_some());
    let mut keys: Vec<String> = trials.map(|record| record.key().to_string()).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut chosen = HashSet::new();
    while chosen.len() < count && !keys.is_empty() {
        let place = (rng.next_u64() % keys.len() as u64) as usize;
        chosen.insert(keys.swap_remove(place));
    }
    chosen
}

/// The record without what a clock said.
fn timeless(record: &Record) -> Record {
    let mut record = record.clone();
    match &mut record {
        Record::Trial(own) => own.trial.seconds = Phases::default(),
        Record::Probe(own) => own.trial.seconds = Phases::default(),
        Record::Datum(datum) => datum.seconds = 0.0,
        Record::Case(_) | Record::Prediction(_) | Record::Free(_) => {}
    }
    record
}

fn plain(record: &Record) -> Value {
    serde_json::to_value(timeless(record)).expect("a record is plain data")
}

/// Deviation of two records.
#[derive(Default)]
struct Apart {
    /// Largest deviation of two fractions, relative to them where they are above 1.
    furthest: f64,
    /// The first that differs of all else: outcomes, neurons, tokens, ranks.
    differs: Option<String>,
}

impl Apart {
    fn compare(&mut self, key: &str, own: &Value, other: &Value) {
        match (own, other) {
            (Value::Object(own), Value::Object(other)) if own.len() == other.len() => {
                for (name, value) in own {
                    let key = format!("{key} {name}");
                    self.compare(&key, value, other.get(name).unwrap_or(&Value::Null));
                }
            }
            (Value::Array(own), Value::Array(other)) if own.len() == other.len() => {
                own.iter().zip(other).for_each(|(own, other)| self.compare(key, own, other));
            }
            (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
                let (a, b) = (a.as_f64().unwrap_or(0.0), b.as_f64().unwrap_or(0.0));
                let apart = (a - b).abs() / a.abs().max(b.abs()).max(1.0);
                self.furthest = self.furthest.max(apart);
            }
            (own, other) if own == other => {}
            _ => {
                self.differs.get_or_insert_with(|| key.into());
            }
        }
    }
}
