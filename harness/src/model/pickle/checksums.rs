//! The checksums of a zip archive's entries, after some of their bytes were changed in place.

use anyhow::{Context, Result};
use memmap2::MmapMut;
use std::fs::OpenOptions;
use std::io::Cursor;
use std::path::Path;
use zip::ZipArchive;

/// Of a header in the directory at the end, and of one before an entry: where its checksum stands.
const CENTRAL: usize = 16;
const LOCAL: usize = 14;
/// Where the flags of a header before an entry stand, and the one that says that its checksum stands
/// behind the entry.
const FLAGS: usize = 6;
const BEHIND: u8 = 1 << 3;
/// What may stand before a checksum behind an entry.
const SIGNATURE: &[u8] = b"PK\x07\x08";

/// Writes the checksums of the archive `path` again where they no longer fit.
///
/// # Errors
/// If it is no zip archive, or cannot be written.
pub(crate) fn update_checksums(path: &Path) -> Result<()> {
    let failed = || format!("{}: cannot be written", path.display());
    let file = OpenOptions::new().read(true).write(true).open(path).with_context(failed)?;
    // Safety: the caller's own copy, which nobody else writes to.
    let mut map = unsafe { MmapMut::map_mut(&file) }.with_context(failed)?;
    let mut wrong = Vec::new();
    let mut archive = ZipArchive::new(Cursor::new(&map[..])).with_context(failed)?;
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).with_context(failed)?;
        let start = entry.data_start() as usize;
        let end = start + entry.compressed_size() as usize;
        let checksum = crc32fast::hash(&map[start..end]);
        if checksum != entry.crc32() {
            let headers = [entry.central_header_start(), entry.header_start()];
            wrong.push((headers.map(|at| at as usize), end, checksum));
        }
    }
    for ([central, local], end, checksum) in wrong {
        let behind = map[local + FLAGS] & BEHIND != 0;
        let signature = if map[end..].starts_with(SIGNATURE) { SIGNATURE.len() } else { 0 };
        let own = if behind { end + signature } else { local + LOCAL };
        for at in [central + CENTRAL, own] {
            map[at..at + 4].copy_from_slice(&checksum.to_le_bytes());
        }
    }
    map.flush().with_context(failed)
}
