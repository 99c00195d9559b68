//! The folder of a run: `manifest.json` and `trials.jsonl`. Records are appended and flushed as
//! they are measured; a folder is continued where it was left, and never overwritten. Shards of a
//! run write files of their own beside it, `trials.1-of-2.jsonl`; what is in all of them counts. Any
//! of them may be compressed by `gzip`, and is then read as it was.

use crate::error::InputError;
use crate::log;
use crate::manifest::{self, Manifest, Session};
use crate::plan::Shard;
use crate::process::resident;
use crate::record::{FORMAT, Record};
use anyhow::{Context, Result};
use flate2::read::MultiGzDecoder;
use rayon::prelude::*;
use serde_json::Value;
use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What a run is.
pub const MANIFEST: &str = "manifest.json";
const RECORDS: &str = "trials.jsonl";

/// Bytes of records read at a time; few in unit tests, where lines are to span blocks.
const BLOCK: u64 = if cfg!(test) { 64 } else { 16 << 20 };

/// A run folder, open for appending; locked against other writers until dropped.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    file: File,
    /// Of a shard: the file of the whole run, locked against anyone who would run all of it.
    _whole: Option<File>,
    folder: PathBuf,
    /// Its place among the sessions of the manifest; none in a folder that is thrown away.
    session: Option<usize>,
    since: Instant,
    written: usize,
}

impl Store {
    /// Opens `folder` for the run `manifest`, or a shard of it, new or to be continued, and returns
    /// what it holds. A half-written last line (a run killed while writing) is dropped.
    ///
    /// # Errors
    /// If the folder belongs to another run, a newer format, another process, or is damaged.
    pub fn open(
        folder: &Path,
        manifest: &Manifest,
        shard: Option<Shard>,
    ) -> Result<(Self, Vec<Record>)> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("{}: cannot be made", folder.display()))?;
        let whole = folder.join(RECORDS);
        let (path, mut file, guard) = match shard {
            None => (whole.clone(), lock(&whole, File::try_lock)?, None),
            Some(shard) => {
                let guard = lock(&whole, File::try_lock_shared)?;
                let own = folder.join(format!("trials.{shard}.jsonl"));
                (own.clone(), lock(&own, File::try_lock)?, Some(guard))
            }
        };
        agree(folder, manifest)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .with_context(|| format!("{}: cannot be read", path.display()))?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        if whole < bytes.len() {
            file.set_len(whole as u64)
                .with_context(|| format!("{}: cannot be repaired", path.display()))?;
            file.seek(SeekFrom::End(0))?;
        }
        let (folder, since) = (folder.to_path_buf(), Instant::now());
        let records = read_records(&folder)?.0;
        let mut store =
            Self { path, file, _whole: guard, folder, session: None, since, written: 0 };
        store.begin(&manifest.environment.commit)?;
        log::to(&store.folder);
        Ok((store, records))
    }

    /// An empty run in `folder`, which is thrown away: nobody asks who made it, and it has no log.
    #[cfg(feature = "torch")]
    pub(crate) fn scratch(folder: &Path, manifest: &Manifest) -> Result<Self> {
        let path = folder.join(RECORDS);
        write_manifest(folder, manifest)?;
        let (file, since) = (lock(&path, File::try_lock)?, Instant::now());
        let folder = folder.to_path_buf();
        Ok(Self { path, file, _whole: None, folder, session: None, since, written: 0 })
    }

    /// What `folder` holds of the run `manifest`; nothing, where there is none. Writes nothing.
    ///
    /// # Errors
    /// As [`Store::open`], but that another process may be writing it.
    pub fn look(folder: &Path, manifest: &Manifest) -> Result<Vec<Record>> {
        if !folder.join(MANIFEST).is_file() {
            return Ok(Vec::new());
        }
        check_same_run(folder, &read_manifest(folder)?, manifest)?;
        Ok(read_records(folder)?.0)
    }

    /// Appends one record; when this returns it survives the process.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        let mut line = serde_json::to_string(record).expect("a record is plain data");
        line.push('\n');
        self.file.write_all(line.as_bytes()).map_err(|error| write_error(&self.path, &error))?;
        self.written += 1;
        Ok(())
    }

    /// Adds this process to the sessions of the manifest.
    fn begin(&mut self, commit: &str) -> Result<()> {
        let _held = hold(&self.folder)?;
        let mut manifest = read_manifest(&self.folder)?;
        let (command, commit) = (manifest::command(), commit.to_string());
        self.session = Some(manifest.sessions.len());
        let session = Session { command, commit, records: 0, seconds: None, peak_mib: None };
        manifest.sessions.push(session);
        write_manifest(&self.folder, &manifest)
    }

    /// Says in the manifest what this process did.
    fn conclude(&self) -> Result<()> {
        let Some(session) = self.session else { return Ok(()) };
        let seconds = self.since.elapsed().as_secs_f64();
        tracing::info!(
            records = self.written,
            seconds,
            "{} records in {seconds:.0} s",
            self.written
        );
        let _held = hold(&self.folder)?;
        let mut manifest = read_manifest(&self.folder)?;
        if let Some(session) = manifest.sessions.get_mut(session) {
            session.records = self.written;
            session.seconds = Some(seconds);
            session.peak_mib = resident("VmHWM").ok().map(|bytes| bytes >> 20);
        }
        write_manifest(&self.folder, &manifest)
    }
}

impl Drop for Store {
    /// Also where a run was stopped or failed. A session without an end was killed, so a failure here says
    /// what it should.
    fn drop(&mut self) {
        drop(self.conclude());
        if self.session.is_some() {
            log::nowhere();
        }
    }
}

/// A run as its folder holds it.
#[derive(Debug)]
pub struct Run {
    /// What it is.
    pub manifest: Manifest,
    /// What was measured, each once.
    pub records: Vec<Record>,
    /// What of the files is not among the records, a sentence each.
    pub left_out: Vec<String>,
}

/// Reads a finished or unfinished run.
///
/// # Errors
/// If the folder is no run, of a newer format, or damaged.
pub fn read(folder: &Path) -> Result<Run> {
    let manifest = read_manifest(folder)?;
    let (records, left_out) = read_records(folder)?;
    manifest
        .check_datasets(&records)
        .map_err(|what| InputError::new(format!("{}: {what}", folder.display())))?;
    Ok(Run { manifest, records, left_out })
}

/// The records of all files of a run: what is there more than once, once. And what was left out.
fn read_records(folder: &Path) -> Result<(Vec<Record>, Vec<String>)> {
    let mut records = Vec::new();
    let mut left_out = Vec::new();
    let hasher = RandomState::new();
    let mut known: HashMap<u64, usize> = HashMap::new();
    for path in record_files(folder)? {
        let file = File::open(&path).map_err(|error| read_error(&path, &error))?;
        let (own, partial) = match is_compressed(&path) {
            true => parse(&path, MultiGzDecoder::new(BufReader::new(file)))?,
            false => parse(&path, file)?,
        };
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
            left_out.push(format!("{name}: what was read before ({twice}, the first: {first})"));
        }
    }
    Ok((records, left_out))
}

/// Whether `path` is a file of records that `gzip` compressed.
fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

/// The files of a run that hold records: that of the whole, then those of shards in the order of
/// their names; what is compressed before what it is continued by.
///
/// # Errors
/// If the folder cannot be read, or holds none.
pub fn record_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|error| read_error(folder, &error))?;
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

/// Opens the records at `path` for appending and locks them by `how`.
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

/// Makes `manifest` that of `folder`, or checks that it continues the one there and adds what is new.
fn agree(folder: &Path, manifest: &Manifest) -> Result<()> {
    let _held = hold(folder)?;
    if crate::study::is_study(folder) {
        let text = format!("{}: holds a study; use --out DIR", folder.display());
        return Err(InputError::new(text));
    }
    if !folder.join(MANIFEST).is_file() {
        check_new(folder)?;
        return write_manifest(folder, manifest);
    }
    let found = read_manifest(folder)?;
    check_same_run(folder, &found, manifest)?;
    let whole = manifest.continuing(&found);
    if whole != found {
        write_manifest(folder, &whole)?;
    }
    Ok(())
}

/// The manifest changes under one process at a time: shards may begin and end at once. A file is locked, not
/// the folder, as network file systems know locks on files only.
fn hold(folder: &Path) -> Result<File> {
    let path = folder.join(".lock");
    let file = OpenOptions::new().append(true).create(true).open(&path);
    let held = file.and_then(|file| file.lock().map(|()| file));
    held.with_context(|| format!("{}: cannot be locked", path.display()))
}

fn check_new(folder: &Path) -> Result<()> {
    for records in record_files(folder)? {
        if std::fs::metadata(&records).is_ok_and(|file| file.len() > 0) {
            return Err(InputError::new(format!(
                "{}: holds records, but no {MANIFEST} is beside it; it is left alone, use --out DIR",
                records.display()
            )));
        }
    }
    Ok(())
}

fn write_manifest(folder: &Path, manifest: &Manifest) -> Result<()> {
    write_manifest_as(&folder.join(MANIFEST), manifest)
}

/// Whole or not at all.
pub(crate) fn write_manifest_as(path: &Path, manifest: &Manifest) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let text = serde_json::to_string_pretty(manifest).expect("a manifest is plain data") + "\n";
    let write = || {
        // With a name of its own, and gone if this fails.
        let mut partial = tempfile::Builder::new().prefix(MANIFEST).tempfile_in(folder)?;
        partial.write_all(text.as_bytes())?;
        readable(partial.as_file())?;
        partial.persist(path).map(drop).map_err(|error| error.error)
    };
    write().map_err(|error| write_error(path, &error))
}

/// Temporary files are their owner's; a manifest is anyone's to read.
#[cfg(unix)]
fn readable(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_: &File) -> std::io::Result<()> {
    Ok(())
}

fn check_same_run(folder: &Path, found: &Manifest, manifest: &Manifest) -> Result<()> {
    if found.format < FORMAT {
        return Err(InputError::new(format!(
            "{}: written in format {}, which is read but no longer continued; use --out DIR",
            folder.display(),
            found.format
        )));
    }
    let mut differences = manifest.identity.differences(&found.identity);
    if differences.is_empty() {
        let (begun, now) = (&found.environment.commit, &manifest.environment.commit);
        if begun != now {
            tracing::warn!(
                "{} was begun by commit {begun}, and is continued by {now}",
                folder.display()
            );
        }
        return Ok(());
    }
    let more = differences.len().saturating_sub(5);
    differences.truncate(5);
    let more = if more > 0 { format!("\n  … and {more} more") } else { String::new() };
    Err(InputError::new(format!(
        "{}: holds another run, which is left alone; use --out DIR for this one.\n\
         It differs in (there → here):\n  {}{more}",
        folder.display(),
        differences.join("\n  ")
    )))
}

fn read_manifest(folder: &Path) -> Result<Manifest> {
    read_manifest_of(&folder.join(MANIFEST))
}

/// A manifest by its file's name.
pub(crate) fn read_manifest_of(path: &Path) -> Result<Manifest> {
    let fail = |what: String| InputError::new(format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path)
        .map_err(|error| fail(format!("cannot be read ({error}); not the folder of a run?")))?;
    let value: Value =
        serde_json::from_str(&text).map_err(|error| fail(format!("damaged ({error})")))?;
    let format = value["format"].as_u64().unwrap_or(0);
    if format > u64::from(FORMAT) {
        return Err(fail(format!(
            "written in format {format}, this version of ment reads up to {FORMAT}; update ment"
        )));
    }
    serde_json::from_value(value).map_err(|error| fail(format!("damaged ({error})")))
}

/// Whole lines to records, block by block, so that a long file is never in memory as a whole, and
/// whether half a line follows. The lines of a block are parsed side by side; of several damaged ones,
/// the first is reported, and the others are counted.
fn parse(path: &Path, mut source: impl Read) -> Result<(Vec<Record>, bool)> {
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
        let parsed: Vec<serde_json::Result<Record>> = block[..whole]
            .par_split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(Record::parse)
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
                "{}:{line}: damaged record ({error}); {unpack}take this line out to measure it again{more}",
                path.display(),
            )));
        }
    }
}

fn read_error(path: &Path, error: &std::io::Error) -> anyhow::Error {
    let advice = if is_compressed(path) {
        "; fetch it again, or take it away to measure its records again"
    } else {
        ""
    };
    InputError::new(format!("{}: cannot be read ({error}){advice}", path.display()))
}

fn write_error(path: &Path, error: &std::io::Error) -> anyhow::Error {
    anyhow::anyhow!(
        "{}: cannot be written ({error}); all that was measured before is kept: \
         make room and run the same command again to continue",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(datum: usize) -> String {
        format!(
            "{{\"kind\":\"prediction\",\"dataset\":\"spoc\",\"datum\":{datum},\"method\":\"{}\",\
             \"predicted\":[],\"predicted_text\":\"\"}}\n",
            "m".repeat(datum)
        )
    }

    fn parsed(text: &str) -> Result<Vec<usize>> {
        let (records, _) = parse(Path::new("trials.jsonl"), text.as_bytes())?;
        let datum = |record| match record {
            Record::Prediction(prediction) => prediction.datum,
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
            @"trials.jsonl:18: damaged record (EOF while parsing a value at line 1 column 8); take this line out to measure it again (2 more lines are damaged)"
        );
    }
}
