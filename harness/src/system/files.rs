//! Files that are written whole or not at all.

use anyhow::{Context, Result};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Writes `content` to `path`, in place of what is there. Nobody ever reads half of it.
///
/// # Errors
/// If the folder does not exist or cannot be written; the error names the file.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    replace(path, content).with_context(|| format!("{}: cannot be written", path.display()))
}

/// Writes `content` to the file `name` in the folder `part` of a run, makes that folder, and returns the file.
/// Earlier versions wrote all files beside the records: one of this name, which would be out of date, is
/// removed there.
///
/// # Errors
/// If a folder cannot be made or written.
pub(crate) fn write_part(
    run: &Path,
    part: &str,
    name: &str,
    content: impl AsRef<[u8]>,
) -> Result<PathBuf> {
    let folder = run.join(part);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("{}: cannot be made", folder.display()))?;
    let path = folder.join(name);
    write(&path, content)?;
    match std::fs::remove_file(run.join(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{}: cannot be removed", run.join(name).display()))
        }
        _ => Ok(path),
    }
}

/// Does what [`write()`] does, for callers with a message of their own.
///
/// # Errors
/// If the folder does not exist or cannot be written.
pub(crate) fn replace(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    let mut file = beside(path)?;
    file.write_all(content.as_ref())?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

/// Writes `content` to the new file `path`.
///
/// # Errors
/// Does what [`replace`] does; [`io::ErrorKind::AlreadyExists`] if there is such a file.
#[cfg(feature = "torch")]
pub(crate) fn write_new(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    let mut file = beside(path)?;
    file.write_all(content.as_ref())?;
    file.persist_noclobber(path).map(drop).map_err(|error| error.error)
}

/// Does what [`write()`] does, for a library that writes files by name. Makes the folder of `path`.
///
/// # Errors
/// If `fill` fails, or the folder cannot be written.
#[cfg(feature = "torch")]
pub(crate) fn write_by<E>(path: &Path, fill: impl FnOnce(&Path) -> Result<(), E>) -> Result<()>
where
    anyhow::Error: From<E>,
{
    let write = || {
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        let file = beside(path)?;
        fill(file.path())?;
        file.persist(path)?;
        anyhow::Ok(())
    };
    write().with_context(|| format!("{}: cannot be written", path.display()))
}

/// A temporary file in the folder of `path`, gone if it is not kept. Any user may read it, as any new file;
/// temporary files are otherwise their owner's alone.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.prefix(".ment-").tempfile_in(folder.unwrap_or(Path::new(".")))
}

#[cfg(test)]
mod tests {
    use super::{write, write_part};

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.md");
        write(&path, "a").unwrap();
        write(&path, "b").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "b");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        write(&folder.path().join("none/table.md"), "a").unwrap_err();
    }

    #[test]
    fn a_file_of_the_old_layout_gives_way() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("table.md"), "old").unwrap();
        let path = write_part(folder.path(), "tables", "table.md", "new").unwrap();
        assert_eq!(path, folder.path().join("tables/table.md"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert!(!folder.path().join("table.md").exists());
    }
}
