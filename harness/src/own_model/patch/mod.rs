//! A model of one's own, patched: `ment patch` repairs what it says after a prompt, and keeps the repair
//! as a file; `ment apply` writes a checkpoint that holds such files.
//!
//! [`repair`] makes an edit, [`mod@file`] is the edit as a file, [`stack`] is several of them on one
//! checkpoint, [`checkpoint`] writes them into a copy of its folder, and [`free`] asks the model what it says
//! now.

pub mod advice;
pub mod checkpoint;
pub mod columns;
pub mod file;
pub mod free;
pub mod input;
pub mod matrix;
pub mod methods;
pub mod render;
pub mod repair;
pub mod stack;
pub mod update;
mod were;

use crate::error::InputError;
use anyhow::Result;
use std::path::Path;

/// The text of a file, without byte-order mark.
pub(crate) fn read(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        InputError::new(format!("{}: cannot be read ({error})", path.display()))
    })?;
    Ok(text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_string))
}
