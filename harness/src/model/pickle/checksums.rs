//! The checksums of a zip archive's entries, after some of their bytes were changed in place.

use anyhow::{Context, Result};
use memmap2::MmapMut;
use std::fs::OpenOptions;
use std::io::Cursor;
use std::ops::Range;
use std::path::{Path, PathBuf};
use zip::ZipArchive;

/// Offset of the checksum in a header of the directory at the end, and in one before an entry.
const CENTRAL: usize = 16;
const LOCAL: usize = 14;
/// Offset of the flags in a header before an entry, and the flag that says that the checksum follows the
/// entry.
const FLAGS: usize = 6;
const BEHIND: u8 = 1 << 3;
/// Optional signature before a checksum that follows an entry.
const SIGNATURE: &[u8] = b"PK\x07\x08";

/// The entries of an archive whose checksums fit; some writers leave them out, and those stay as they are.
pub(crate) struct Checksums {
    path: PathBuf,
    fitting: Vec<ZipEntry>,
}

/// Location of an entry and its headers.
struct ZipEntry {
    data: Range<usize>,
    central: usize,
    local: usize,
}

impl Checksums {
    /// Reads the checksums of the archive `path`.
    ///
    /// # Errors
    /// If it is no zip archive, or cannot be read.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let map = map(path)?;
        let failed = || format!("{}: a damaged zip", path.display());
        let mut archive = ZipArchive::new(Cursor::new(&map[..])).with_context(failed)?;
        let mut fitting = Vec::new();
        for index in 0..archive.len() {
            let entry = archive.by_index_raw(index).with_context(failed)?;
            let start = entry.data_start() as usize;
            let data = start..start + entry.compressed_size() as usize;
            if crc32fast::hash(&map[data.clone()]) == entry.crc32() {
                let central = entry.central_header_start() as usize;
                fitting.push(ZipEntry { data, central, local: entry.header_start() as usize });
            }
        }
        Ok(Self { path: path.to_path_buf(), fitting })
    }

    /// Writes them again, for the bytes that are there now.
    ///
    /// # Errors
    /// If the archive cannot be written.
    pub(crate) fn update(&self) -> Result<()> {
        let mut map = map(&self.path)?;
        for ZipEntry { data, central, local } in &self.fitting {
            let checksum = crc32fast::hash(&map[data.clone()]).to_le_bytes();
            let behind = map[local + FLAGS] & BEHIND != 0;
            let signed = map[data.end..].starts_with(SIGNATURE);
            let signature = if signed { SIGNATURE.len() } else { 0 };
            let own = if behind { data.end + signature } else { local + LOCAL };
            for at in [central + CENTRAL, own] {
                map[at..at + 4].copy_from_slice(&checksum);
            }
        }
        map.flush().with_context(|| format!("{}: cannot be written", self.path.display()))
    }
}

fn map(path: &Path) -> Result<MmapMut> {
    let failed = || format!("{}: cannot be opened for writing", path.display());
    let file = OpenOptions::new().read(true).write(true).open(path).with_context(failed)?;
    // Safety: the caller's own copy, which nobody else writes to.
    unsafe { MmapMut::map_mut(&file) }.with_context(failed)
}
