//! Edits that change too much on kept texts, and are refused.

use crate::edit::Edit;
use crate::model::Loaded;
use crate::own_model::kept::KeptTexts;
use crate::own_model::kept::change::SetChange;
use crate::own_model::kept::source::Source;
use anyhow::Result;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// An edit that was not made, as it changes too much alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Refused {
    /// Name of the request.
    pub name: String,
    /// Set of texts.
    pub set: String,
    /// Share of the positions of the set at which it changes the prediction.
    pub changed: f64,
}

/// A set of kept texts, with its name and the SHA-256 of the texts.
pub struct NamedTexts {
    name: String,
    sha256: String,
    texts: KeptTexts,
}

impl NamedTexts {
    /// Reads the sets that `named` name, or the texts of this project if there is none.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn read(named: &[PathBuf], loaded: &Loaded) -> Result<Vec<Self>> {
        let one = |named: Option<&Path>| {
            let source = Source::new(named);
            let (name, sha256) = (source.name().to_string(), source.sha256()?);
            Ok(Self { name, sha256, texts: KeptTexts::read(named, loaded)? })
        };
        if named.is_empty() {
            return Ok(vec![one(None)?]);
        }
        named.iter().map(|named| one(Some(named))).collect()
    }
}

/// Measures `edits`, with the names of their requests, on `sets`, and puts none in the place of those that change more than
/// `bound` of the predictions of a set alone.
///
/// # Errors
/// If libtorch fails, or the user stops.
pub fn hold(
    loaded: &Loaded,
    sets: &[NamedTexts],
    (names, edits): (&[&str], &mut [Edit]),
    bound: f64,
) -> Result<(Vec<SetChange>, Vec<Refused>)> {
    let measure = |edits: &[Edit]| -> Result<Vec<SetChange>> {
        let one =
            |set: &NamedTexts| SetChange::new((&set.name, &set.sha256), &set.texts, loaded, edits);
        sets.iter().map(one).collect()
    };
    let sets = measure(edits)?;
    let mut refused = Vec::new();
    for (place, name) in names.iter().enumerate() {
        let share = |set: &SetChange| set.changed_by_each[place] as f64 / set.positions as f64;
        if let Some(set) = sets.iter().find(|set| share(set) > bound) {
            let (name, set, changed) = (name.to_string(), set.name.clone(), share(set));
            refused.push(Refused { name, set, changed });
            edits[place] = Edit::none();
        }
    }
    let sets = if refused.is_empty() { sets } else { measure(edits)? };
    Ok((sets, refused))
}
