//! Records to tables. Never loads a model.

mod claims;
mod compare;
mod figures;
mod list;
mod measures;
pub mod page;
mod sweep;
mod tables;

pub use self::compare::compare;
pub use self::list::{table_names, tables};
pub use self::sweep::{SweptPoint, sweep};

use crate::error::InputError;
use crate::records::Record;
use crate::records::store::{self, Run};
use crate::table::{Table, export};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// The tables of a run, and the files they were written to.
#[derive(Debug)]
pub struct Report {
    /// In the order they are printed.
    pub tables: Vec<Table>,
    /// Departures of the run from the paper.
    pub deviations: Vec<String>,
    /// Files that were written.
    pub files: Vec<PathBuf>,
}

/// Reads the run in `folder`, builds its tables and writes them beside its records.
///
/// # Errors
/// If the folder is no run, or cannot be written.
pub fn report(folder: &Path) -> Result<Report> {
    write(&store::read(folder)?, folder)
}

/// Builds the tables of `run` and writes them into `folder`, its own or another.
///
/// # Errors
/// If the records contradict each other or hold nothing to tell, or `folder` cannot be written.
pub fn write(run: &Run, folder: &Path) -> Result<Report> {
    let Run { manifest, records, left_out } = run;
    let told = |record: &Record| matches!(record, Record::Prediction(_) | Record::Probe(_));
    if !records.iter().any(told) {
        let dropped = records.iter().filter(|r| matches!(r, Record::Case(case) if case.dropped));
        let what = match dropped.count() {
            0 => "it holds no measurements yet; run it first".into(),
            some => format!("all {some} cases were dropped: the model predicts no declared token"),
        };
        return Err(InputError::new(format!("{}: {what}", folder.display())));
    }
    let mut tables = tables(records, manifest)?;
    let deviations = manifest.all_deviations();
    let left_out = left_out.iter().map(|what| format!("records left out: {what}"));
    let left_out: Vec<String> = left_out.collect();
    for table in &mut tables {
        table.notes.extend(left_out.iter().cloned());
        table.deviations.clone_from(&deviations);
    }
    let mut files = tables
        .iter()
        .map(|table| export::write(table, folder))
        .collect::<Result<Vec<_>>>()?
        .concat();
    files.extend(list::draw(&tables, folder)?);
    files.push(page::write(folder, manifest, records, &tables, &files)?);
    Ok(Report { tables, deviations, files })
}
