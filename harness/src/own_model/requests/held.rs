//! Edits that change too much on kept texts, and are refused.

use crate::edit::Edit;
use crate::model::Loaded;
use crate::own_model::kept::KeptTexts;
use crate::own_model::kept::change::SetChange;
use crate::own_model::kept::source::Source;
use anyhow::Result;
use serde::Serialize;
use std::path::PathBuf;

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

/// Measures `edits`, with the names of their requests, on the sets that `named` name (on the texts of this project if there
/// is none), and puts none in the place of those that change more than `bound` of the predictions of a set alone.
///
/// # Errors
/// If the sets cannot be read, libtorch fails, or the user stops.
pub fn hold(
    loaded: &Loaded,
    named: &[PathBuf],
    (names, edits): (&[&str], &mut [Edit]),
    bound: f64,
) -> Result<(Vec<SetChange>, Vec<Refused>)> {
    let named: Vec<Option<&PathBuf>> =
        if named.is_empty() { vec![None] } else { named.iter().map(Some).collect() };
    let measure = |edits: &[Edit]| -> Result<Vec<SetChange>> {
        let one = |named: &Option<&PathBuf>| {
            let named = named.map(PathBuf::as_path);
            let source = Source::new(named);
            let texts = KeptTexts::read(named, loaded)?;
            SetChange::new((source.name(), source.sha256()?), &texts, loaded, edits)
        };
        named.iter().map(one).collect()
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
