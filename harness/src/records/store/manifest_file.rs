//! The file `manifest.json` of a run, which several processes may change one after the other.

use super::{MANIFEST, journal, record_files};
use crate::error::InputError;
use crate::records::FORMAT;
use crate::records::manifest::Manifest;
use crate::records::store::lines::write_error;
use crate::system::files;
use anyhow::{Context, Result};
use std::fs::{File, OpenOptions};
use std::path::Path;

/// Checks that `folder`, which holds the run `found`, can be continued as `manifest`.
///
/// # Errors
/// If it cannot; the error names the differences.
pub(super) fn check_same_run(folder: &Path, found: &Manifest, manifest: &Manifest) -> Result<()> {
    if found.format < FORMAT {
        return Err(InputError::new(format!(
            "{}: written in format {}, which can be read but not continued; use --out DIR",
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

/// The manifest in the file `path`.
///
/// # Errors
/// If the file cannot be read, is damaged, or is of a newer format.
pub(crate) fn read(path: &Path) -> Result<Manifest> {
    let fail = |what: String| InputError::new(format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path)
        .map_err(|error| fail(format!("cannot be read ({error}); not the folder of a run?")))?;
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| fail(format!("damaged ({error})")))?;
    let format = value["format"].as_u64().unwrap_or(0);
    if format > u64::from(FORMAT) {
        return Err(fail(format!(
            "written in format {format}, this version of ment reads up to {FORMAT}; update ment"
        )));
    }
    serde_json::from_value(value).map_err(|error| fail(format!("damaged ({error})")))
}

/// Writes `manifest` to the file `path`.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn write(path: &Path, manifest: &Manifest) -> Result<()> {
    let text = serde_json::to_string_pretty(manifest).expect("a manifest is plain data") + "\n";
    files::replace(path, text).map_err(|error| write_error(path, &error))
}

/// Makes `manifest` that of `folder`, or checks that it continues the one there and adds what is new.
pub(super) fn agree(folder: &Path, manifest: &Manifest) -> Result<()> {
    let _held = hold(folder)?;
    if journal::is_study(folder) {
        let text = format!("{}: holds a study; use --out DIR", folder.display());
        return Err(InputError::new(text));
    }
    if !folder.join(MANIFEST).is_file() {
        check_new(folder)?;
        return write(&folder.join(MANIFEST), manifest);
    }
    let found = read(&folder.join(MANIFEST))?;
    check_same_run(folder, &found, manifest)?;
    let whole = manifest.continuing(&found);
    if whole != found {
        write(&folder.join(MANIFEST), &whole)?;
    }
    Ok(())
}

/// The manifest changes under one process at a time: shards may begin and end at once. A file is locked, not
/// the folder, as network file systems know locks on files only.
pub(super) fn hold(folder: &Path) -> Result<File> {
    let path = folder.join(".lock");
    let file = OpenOptions::new().append(true).create(true).open(&path);
    let held = file.and_then(|file| file.lock().map(|()| file));
    held.with_context(|| format!("{}: cannot be locked", path.display()))
}

/// Checks that `folder` holds no records, which nothing would say anything of.
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
