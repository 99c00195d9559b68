//! Records to tables. Never loads a model.

mod beside;
mod bootstrap;
mod costs;
pub mod export;
mod figure6;
mod frame;
mod phases;
pub(crate) mod plot;
mod probes;
mod published;
mod scores;
mod side_effects;
pub mod table;
mod table3;
mod table4;
mod table5;
mod table6;
mod tradeoff;

use self::costs::Costs;
use self::frame::Order;
use self::probes::Probes;
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
    let told = |record: &Record| matches!(record, Record::Prediction(_) | Record::Patch(_));
    if !records.iter().any(told) {
        let dropped = records.iter().filter(|r| matches!(r, Record::Case(case) if case.dropped));
        let what = match dropped.count() {
            0 => "nothing was measured yet; run it first".into(),
            some => format!("all {some} cases were dropped: the model predicts no declared token"),
        };
        return Err(InputError::new(format!("{}: {what}", folder.display())));
    }
    let tables = tables(&records, &manifest)?;
    let mut files = tables
        .iter()
        .map(|table| export::write(table, folder))
        .collect::<Result<Vec<_>>>()?
        .concat();
    if let Some(table) = tables.iter().find(|table| table.name == figure6::NAME) {
        files.extend(figure6::draw(table, folder)?);
    }
    if let Some(table) = tables.iter().find(|table| table.name == "table6") {
        files.extend(tradeoff::draw(table, folder)?);
    }
    Ok(Report { tables, deviations: manifest.all_deviations(), files })
}

/// The names of all tables, as files and on the command line.
pub const TABLES: [&str; 14] = [
    "table3",
    "table4",
    "table5",
    figure6::NAME,
    "phases",
    "side_effects",
    "table6",
    "table6_types",
    "table6_subtypes",
    "table6_readings",
    "beside_table3",
    "beside_table4",
    "beside_table5",
    "beside_table6",
];

/// Every table the records can fill. One line a table.
///
/// # Errors
/// If the records contradict each other.
pub fn tables(records: &[Record], manifest: &Manifest) -> Result<Vec<Table>> {
    let order = Order::of(records, manifest.identity.methods.keys());
    let mut tables = Vec::new();
    if !order.methods.is_empty() {
        tables.push(table3::build(records, &order)?);
    }
    if let Some(costs) = Costs::of(records, &order, &manifest.identity)? {
        tables.push(table4::build(&costs));
        tables.push(table5::build(&costs));
        tables.push(figure6::build(records, &costs));
        tables.push(phases::build(&costs, manifest));
        tables.extend(side_effects::build(&costs));
    }
    if let Some(probes) = Probes::of(records, manifest)? {
        tables.extend(table6::all(&probes, &manifest.identity));
    }
    let same_clock = |a: &str, b: &str| manifest.keep_time(a, b);
    let model = manifest.identity.model();
    let beside = tables.iter().filter_map(|table| beside::build(table, model, same_clock));
    let beside: Vec<Table> = beside.collect();
    tables.extend(beside);
    for table in &mut tables {
        table.deviations = manifest.all_deviations();
    }
    Ok(tables)
}
