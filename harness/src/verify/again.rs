//! Trials run again. A copy of the run without them is continued as any other run is.

use super::{Check, Places, config};
use crate::record::{Phases, Record};
use crate::run::{self, Place};
use crate::store::{self, Run, Store};
use crate::trial::Trial;
use anyhow::{Context, Result};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::path::Path;

/// Probabilities that differ by more were not computed by the same arithmetic.
const TOLERANCE: f64 = 1e-4;

pub(super) fn again(folder: &Path, places: &Places, count: usize, seed: u64) -> Result<Vec<Check>> {
    let Run { manifest, records, .. } = store::read(folder)?;
    let config = config(&manifest, places)?;
    let chosen = choose(&records, count, seed);
    let scratch = tempfile::tempdir().context("no folder for temporary files")?;
    let mut without = manifest.clone();
    without.sessions.clear();
    let (mut store, _) = Store::open(scratch.path(), &without, None)?;
    for record in records.iter().filter(|record| !chosen.contains(&record.key().to_string())) {
        store.append(record)?;
    }
    drop(store);
    let device = if manifest.identity.device == "cuda" { "cuda:0" } else { "cpu" };
    let threads = NonZeroUsize::new(manifest.environment.threads);
    let written = &manifest.config;
    run::run(&config, &Place { device, threads, shard: None, out: scratch.path(), written })?;
    let measured = store::read(scratch.path())?.records;
    let measured: HashMap<String, &Record> =
        measured.iter().map(|record| (record.key().to_string(), record)).collect();
    let mut same = 0;
    let (mut furthest, mut found) = (0.0_f64, Vec::new());
    for record in records.iter().filter(|record| chosen.contains(&record.key().to_string())) {
        let key = record.key().to_string();
        let Some(other) = measured.get(&key) else {
            found.push(format!("{key} was not measured again"));
            continue;
        };
        if timeless(record) == timeless(other) {
            same += 1;
            continue;
        }
        let distance = distance(record, other);
        furthest = furthest.max(distance.unwrap_or(0.0));
        match distance {
            None => found.push(format!("{key} ends otherwise")),
            Some(distance) if distance > TOLERANCE => {
                found.push(format!("{key}: a probability differs by {distance:.1e}"));
            }
            Some(_) => {}
        }
    }
    let rest = match chosen.len() - same {
        0 => String::new(),
        rest => format!(
            ", {rest} end alike, with probabilities that differ by {furthest:.1e} at most: prompts were \
             run in other batches, or on another machine"
        ),
    };
    let of = format!("{} trials run again: {same} bit for bit the same{rest}", chosen.len());
    Ok(vec![Check::of("again", of, &found)])
}

/// The keys of `count` trials, or of all if there are fewer.
fn choose(records: &[Record], count: usize, seed: u64) -> HashSet<String> {
    let trials = records.iter().filter(|record| Trial::of(record).is_some());
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
        Record::Trial(trial) => trial.seconds = Phases::default(),
        Record::Patch(patch) => patch.seconds = Phases::default(),
        Record::Datum(datum) => datum.seconds = 0.0,
        Record::Case(_) | Record::Prediction(_) => {}
    }
    record
}

/// How far the probabilities of two trials lie apart; `None` if they chose other neurons, or ended
/// otherwise.
fn distance(record: &Record, other: &Record) -> Option<f64> {
    let (own, other) = (Trial::of(record)?, Trial::of(other)?);
    let neurons =
        |trial: &Trial<'_>| -> Vec<_> { trial.neurons.iter().map(|n| n.neuron).collect() };
    let alike = own.outcome == other.outcome && neurons(&own) == neurons(&other);
    let apart = |a: f64, b: f64| (a - b).abs();
    alike.then(|| {
        apart(own.after.target_probability, other.after.target_probability)
            .max(apart(own.before.target_probability, other.before.target_probability))
    })
}
