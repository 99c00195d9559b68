//! The processes that worked on a run, and the places they read from.

use crate::config::Config;
use crate::data::model_folder;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Component, Path};

/// One process that worked on a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// The command, without the program; places outside the folder it was run in by their last part.
    pub command: Vec<String>,
    /// Commit of the binary.
    pub commit: String,
    /// Records it wrote.
    pub records: usize,
    /// Wall time, seconds; nothing where it was killed.
    pub seconds: Option<f64>,
    /// Memory it took at most, weights included, MiB; nothing where it was killed.
    pub peak_mib: Option<u64>,
}

/// A path inside the working folder is kept; of any other path, only the last part. A model of a cache is
/// written as the name or id that finds it.
fn portable(path: &Path) -> String {
    if let Some(written) = model_folder::written(path) {
        return written;
    }
    let within = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if path.components().all(within) {
        return path.display().to_string();
    }
    format!("{OUTSIDE}{}", path.file_name().unwrap_or_default().to_string_lossy())
}

/// Beginning of a place outside the working folder.
pub const OUTSIDE: &str = "…/";

/// Arguments of this process, places outside by their last part.
pub fn command() -> Vec<String> {
    std::env::args_os().skip(1).map(|argument| masked(&argument.to_string_lossy())).collect()
}

/// An argument, or the value of one, without the folders of a place outside.
fn masked(argument: &str) -> String {
    let (option, value) = match argument.rsplit_once('=') {
        Some((option, value)) => (format!("{option}="), value),
        None => (String::new(), argument),
    };
    let bare = value.trim_matches(['"', '\'']);
    let outside = Path::new(bare).is_absolute() || bare.split('/').any(|part| part == "..");
    format!("{option}{}", if outside { portable(Path::new(bare)) } else { value.into() })
}

/// Places that a config reads from: `model`, `encoder`, `benchmark`, and each data set by its name.
pub fn places(config: &Config) -> BTreeMap<String, String> {
    let mut places = BTreeMap::from([
        ("model".to_string(), portable(&config.model.path)),
        ("encoder".to_string(), portable(&config.retrieval.encoder)),
    ]);
    for dataset in &config.dataset {
        places.insert(dataset.name.to_string(), portable(&dataset.from));
    }
    if let Some(probing) = &config.probing {
        places.insert("benchmark".into(), portable(&probing.from));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::{masked, portable};
    use std::path::Path;

    #[test]
    fn arguments_lose_the_folders_of_places_outside() {
        for (argument, wanted) in [
            ("--limit", "--limit"),
            ("benchmark/conala", "benchmark/conala"),
            ("/home/me/my models/x", "…/x"),
            ("--from=../data", "--from=…/data"),
            ("model.path=/home/me/x", "model.path=…/x"),
            ("--set=model.path=\"/home/me/x\"", "--set=model.path=…/x"),
            ("ment.quota=5", "ment.quota=5"),
        ] {
            assert_eq!(masked(argument), wanted);
        }
    }

    #[test]
    fn places_outside_lose_their_folders() {
        for (path, wanted) in [
            ("benchmark/conala/sample", "benchmark/conala/sample"),
            ("./configs/a.toml", "./configs/a.toml"),
            ("/home/me/models/codegen", "…/codegen"),
            ("../corpora/conala/", "…/conala"),
            ("a/../../b", "…/b"),
        ] {
            assert_eq!(portable(Path::new(path)), wanted);
        }
    }
}
