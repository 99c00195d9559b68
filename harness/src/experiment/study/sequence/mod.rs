//! `[sequence]`: many edits, one on top of the other. Do the first ones still hold when the last one is
//! made, and what becomes of everything else?

#[cfg(feature = "torch")]
mod group;
mod picture;
#[cfg(feature = "torch")]
mod run;
mod tables;

#[cfg(feature = "torch")]
pub use self::run::run;

use crate::config::Positive;
use crate::data::dataset::DatasetName;
use crate::edit::{Observation, Outcome, Patched};
use crate::records::manifest::Manifest;
use crate::records::store::journal;
use crate::table::{Table, export};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// `[sequence]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequence {
    /// Number of errors that are repaired, one after the other: the last wrong token of as many data, where
    /// most of the right text stands before it.
    pub count: Positive,
    /// After how many of them the model is read.
    pub readings: Vec<Positive>,
    /// Errors that a method repairs in one go, if it can (MEMIT, AlphaEdit); other methods repair one after the other.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub together: Positive,
    /// Texts that should not change; the default ones if left out.
    #[serde(default)]
    pub keep: Option<PathBuf>,
}

fn one() -> Positive {
    Positive(1)
}

/// One was there before the key was: studies without it stay what they are.
fn is_one(together: &Positive) -> bool {
    *together == one()
}

impl Sequence {
    /// End of the group of errors that begins with the error `first`, of at most `size`: the model is read after it, or
    /// it is full.
    #[cfg(feature = "torch")]
    fn group_end(&self, first: usize, size: usize) -> usize {
        let end = (first + size).min(self.count.0);
        let readings = self.readings.iter().map(|reading| reading.0);
        readings.filter(|&reading| reading > first).fold(end, usize::min)
    }

    /// Rejects contradictory keys.
    pub(super) fn check(&self) -> Result<(), String> {
        match self.readings.iter().find(|reading| reading.0 > self.count.0) {
            Some(late) => Err(format!(
                "sequence.readings: there is no error {}, as sequence.count = {}",
                late.0, self.count.0
            )),
            None => Ok(()),
        }
    }
}

/// A line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum SequenceStep {
    /// An error of the unedited model.
    Error {
        /// Data set.
        dataset: DatasetName,
        /// Index of the pair in its division.
        datum: usize,
        /// Position of the wrong token in the gold text.
        position: usize,
        /// Token that should be predicted, as text.
        target: String,
    },
    /// Attempt of a method on an error.
    Repaired(RepairStep),
    /// State of the model after some errors.
    Read(DriftReading),
}

/// Attempt of a method on an error, on top of all its edits before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RepairStep {
    /// Label of the method.
    pub method: String,
    /// Index of the error, from 0.
    pub error: usize,
    /// Outcome of the attempt.
    pub outcome: Outcome,
    /// Before the edit.
    pub before: Observation,
    /// After it; of a skipped one, what was reached.
    pub after: Observation,
    /// Neurons in the order of patching; of a skipped one, those tried.
    pub neurons: Vec<Patched>,
    /// Seconds of the phases.
    pub seconds: f64,
}

/// The model after some of a method's repairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftReading {
    /// Label of the method.
    pub method: String,
    /// After how many errors.
    pub after: usize,
    /// Number of those errors that were repaired.
    pub repaired: usize,
    /// Number of those repairs that still hold.
    pub held: usize,
    /// Perplexity of the kept texts, unedited and now.
    pub perplexity: (f64, f64),
    /// Positions of kept texts at which another token is predicted, and all.
    pub changed: (usize, usize),
}

/// Steps of a study, by method.
struct SequenceData<'a> {
    manifest: &'a Manifest,
    repaired: Vec<RepairStep>,
    readings: Vec<DriftReading>,
}

impl SequenceData<'_> {
    /// Share of the errors still present when a method met them that it had repaired by then.
    fn repaired(&self, reading: &DriftReading) -> Option<f64> {
        let met = self.repaired.iter().filter(|step| {
            step.method == reading.method
                && step.error < reading.after
                && step.outcome != Outcome::AlreadySolved
        });
        let met = met.count() as f64;
        (met > 0.0).then(|| reading.repaired as f64 / met)
    }

    fn methods(&self) -> impl Iterator<Item = &str> {
        self.manifest.identity.labels()
    }

    /// The readings of a method, in order.
    fn of(&self, method: &str) -> Vec<&DriftReading> {
        let mut own: Vec<&DriftReading> =
            self.readings.iter().filter(|reading| reading.method == method).collect();
        own.sort_by_key(|reading| reading.after);
        own
    }
}

/// Writes tables and picture of the study in `folder`.
pub(super) fn report(folder: &Path, manifest: &Manifest) -> Result<(Vec<Table>, Vec<PathBuf>)> {
    let (mut repaired, mut readings) = (Vec::new(), Vec::new());
    for step in journal::read::<SequenceStep>(folder)? {
        match step {
            SequenceStep::Error { .. } => {}
            SequenceStep::Repaired(step) => repaired.push(step),
            SequenceStep::Read(step) => readings.push(step),
        }
    }
    let measured = SequenceData { manifest, repaired, readings };
    let tables = vec![tables::drift(&measured)];
    let mut files = Vec::new();
    for table in &tables {
        files.extend(export::write(table, folder)?);
    }
    files.extend(picture::write(&measured, folder)?);
    Ok((tables, files))
}
