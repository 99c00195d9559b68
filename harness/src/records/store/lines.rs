//! JSON Lines: a file that grows by one line per measurement, each on disk before the next is made.

use crate::error::InputError;
use anyhow::{Context, Result};
use flate2::read::MultiGzDecoder;
use rayon::prelude::*;
use serde::Serialize;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes read at a time; few in unit tests, where lines are to span blocks.
const BLOCK: u64 = if cfg!(test) { 64 } else { 16 << 20 };

/// A file of JSON Lines open for appending, locked against other writers until dropped.
#[derive(Debug)]
pub(crate) struct Lines {
    path: PathBuf,
    file: File,
}

impl Lines {
    /// Opens or makes the file at `path` and locks it.
    ///
    /// # Errors
    /// If another process writes it, or it cannot be written.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_path_buf(), file: lock(path, File::try_lock)? })
    }

    /// Drops a half-written last line, which a process leaves that is killed while it writes.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub(crate) fn drop_half_line(&mut self) -> Result<()> {
        let broken = || format!("{}: cannot be repaired", self.path.display());
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes).with_context(broken)?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        if whole < bytes.len() {
            self.file.set_len(whole as u64).with_context(broken)?;
            self.file.seek(SeekFrom::End(0)).with_context(broken)?;
        }
        Ok(())
    }

    /// Appends `value` as one line; when this returns it survives the process.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn append(&mut self, value: &impl Serialize) -> Result<()> {
        let line = serde_json::to_string(value).expect("measurements are plain data") + "\n";
        self.file.write_all(line.as_bytes()).map_err(|error| write_error(&self.path, &error))
    }
}

/// Values of the file at `path`, one per line, each parsed by `one`, and true if half a line follows.
///
/// # Errors
/// If the file cannot be read, or a line is damaged.
pub(crate) fn read<T: Send>(
    path: &Path,
    one: fn(&[u8]) -> serde_json::Result<T>,
) -> Result<(Vec<T>, bool)> {
    let file = File::open(path).map_err(|error| read_error(path, &error))?;
    match is_compressed(path) {
        true => parse(path, MultiGzDecoder::new(BufReader::new(file)), one),
        false => parse(path, file, one),
    }
}

/// True if the file at `path` was compressed by `gzip`.
fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

/// Opens the file at `path` for appending and locks them by `how`.
pub(crate) fn lock(path: &Path, how: fn(&File) -> Result<(), TryLockError>) -> Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(path)
        .map_err(|error| write_error(path, &error))?;
    match how(&file) {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(InputError::new(format!(
            "{}: another process is writing this run; wait for it, or use --out DIR",
            path.parent().unwrap_or(path).display()
        ))),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("{}: cannot be locked", path.display()))
        }
    }
}

/// Turns whole lines into values, block by block, so that a long file is never in memory as a whole, and
/// whether half a line follows. The lines of a block are parsed side by side; of several damaged ones,
/// the first is reported, and the others are counted.
fn parse<T: Send>(
    path: &Path,
    mut source: impl Read,
    one: fn(&[u8]) -> serde_json::Result<T>,
) -> Result<(Vec<T>, bool)> {
    let mut records = Vec::new();
    let mut damaged = None;
    let mut more = 0;
    let mut block = Vec::new();
    loop {
        let read = source
            .by_ref()
            .take(BLOCK)
            .read_to_end(&mut block)
            .map_err(|error| read_error(path, &error))?;
        let whole = block.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let parsed: Vec<serde_json::Result<T>> = block[..whole]
            .par_split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(one)
            .collect();
        for record in parsed {
            match (record, &damaged) {
                (Ok(record), _) => records.push(record),
                (Err(error), None) => damaged = Some((records.len() + 1, error)),
                (Err(_), Some(_)) => more += 1,
            }
        }
        block.drain(..whole);
        if read == 0 {
            let Some((line, error)) = damaged else { return Ok((records, !block.is_empty())) };
            let unpack = if is_compressed(path) { "unpack the file and " } else { "" };
            let more = match more {
                0 => String::new(),
                more => format!(" ({more} more lines are damaged)"),
            };
            return Err(InputError::new(format!(
                "{}:{line}: damaged record ({error}); {unpack}remove this line to measure it again{more}",
                path.display(),
            )));
        }
    }
}

pub(crate) fn read_error(path: &Path, error: &std::io::Error) -> anyhow::Error {
    let advice = if is_compressed(path) {
        "; fetch it again, or move it away to measure its records again"
    } else {
        ""
    };
    InputError::new(format!("{}: cannot be read ({error}){advice}", path.display()))
}

pub(crate) fn write_error(path: &Path, error: &std::io::Error) -> anyhow::Error {
    anyhow::anyhow!(
        "{}: cannot be written ({error}); all earlier measurements are kept: free some space and run \
         the same command again to continue",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::records::Record;
    use anyhow::Result;
    use std::path::Path;

    fn line(datum: usize) -> String {
        format!(
            "{{\"kind\":\"prediction\",\"dataset\":\"spoc\",\"datum\":{datum},\"method\":\"{}\",\
             \"predicted\":[],\"predicted_text\":\"\"}}\n",
            "m".repeat(datum)
        )
    }

    fn parsed(text: &str) -> Result<Vec<usize>> {
        let (records, _) = parse(Path::new("trials.jsonl"), text.as_bytes(), Record::parse)?;
        let datum = |record| match record {
            Record::Prediction(prediction) => prediction.datum,
            Record::Free(free) => free.datum,
            other => panic!("{other:?} was not written"),
        };
        Ok(records.into_iter().map(datum).collect())
    }

    #[test]
    fn records_keep_their_order_across_blocks() {
        let text: String = (0..200).map(line).collect();
        assert_eq!(parsed(&text).unwrap(), (0..200).collect::<Vec<_>>());
        assert_eq!(parsed(&text[..text.len() - 1]).unwrap(), (0..199).collect::<Vec<_>>());
        assert_eq!(parsed("").unwrap(), [0; 0]);
    }

    #[test]
    fn the_first_damaged_line_is_reported() {
        let mut lines: Vec<String> = (0..40).map(line).collect();
        lines[17] = "{\"kind\":\n".into();
        lines[18] = "not a record\n".into();
        lines[31] = "[]\n".into();
        insta::assert_snapshot!(
            parsed(&lines.concat()).unwrap_err(),
            @"trials.jsonl:18: damaged record (EOF while parsing a value at line 1 column 8); remove \
             this line to measure it again (2 more lines are damaged)"
        );
    }
}
