//! The processes that worked on a run, and the places they read from.

use crate::config::Config;
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

/// The place of what is not of this machine alone: a path within the folder the command is run in is as it
/// is, of any other the last part is left.
fn portable(path: &Path) -> String {
    let within = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if path.components().all(within) {
        return path.display().to_string();
    }
    format!("{OUTSIDE}{}", path.file_name().unwrap_or_default().to_string_lossy())
}

/// What a place outside begins with.
pub const OUTSIDE: &str = "…/";

/// Arguments of this process, places outside by their last part.
pub fn command() -> Vec<String> {
    let argument = |argument: String| {
        let path = Path::new(&argument);
        let is_path = argument.contains('/') && !argument.contains('=') && !argument.contains(' ');
        let outside = path.is_absolute() || argument.split('/').any(|part| part == "..");
        match argument.split_once('=').filter(|(option, _)| option.starts_with("--")) {
            Some((option, value)) if value.contains('/') => {
                format!("{option}={}", portable(Path::new(value)))
            }
            _ if is_path && outside => portable(path),
            _ => argument,
        }
    };
    std::env::args().skip(1).map(argument).collect()
}

/// Where a config reads from: `model`, `encoder`, `benchmark`, and each data set by its name.
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
    use super::portable;
    use std::path::Path;

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
