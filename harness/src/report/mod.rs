//! Records to tables. Never loads a model.

mod costs;
pub mod export;
mod frame;
mod scores;
pub mod table;
mod table3;

use crate::error::InputError;
use crate::manifest::Manifest;
use crate::record::Record;
use crate::store;
use anyhow::Result;
use std::path::{Path, PathBuf};
use table::Table;

/// The tables of a run, and the files they were written to.
#[derive(Debug)]
pub struct Report {
    /// In the order they are printed.
    pub tables: Vec<Table>,
    /// Where the run departs from the paper.
    pub deviations: Vec<String>,
    /// What was written.
    pub files: Vec<PathBuf>,
}

/// Reads the run in `folder`, builds its tables and writes them beside its records.
///
/// # Errors
/// If the folder is no run, or cannot be written.
pub fn report(folder: &Path) -> Result<Report> {
    let (manifest, records) = store::read(folder)?;
    if !records.iter().any(|record| matches!(record, Record::Prediction(_))) {
        return Err(InputError::new(format!(
            "{}: nothing was predicted yet; run it first",
            folder.display()
        )));
    }
    let tables = tables(&records, &manifest)?;
    let files = tables
        .iter()
        .map(|table| export::write(table, folder))
        .collect::<Result<Vec<_>>>()?
        .concat();
    Ok(Report { tables, deviations: manifest.deviations, files })
}

/// Every table the records can fill. One line a table.
///
/// # Errors
/// If the records contradict each other.
pub fn tables(records: &[Record], manifest: &Manifest) -> Result<Vec<Table>> {
    let mut tables = vec![table3::build(records)?];
    tables.extend(costs::build(records, &manifest.identity.quotas())?);
    for table in &mut tables {
        table.deviations = manifest.deviations.clone();
    }
    Ok(tables)
}
