//! A benchmark of generalization and specificity (paper, III-D and Table II): types of subtypes of
//! samples. All samples of a subtype go on with one token, its argmax token; an edit that puts a
//! target token in its place in one sample should carry over to the others, and not to the samples
//! of other subtypes. Rows of a data set that name prompts beside them make one too (`rows.rs`).

mod load;
mod python;
mod rows;

pub(crate) use self::python::first_error;

use crate::data::dataset::{Pair, SourceFile};

/// Name of the mean over all types; no type or subtype may have it.
pub const OVERALL: &str = "overall";

/// A benchmark. One that is loaded is complete: every type has as many subtypes, every subtype as many
/// samples and targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Benchmark {
    /// Name of the benchmark.
    pub name: String,
    /// Version of its data.
    pub version: String,
    /// Types, in the order of the tables. Of rows, one entry a row, all of one name: edits are probed within
    /// an entry.
    pub types: Vec<String>,
    /// Subtypes, type by type.
    pub subtypes: Vec<Subtype>,
    /// The files read.
    pub files: Vec<SourceFile>,
    /// The rows that it is made of; `None` where it declares its tokens.
    pub rows: Option<Rows>,
}

/// Rows of a data set with the prompts beside them. Each row is a subtype: its first sample is the pair, which
/// is patched, the others are the related prompts. Another subtype of the same entry has the unrelated ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    /// Rows that are patched.
    pub rows: usize,
    /// Their related prompts.
    pub related: usize,
    /// Their unrelated prompts.
    pub unrelated: usize,
}

/// One property of code, as one row of Table II.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subtype {
    /// Index of its type.
    pub of: usize,
    /// Name of the subtype.
    pub name: String,
    /// Argmax token that every sample continues with; blank of rows, where it is what the model predicts.
    pub argmax: String,
    /// Tokens that edits put in its place. Of a row, the one is its output, of which an edit changes the first
    /// token that the model gets wrong; of unrelated prompts there are none.
    pub targets: Vec<String>,
    /// Input-output pairs that open every prompt, in this order.
    pub demonstrations: Vec<Pair>,
    /// The samples.
    pub samples: Vec<Sample>,
    /// Number of samples that may be patched, from the first on; the others are only probed.
    pub patched: usize,
}

/// Code up to the argmax token, with the intent it serves, and the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Purpose of the code.
    pub intent: String,
    /// The code before the argmax token.
    pub before: String,
    /// The code after it.
    pub after: String,
    /// Output wanted after the intent, of rows whose data say it.
    pub output: Option<String>,
}

/// The place of a sample in its benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Index of the subtype.
    pub subtype: usize,
    /// Index of the sample in it.
    pub sample: usize,
}

impl Benchmark {
    /// All samples of a type, subtype by subtype.
    pub fn of_type(&self, index: usize) -> impl Iterator<Item = Place> + '_ {
        let subtypes = self.subtypes.iter().enumerate().filter(move |(_, s)| s.of == index);
        subtypes.flat_map(|(subtype, s)| {
            (0..s.samples.len()).map(move |sample| Place { subtype, sample })
        })
    }

    /// G: the other samples of the same subtype.
    pub fn related(&self, place: Place) -> impl Iterator<Item = Place> + '_ {
        let others =
            (0..self.subtypes[place.subtype].samples.len()).filter(move |&s| s != place.sample);
        others.map(move |sample| Place { sample, ..place })
    }

    /// S: the samples of the other subtypes of the same type.
    pub fn unrelated(&self, place: Place) -> impl Iterator<Item = Place> + '_ {
        self.of_type(self.type_of(place)).filter(move |other| other.subtype != place.subtype)
    }

    /// Type and name of each subtype, in order.
    pub fn names(&self) -> Vec<(String, String)> {
        let names = self.subtypes.iter();
        names.map(|subtype| (self.types[subtype.of].clone(), subtype.name.clone())).collect()
    }

    /// Index of the type of the sample at `place`.
    pub fn type_of(&self, place: Place) -> usize {
        self.subtypes[place.subtype].of
    }

    /// The sample at `place`.
    pub fn sample(&self, place: Place) -> &Sample {
        &self.subtypes[place.subtype].samples[place.sample]
    }

    /// Cases: a sample with a target.
    pub fn cases(&self) -> usize {
        self.subtypes.iter().map(|s| s.patched * s.targets.len()).sum()
    }
}
