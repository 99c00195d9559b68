//! The folder of a study: `study.json`, what it is, and `steps.jsonl`, a line a measurement, appended as
//! they are made. The same command goes on where a stopped one was.

use crate::error::InputError;
use crate::manifest::Manifest;
use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{File, OpenOptions};
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
        let failed = |path: &Path| format!("{}: cannot be written", path.display());
        std::fs::create_dir_all(folder).with_context(|| failed(folder))?;
        let path = folder.join(STEPS);
        let file = OpenOptions::new().append(true).create(true).open(&path);
        let file = file.with_context(|| failed(&path))?;
        file.try_lock().map_err(|_| {
            InputError::new(format!("{}: in use by another process", folder.display()))
        })?;
        let text = std::fs::read(&path).with_context(|| failed(&path))?;
        if folder.join(MANIFEST).is_file() {
            let theirs = self::manifest(folder)?;
            let differences = manifest.identity.differences(&theirs.identity);
            if manifest.identity != theirs.identity {
                return Err(InputError::new(format!(
                    "{}: holds another study; use --out DIR\n{}",
                    folder.display(),
                    differences.join("\n")
                )));
            }
        } else if text.is_empty() {
            let text = serde_json::to_string_pretty(manifest)? + "\n";
            let mut file =
                tempfile::NamedTempFile::new_in(folder).with_context(|| failed(folder))?;
            file.write_all(text.as_bytes()).with_context(|| failed(folder))?;
            file.persist(folder.join(MANIFEST)).with_context(|| failed(folder))?;
        } else {
            return Err(InputError::new(format!(
                "{}: no {MANIFEST} is beside it; it is left alone, use --out DIR",
                path.display()
            )));
        }
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        file.set_len(whole as u64).with_context(|| failed(&path))?;
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
    let path = folder.join(MANIFEST);
    let wrong =
        |error: &dyn std::fmt::Display| InputError::new(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(|error| wrong(&error))?;
    serde_json::from_str(&text).map_err(|error| wrong(&error))
}

fn parse<R: DeserializeOwned>(path: &Path, text: &[u8]) -> Result<Vec<R>> {
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines
        .enumerate()
        .map(|(place, line)| {
            serde_json::from_slice(line).map_err(|error| {
                InputError::new(format!("{}, line {}: {error}", path.display(), place + 1))
            })
        })
        .collect()
}
