//! The folder of a model that is given as a folder, as a name in the cache of `ment models`, or as an id of the
//! Hugging Face hub.

mod cache;
mod hub;

pub use self::cache::{CachedModel, get, models, place};

use crate::error::InputError;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// The folder of `model`, which is a folder, a name or an id. A path of none of these kinds is returned as it
/// is, for a message of whoever reads it. Asks no network.
///
/// # Errors
/// If it is the name of a model that is not in the cache.
pub fn find(model: &Path) -> Result<PathBuf> {
    if model.is_dir() {
        return Ok(model.into());
    }
    if let Some(folder) = cache::find(model)? {
        return Ok(folder);
    }
    let cached = hub::id(model).and_then(|id| hub::cached(&id));
    Ok(cached.unwrap_or_else(|| model.into()))
}

/// Does what [`find`] does, and fetches an id that is nowhere on this machine.
///
/// # Errors
/// If a name is not in the cache, or an id cannot be fetched.
pub fn find_or_fetch(model: &Path) -> Result<PathBuf> {
    let found = find(model)?;
    match hub::id(&found) {
        Some(id) if !found.is_dir() => hub::fetch(&id),
        _ => Ok(found),
    }
}

/// The name of `model` among people: that of a model in the cache, the last part of an id, or the name of the
/// folder, links followed.
pub fn name(model: &Path) -> String {
    if let Some(written) = written(model) {
        return written.rsplit('/').next().unwrap_or_default().into();
    }
    let folder = model.canonicalize().unwrap_or_else(|_| model.to_path_buf());
    folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned()
}

/// The name or id that `folder` was found by, if it is of the cache or of the hub's; it finds the model on other
/// machines too.
pub fn written(folder: &Path) -> Option<String> {
    cache::written(folder).or_else(|| hub::written(folder))
}

/// An error about `model`, and where it was looked for.
fn unknown(model: &str, what: &str) -> anyhow::Error {
    InputError::new(format!("model `{model}`: {what}"))
}

#[cfg(test)]
mod tests {
    use super::find;
    use std::path::Path;

    #[test]
    fn a_folder_and_what_is_no_name_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(find(folder.path()).unwrap(), folder.path());
        for path in ["./nowhere", "a/b/c", "/nowhere/at", "../x"] {
            assert_eq!(find(Path::new(path)).unwrap(), Path::new(path));
        }
    }
}
