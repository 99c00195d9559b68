//! The folder of a study: its manifest `study.json`, and `steps.jsonl`, one line per measurement. The same
//! command continues it.

use super::lines::{self, Lines};
use super::manifest_file;
use crate::error::InputError;
use crate::records::manifest::Manifest;
use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// The file that says what a study is.
const MANIFEST: &str = "study.json";
const STEPS: &str = "steps.jsonl";

/// A study's folder, open for appending; locked against other writers until dropped.
#[derive(Debug)]
pub struct Journal(Lines);

impl Journal {
    /// Opens `folder` for the study `manifest`, new or to be continued, and returns what it holds. A
    /// half-written last line is dropped.
    ///
    /// # Errors
    /// If the folder is of another study, or in use, or damaged.
    pub fn open<S: DeserializeOwned + Send>(
        folder: &Path,
        manifest: &Manifest,
    ) -> Result<(Self, Vec<S>)> {
        let other =
            |what: String| InputError::new(format!("{}: {what}; use --out DIR", folder.display()));
        if folder.join(super::MANIFEST).exists() {
            return Err(other("holds a run".into()));
        }
        std::fs::create_dir_all(folder)
            .with_context(|| format!("{}: cannot be made", folder.display()))?;
        let path = folder.join(STEPS);
        let mut lines = Lines::open(&path)?;
        if is_study(folder) {
            let theirs = self::manifest(folder)?;
            if manifest.identity != theirs.identity {
                let differences = manifest.identity.differences(&theirs.identity).join("\n");
                return Err(other(format!("holds another study\n{differences}\n")));
            }
            if manifest.environment.commit != theirs.environment.commit {
                tracing::warn!("begun by another version of ment, {}", theirs.environment.commit);
            }
        } else if path.metadata().is_ok_and(|file| file.len() == 0) {
            manifest_file::write(&folder.join(MANIFEST), manifest)?;
        } else {
            return Err(other(format!("no {MANIFEST} is beside its {STEPS}, which is left alone")));
        }
        lines.drop_half_line()?;
        Ok((Self(lines), read(folder)?))
    }

    /// Appends one measurement; when this returns it survives the process.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn append(&mut self, step: &impl Serialize) -> Result<()> {
        self.0.append(step)
    }
}

/// Reports whether `folder` is that of a study.
pub fn is_study(folder: &Path) -> bool {
    folder.join(MANIFEST).is_file()
}

/// The measurements of the study in `folder`.
///
/// # Errors
/// If it is none, or damaged.
pub fn read<S: DeserializeOwned + Send>(folder: &Path) -> Result<Vec<S>> {
    Ok(lines::read(&folder.join(STEPS), |line| serde_json::from_slice(line))?.0)
}

/// The manifest of the study in `folder`.
///
/// # Errors
/// If it is none, or damaged.
pub fn manifest(folder: &Path) -> Result<Manifest> {
    manifest_file::read(&folder.join(MANIFEST))
}
