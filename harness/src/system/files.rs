//! Files that are written whole or not at all.

use anyhow::{Context, Result};
use std::io::{self, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// Writes `content` to `path`, in place of what is there. Nobody ever reads half of it.
///
/// # Errors
/// If the folder does not exist or cannot be written; the error names the file.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    replace(path, content).with_context(|| format!("{}: cannot be written", path.display()))
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
    use super::write;

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
}
