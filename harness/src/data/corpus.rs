//! Text on which a model is run to see what its neurons usually do.

use crate::error::InputError;
use anyhow::Result;
use sha2::{Digest, Sha256};
use std::path::Path;

/// Python code and English prose of this project, which `scripts/corpus.py` collected.
const BUILT_IN: &str = include_str!("corpus.txt");

/// A text, and its hash.
pub struct Corpus {
    /// The text.
    pub text: String,
    /// SHA-256 of the text, 64 hex digits.
    pub sha256: String,
}

impl Corpus {
    /// Reads the text file `path`; without one, the text that the harness brings.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(path: Option<&Path>) -> Result<Self> {
        let text = match path {
            None => BUILT_IN.to_string(),
            Some(path) => std::fs::read_to_string(path).map_err(|error| {
                InputError::new(format!("{}: cannot be read ({error})", path.display()))
            })?,
        };
        let sha256 = format!("{:x}", Sha256::digest(&text));
        Ok(Self { text, sha256 })
    }
}
