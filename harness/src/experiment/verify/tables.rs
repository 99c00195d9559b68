//! Check that tables and pictures follow from the records.

use super::Check;
use crate::records::store::Run;
use crate::report;
use anyhow::{Context, Result};
use std::path::Path;

/// Everything is made again elsewhere, and compared byte by byte.
pub(super) fn check(run: &Run, folder: &Path) -> Result<Check> {
    let scratch = tempfile::tempdir().context("no folder for temporary files")?;
    let made = match report::write(run, scratch.path()) {
        Ok(report) => report.files,
        Err(error) => return Ok(Check::of("tables", "none".into(), &[format!("{error:#}")])),
    };
    let (mut same, mut missing, mut found) = (0, 0, Vec::new());
    for file in made {
        let name = file.strip_prefix(scratch.path()).expect("it was made there");
        // Earlier versions wrote all files beside the records.
        let there = folder.join(name);
        let there =
            if there.exists() { there } else { folder.join(file.file_name().unwrap_or_default()) };
        let own = std::fs::read(&file).with_context(|| format!("{}: gone", file.display()))?;
        match std::fs::read(there) {
            Ok(theirs) if theirs == own => same += 1,
            Ok(_) => found.push(format!("{} differs from the records", name.display())),
            Err(_) => missing += 1,
        }
    }
    let missing = match missing {
        0 => String::new(),
        some => format!(", {some} are not in the folder"),
    };
    if !found.is_empty() {
        found.insert(0, "`ment report` writes them again; an older version wrote others".into());
    }
    Ok(Check::of("tables", format!("{same} files are those of the records{missing}"), &found))
}
