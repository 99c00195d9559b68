//! The points of a sweep side by side.

use crate::records::store::{self, Run};
use crate::report::measures::measured::{Measure, Measured};
use crate::report::measures::sources::Sources;
use crate::table::{Better, Column, Format, Group, Row, Table, export};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// A point that was run.
#[derive(Debug)]
pub struct SweptPoint {
    /// Settings of the point.
    pub settings: String,
    /// Folder of its run.
    pub folder: PathBuf,
}

/// Every measure of every approach of every point, and the files it was written to in `out`. `failed` says
/// which points are not there, and why.
///
/// # Errors
/// If a run cannot be read, or `out` not be written.
pub fn sweep(
    points: &[SweptPoint],
    failed: &[String],
    out: &Path,
) -> Result<(Table, Vec<PathBuf>)> {
    let compared = Measure::compared();
    let mut rows: Vec<(String, Vec<Option<f64>>)> = Vec::new();
    for point in points {
        let Run { manifest, records, .. } = store::read(&point.folder)?;
        let measured = Measured::of(&Sources::of(&records, &manifest)?)?;
        let identity = &manifest.identity;
        for approach in std::iter::once(identity.model()).chain(identity.labels()) {
            let means = compared.iter().map(|(measure, _)| measured.mean(*measure, approach));
            let means: Vec<Option<f64>> = means.collect();
            if means.iter().any(Option::is_some) {
                rows.push((format!("{}: {approach}", point.settings), means));
            }
        }
    }
    let measured: Vec<usize> = (0..compared.len())
        .filter(|&index| rows.iter().any(|(_, means)| means[index].is_some()))
        .collect();
    let column = |&index: &usize| Column {
        title: compared[index].1,
        better: Better::Neither,
        format: Format::Three,
    };
    let row = |(label, means): (String, Vec<Option<f64>>)| {
        Row::new(label, measured.iter().map(|&index| means[index]).collect())
    };
    let runs = points.iter().map(|point| {
        let name = point.folder.file_name().unwrap_or_default().to_string_lossy();
        format!("{}: {name}/", point.settings)
    });
    let missing = failed.iter().map(|reason| format!("not there: {reason}"));
    let table = Table {
        name: "sweep",
        title: "The points of a sweep.".into(),
        stub: "Point: approach",
        groups: vec![Group {
            title: String::new(),
            columns: measured.iter().map(column).collect(),
        }],
        rows: rows.into_iter().map(row).collect(),
        reference: None,
        notes: std::iter::once("means over all data, errors or cases of a run".to_string())
            .chain(runs)
            .chain(missing)
            .collect(),
        deviations: Vec::new(),
    };
    std::fs::create_dir_all(out).with_context(|| format!("{}: cannot be made", out.display()))?;
    let files = export::write(&table, out)?;
    Ok((table, files))
}
