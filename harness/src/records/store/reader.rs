//! A run folder that is read.

use super::{MANIFEST, RECORDS, lines, manifest_file};
use crate::error::InputError;
use crate::records::Record;
use crate::records::manifest::Manifest;
use anyhow::Result;
use rayon::prelude::*;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

/// A run as its folder holds it.
#[derive(Debug)]
pub struct Run {
    /// Manifest of the run.
    pub manifest: Manifest,
    /// Records, each once.
    pub records: Vec<Record>,
    /// Parts of the files that are not among the records, a sentence each.
    pub left_out: Vec<String>,
}

/// Reads a finished or unfinished run.
///
/// # Errors
/// If the folder is no run, of a newer format, or damaged.
pub fn read(folder: &Path) -> Result<Run> {
    let manifest = manifest_file::read(&folder.join(MANIFEST))?;
    let (records, left_out) = read_records(folder)?;
    manifest
        .check_datasets(&records)
        .map_err(|what| InputError::new(format!("{}: {what}", folder.display())))?;
    Ok(Run { manifest, records, left_out })
}

/// The records of all files of a run: what is there more than once, once. And what was left out.
pub(super) fn read_records(folder: &Path) -> Result<(Vec<Record>, Vec<String>)> {
    let mut records = Vec::new();
    let mut left_out = Vec::new();
    let hasher = RandomState::new();
    let mut known: HashMap<u64, usize> = HashMap::new();
    for path in record_files(folder)? {
        let (own, partial) = lines::read(&path, Record::parse)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if partial {
            left_out.push(format!("{name}: the last line is half written"));
        }
        let hashes: Vec<u64> = own.par_iter().map(|record| hasher.hash_one(record.key())).collect();
        let (read, before) = (own.len(), records.len());
        let mut first = None;
        for (record, hash) in own.into_iter().zip(hashes) {
            let seen = *known.entry(hash).or_insert(records.len());
            // The hash says where to look; the key decides.
            if records.get(seen).is_some_and(|seen: &Record| seen.key() == record.key()) {
                first.get_or_insert_with(|| record.key().to_string());
            } else {
                records.push(record);
            }
        }
        if let Some(first) = first {
            let twice = read - (records.len() - before);
            let plural = if twice == 1 { "" } else { "s" };
            left_out.push(format!(
                "{name}: {twice} duplicate record{plural} skipped (the first: {first})"
            ));
        }
    }
    Ok((records, left_out))
}

/// The files of a run that hold records: that of the whole, then those of shards in the order of
/// their names; what is compressed before what it is continued by.
///
/// # Errors
/// If the folder cannot be read, or holds none.
pub fn record_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|error| lines::read_error(folder, &error))?;
    let mut files = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        let part = plain.strip_prefix("trials.").and_then(|rest| rest.strip_suffix("jsonl"));
        if let Some(shard) = part.filter(|part| part.is_empty() || part.contains("-of-")) {
            files.push((shard.to_string(), plain.len() == name.len(), folder.join(name)));
        }
    }
    if files.is_empty() {
        return Err(InputError::new(format!("{}: holds no {RECORDS}", folder.display())));
    }
    files.sort();
    Ok(files.into_iter().map(|(_, _, path)| path).collect())
}
