//! Finding and reading the files of a data set.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::{Pair, SourceFile};
use crate::error::InputError;

/// Possible places of the files of a data set, and where they can be downloaded.
pub(super) struct Layout {
    /// Folders under the one the user names, in the order they are looked in; "" is that folder.
    pub(super) folders: &'static [&'static str],
    /// Advice for a missing file.
    pub(super) advice: &'static str,
}

impl Layout {
    /// The first folder's copy of `file`.
    pub(super) fn find(&self, from: &Path, file: &str) -> Option<PathBuf> {
        self.within(from).map(|folder| folder.join(file)).find(|path| path.is_file())
    }

    /// The error of a `file` that is in none of the folders.
    pub(super) fn missing(&self, from: &Path, file: &str) -> anyhow::Error {
        let folders: Vec<_> =
            self.within(from).map(|folder| format!("  {}", folder.display())).collect();
        InputError::new(format!(
            "{file} is missing; looked in\n{}\n{}",
            folders.join("\n"),
            self.advice
        ))
    }

    fn within(&self, from: &Path) -> impl Iterator<Item = PathBuf> {
        // By components, as joining "" leaves a slash at the end.
        self.folders.iter().map(move |folder| from.join(folder).components().collect())
    }

    /// Finds `file`, reads it and parses it into pairs; at least one is needed.
    pub(super) fn load(
        &self,
        from: &Path,
        file: &str,
        parse: fn(&Source) -> Result<Vec<Pair>>,
    ) -> Result<(Vec<Pair>, SourceFile)> {
        let path = self.find(from, file).ok_or_else(|| self.missing(from, file))?;
        let (source, sha256) = Source::read(path)?;
        let pairs = parse(&source)?;
        if pairs.is_empty() {
            return Err(InputError::new(format!(
                "{}: contains no pair; {}",
                source.path.display(),
                self.advice
            )));
        }
        let file = SourceFile { name: file.to_owned(), sha256, pairs: pairs.len() };
        Ok((pairs, file))
    }
}

/// The text of a file, without byte-order mark, and its path for error messages.
pub(super) struct Source {
    path: PathBuf,
    pub(super) text: String,
}

impl Source {
    /// Reads a UTF-8 file; gives its SHA-256 too.
    pub(super) fn read(path: PathBuf) -> Result<(Self, String)> {
        let bytes =
            fs::read(&path).with_context(|| format!("{}: cannot be read", path.display()))?;
        let sha256 = format!("{:x}", Sha256::digest(&bytes));
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                let line = 1 + valid.iter().filter(|&&byte| byte == b'\n').count();
                let source = Self { path, text: String::new() };
                return Err(source.error_at_line(line, "not UTF-8; convert the file to UTF-8"));
            }
        };
        let text = match text.strip_prefix('\u{feff}') {
            Some(rest) => rest.to_owned(),
            None => text,
        };
        Ok((Self { path, text }, sha256))
    }

    /// The file that it was read from.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The entries of a JSON array, so that a bad one can be named by its number.
    pub(super) fn json_array(&self) -> Result<Vec<serde_json::Value>> {
        serde_json::from_str(&self.text).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column().max(1));
            let problem = if error.is_eof() {
                "the JSON ends too early; the file is cut off, fetch it again"
            } else if error.is_data() {
                "not a JSON array of entries"
            } else {
                "not valid JSON; repair the file or fetch it again"
            };
            self.error_at(place, problem)
        })
    }

    /// An input error about the 1-based `line` of this file.
    pub(super) fn error_at_line(&self, line: usize, problem: impl Display) -> anyhow::Error {
        self.error_at(format_args!("line {line}"), problem)
    }

    /// An input error about a `place` in this file.
    pub(super) fn error_at(&self, place: impl Display, problem: impl Display) -> anyhow::Error {
        InputError::new(format!("{}, {place}: {problem}", self.path.display()))
    }
}

/// For tests: writes files into a new folder, runs `load` on it and gives the error's message with
/// the folder's path as `DIR`.
#[cfg(test)]
pub(super) fn error_of(
    load: fn(&Path) -> Result<super::Dataset>,
    files: &[(&str, impl AsRef<[u8]>)],
) -> String {
    let folder = folder_of(files);
    let error = load(folder.path()).expect_err("loading succeeded");
    assert!(error.is::<InputError>(), "{error:?} is not an input error");
    error.to_string().replace(folder.path().to_str().unwrap(), "DIR")
}

/// For tests: a new folder with these files in it.
#[cfg(test)]
pub(super) fn folder_of(files: &[(&str, impl AsRef<[u8]>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}
