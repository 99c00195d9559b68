//! A model of one's own, patched: `ment patch` repairs what it says after a prompt, and keeps the repair
//! as a file; `ment apply` writes a checkpoint that holds such files.
//!
//! [`repair`] makes an edit, [`file`] is the edit as a file, [`stack`] is several of them on one
//! checkpoint, [`checkpoint`] writes them into a copy of its folder, and [`kept`] measures side effects.

pub mod checkpoint;
pub mod columns;
pub mod file;
pub mod kept;
pub mod methods;
pub mod render;
pub mod repair;
pub mod stack;

use crate::error::InputError;
use anyhow::Result;
use std::path::Path;

/// `given`, or what the file holds that it names, less one line end at its end.
///
/// # Errors
/// If there is such a file, and it is no text.
pub fn text_or_file(given: &str) -> Result<String> {
    if !Path::new(given).is_file() {
        return Ok(given.to_string());
    }
    tracing::info!("{given}: read, as there is such a file");
    let text = read(Path::new(given))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_string())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|error| InputError::new(format!("{}: cannot be read ({error})", path.display())))
}
