//! The folder of a study: `study.json`, what it is, and `steps.jsonl`, a line a measurement, appended as
//! they are made. The same command goes on where a stopped one was.

use crate::error::InputError;
use crate::manifest::Manifest;
use crate::store;
use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// What a study is.
pub const MANIFEST: &str = "study.json";
const STEPS: &str = "steps.jsonl";

/// A folder open for appending, locked against other writers until dropped.
#[derive(Debug)]
pub struct Journal {
    file: File,
}

impl Journal {
    /// Opens `folder` for the study `manifest`, new or to be continued, and returns what it holds. A
    /// half-written last line is dropped.
    ///
    /// # Errors
    /// If the folder is of another study, or in use, or damaged.
    pub fn open<R: DeserializeOwned>(folder: &Path, manifest: &Manifest) -> Result<(Self, Vec<R>)> {
        let other =
            |what: String| InputError::new(format!("{}: {what}; use --out DIR", folder.display()));
        let failed = || format!("{}: cannot be written", folder.display());
        if folder.join(store::MANIFEST).exists() {
            return Err(other("holds a run".into()));
        }
        std::fs::create_dir_all(folder).with_context(failed)?;
        let path = folder.join(STEPS);
        let file = store::lock(&path, File::try_lock)?;
        let text = std::fs::read(&path).with_context(failed)?;
        if folder.join(MANIFEST).is_file() {
            let theirs = self::manifest(folder)?;
            if manifest.identity != theirs.identity {
                let differences = manifest.identity.differences(&theirs.identity).join("\n");
                return Err(other(format!("holds another study\n{differences}\n")));
            }
            if manifest.environment.commit != theirs.environment.commit {
                tracing::warn!("begun by another version of ment, {}", theirs.environment.commit);
            }
        } else if text.is_empty() {
            store::write_manifest_as(&folder.join(MANIFEST), manifest)?;
        } else {
            return Err(other(format!("no {MANIFEST} is beside its {STEPS}, which is left alone")));
        }
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        file.set_len(whole as u64).with_context(failed)?;
        Ok((Self { file }, parse(&path, &text[..whole])?))
    }

    /// Appends one measurement; when this returns it survives the process.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn append(&mut self, step: &impl Serialize) -> Result<()> {
        let line = serde_json::to_string(step)? + "\n";
        self.file.write_all(line.as_bytes()).context("the study's folder cannot be written")
    }
}

/// What was measured in the study of `folder`.
///
/// # Errors
/// If it is none, or damaged.
pub fn read<R: DeserializeOwned>(folder: &Path) -> Result<Vec<R>> {
    let path = folder.join(STEPS);
    let text = std::fs::read(&path).map_err(|error| {
        InputError::new(format!("{}: cannot be read ({error})", path.display()))
    })?;
    parse(&path, &text)
}

/// What the study of `folder` is.
///
/// # Errors
/// If it is none, or damaged.
pub fn manifest(folder: &Path) -> Result<Manifest> {
    store::read_manifest_of(&folder.join(MANIFEST))
}

fn parse<R: DeserializeOwned>(path: &Path, text: &[u8]) -> Result<Vec<R>> {
    let lines = text.split(|&byte| byte == b'\n').enumerate();
    lines
        .filter(|(_, line)| !line.is_empty())
        .map(|(place, line)| {
            serde_json::from_slice(line).map_err(|error| {
                InputError::new(format!("{}, line {}: {error}", path.display(), place + 1))
            })
        })
        .collect()
}
