//! A config with a `[sweep]`: every point is a run of its own, in a folder that is called by its id. A
//! point that fails stops no other.

use crate::config::{Config, Point};
use crate::error::{InputError, Interrupted};
use crate::manifest;
use crate::report::{self, Swept};
use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tracing::{info, warn};

/// Runs or continues every point by `one`, which is given its config and folder; then compares what there is.
/// The files of the comparison.
///
/// # Errors
/// If two points are the same, the user stops the run, or some point failed: each is named with its reason.
pub fn run(
    points: &[Point],
    out: &Path,
    mut one: impl FnMut(&Config, &Path) -> Result<()>,
) -> Result<report::Comparison> {
    let folders = folders(points, out)?;
    let mut swept = Vec::new();
    let mut failed = Vec::new();
    for (index, (point, folder)) in points.iter().zip(&folders).enumerate() {
        let settings = point.settings.join(", ");
        let place = folder.as_deref().unwrap_or(Path::new("not run"));
        info!("point {} of {}: {settings} → {}", index + 1, points.len(), place.display());
        let ran = match (&point.config, folder) {
            (Ok(config), Some(folder)) => one(config, folder),
            (Err(error), _) => Err(InputError::new(error.clone())),
            (Ok(_), None) => unreachable!("a config has a folder"),
        };
        match ran {
            Ok(()) => swept.push(Swept { settings, folder: place.to_path_buf() }),
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => {
                let reason = format!("{settings}: {error:#}");
                warn!("this point failed, the others go on: {reason}");
                failed.push(reason);
            }
        }
    }
    if swept.is_empty() {
        bail!("all {} points failed:\n{}", failed.len(), failed.join("\n"));
    }
    report::sweep(&swept, failed, out)
}

/// Where each point is run; nowhere, if it has no config.
///
/// # Errors
/// If two of them are the same.
pub fn folders(points: &[Point], out: &Path) -> Result<Vec<Option<PathBuf>>> {
    let mut known: BTreeMap<String, &Point> = BTreeMap::new();
    let mut folders = Vec::with_capacity(points.len());
    for point in points {
        let Ok(config) = &point.config else {
            folders.push(None);
            continue;
        };
        let id = manifest::id(config);
        if let Some(other) = known.insert(id.clone(), point) {
            return Err(InputError::new(format!(
                "sweep: `{}` and `{}` are the same run",
                other.settings.join(", "),
                point.settings.join(", ")
            )));
        }
        folders.push(Some(out.join(id)));
    }
    Ok(folders)
}
