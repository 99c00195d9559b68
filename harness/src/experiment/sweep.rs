//! A config with a `[sweep]`: every point is a separate run, in a folder named after its id. A
//! point that fails stops no other.

use crate::config::{Config, Point};
use crate::error::{InputError, Interrupted};
use crate::records::manifest;
use crate::report::SweptPoint;
use crate::system::log;
use anyhow::{Context, Result, anyhow};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use tracing::{info, warn};

/// Outcome of the points of a sweep.
#[derive(Debug, Default)]
pub struct Swept {
    /// Points that were run.
    pub points: Vec<SweptPoint>,
    /// The others, each with its reason.
    pub failed: Vec<String>,
}

/// Runs or continues every point by `one`, which is given its config and folder.
///
/// # Errors
/// If two points are the same, or the user stops the run.
pub fn run(
    points: &[Point],
    out: &Path,
    mut one: impl FnMut(&Config, &Path) -> Result<()>,
) -> Result<Swept> {
    let folders = folders(points, out)?;
    std::fs::create_dir_all(out).with_context(|| format!("{}: cannot be made", out.display()))?;
    let mut swept = Swept::default();
    for (index, (point, folder)) in points.iter().zip(folders).enumerate() {
        log::to(out);
        let settings = point.settings.join(", ");
        let folder = folder.unwrap_or_default();
        info!("point {} of {}: {settings} → {}", index + 1, points.len(), folder.display());
        let config = point.config.as_ref().map_err(|error| InputError::new(error.clone()));
        let ran = config.and_then(|config| {
            // Nor does a panic, such as libtorch's where memory runs out.
            catch_unwind(AssertUnwindSafe(|| one(config, &folder)))
                .unwrap_or_else(|_| Err(anyhow!("bug in this program; its message is above")))
        });
        match ran {
            Ok(()) => swept.points.push(SweptPoint { settings, folder }),
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => {
                let reason = format!("{settings}: {error:#}");
                log::to(out);
                warn!("this point failed, the others continue: {reason}");
                swept.failed.push(reason);
            }
        }
    }
    Ok(swept)
}

/// Folder of each point; `None` if the point has no config.
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
        let id = manifest::id(config, &point.settings);
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
