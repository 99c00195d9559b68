//! A run folder that is written.

use super::lines::{Lines, lock};
use super::manifest_file::{self, agree, check_same_run, hold};
use super::reader::read_records;
use super::{MANIFEST, RECORDS};
use crate::config::Shard;
use crate::records::Record;
use crate::records::manifest::{Manifest, Session, command};
use crate::system::log;
use crate::system::process::resident;
use anyhow::{Context, Result};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A run folder, open for appending; locked against other writers until dropped.
#[derive(Debug)]
pub struct Store {
    lines: Lines,
    /// Records file of the whole run, of a shard: locked against a process that would run all of it.
    _whole: Option<File>,
    folder: PathBuf,
    /// Index of its session in the manifest; `None` in a temporary folder.
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
        let (mut lines, guard) = match shard {
            None => (Lines::open(&whole)?, None),
            Some(shard) => {
                let guard = lock(&whole, File::try_lock_shared)?;
                (Lines::open(&folder.join(format!("trials.{shard}.jsonl")))?, Some(guard))
            }
        };
        agree(folder, manifest)?;
        lines.drop_half_line()?;
        let (folder, since) = (folder.to_path_buf(), Instant::now());
        let records = read_records(&folder)?.0;
        let mut store = Self { lines, _whole: guard, folder, session: None, since, written: 0 };
        store.begin(&manifest.environment.commit)?;
        log::to(&store.folder);
        Ok((store, records))
    }

    /// An empty run in a temporary `folder`, without session and log.
    #[cfg(feature = "torch")]
    pub(crate) fn scratch(folder: &Path, manifest: &Manifest) -> Result<Self> {
        manifest_file::write(&folder.join(MANIFEST), manifest)?;
        let (lines, since) = (Lines::open(&folder.join(RECORDS))?, Instant::now());
        let folder = folder.to_path_buf();
        Ok(Self { lines, _whole: None, folder, session: None, since, written: 0 })
    }

    /// Reads the records of the run `manifest` in `folder`; empty if there is none. Writes nothing.
    ///
    /// # Errors
    /// As [`Store::open`], but that another process may be writing it.
    pub fn look(folder: &Path, manifest: &Manifest) -> Result<Vec<Record>> {
        if !folder.join(MANIFEST).is_file() {
            return Ok(Vec::new());
        }
        check_same_run(folder, &manifest_file::read(&folder.join(MANIFEST))?, manifest)?;
        Ok(read_records(folder)?.0)
    }

    /// Appends one record; when this returns it survives the process.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        self.lines.append(record)?;
        self.written += 1;
        Ok(())
    }

    /// Adds this process to the sessions of the manifest.
    fn begin(&mut self, commit: &str) -> Result<()> {
        let _held = hold(&self.folder)?;
        let mut manifest = manifest_file::read(&self.folder.join(MANIFEST))?;
        let (command, commit) = (command(), commit.to_string());
        self.session = Some(manifest.sessions.len());
        let session = Session { command, commit, records: 0, seconds: None, peak_mib: None };
        manifest.sessions.push(session);
        manifest_file::write(&self.folder.join(MANIFEST), &manifest)
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
        let mut manifest = manifest_file::read(&self.folder.join(MANIFEST))?;
        if let Some(session) = manifest.sessions.get_mut(session) {
            session.records = self.written;
            session.seconds = Some(seconds);
            session.peak_mib = resident("VmHWM").ok().map(|bytes| bytes >> 20);
        }
        manifest_file::write(&self.folder.join(MANIFEST), &manifest)
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
