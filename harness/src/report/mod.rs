//! Records to tables. Never loads a model.

mod beside;
mod bootstrap;
mod by_class;
mod claims;
mod compare;
mod costs;
pub mod export;
mod figure6;
mod frame;
mod gain_by_place;
pub mod html;
mod layers;
mod measured;
mod neurons;
mod panels;
mod phases;
pub(crate) mod plot;
mod probes;
mod published;
mod repairs;
mod scores;
mod side_effects;
mod significance;
mod skipped_by_rank;
pub mod table;
mod table3;
mod table4;
mod table5;
mod table6;
mod time_by_length;
mod tradeoff;

pub use self::compare::compare;

use self::costs::Costs;
use self::frame::Order;
use self::measured::Measured;
use self::probes::Probes;
use self::repairs::Repairs;
use crate::error::InputError;
use crate::manifest::Manifest;
use crate::record::Record;
use crate::store::{self, Run};
use anyhow::Result;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use table::Table;

/// The tables of a run, and the files they were written to.
#[derive(Debug)]
pub struct Report {
    /// In the order they are printed.
    pub tables: Vec<Table>,
    /// Where the run departs from the paper, and what of its records does not count.
    pub deviations: Vec<String>,
    /// What was written.
    pub files: Vec<PathBuf>,
}

/// Reads the run in `folder`, builds its tables and writes them beside its records.
///
/// # Errors
/// If the folder is no run, or cannot be written.
pub fn report(folder: &Path) -> Result<Report> {
    let Run { manifest, records, left_out } = store::read(folder)?;
    let told = |record: &Record| matches!(record, Record::Prediction(_) | Record::Patch(_));
    if !records.iter().any(told) {
        let dropped = records.iter().filter(|r| matches!(r, Record::Case(case) if case.dropped));
        let what = match dropped.count() {
            0 => "nothing was measured yet; run it first".into(),
            some => format!("all {some} cases were dropped: the model predicts no declared token"),
        };
        return Err(InputError::new(format!("{}: {what}", folder.display())));
    }
    let mut tables = tables(&records, &manifest)?;
    let left_out = left_out.into_iter().map(|what| format!("left out of the records: {what}"));
    let deviations: Vec<String> = manifest.all_deviations().into_iter().chain(left_out).collect();
    for table in &mut tables {
        table.deviations.clone_from(&deviations);
    }
    let mut files = tables
        .iter()
        .map(|table| export::write(table, folder))
        .collect::<Result<Vec<_>>>()?
        .concat();
    for (name, draw) in PICTURES {
        if let Some(table) = tables.iter().find(|table| table.name == name) {
            files.extend(draw(table, folder)?);
        }
    }
    files.push(html::write(folder, &manifest, &records, &tables, &files)?);
    Ok(Report { tables, deviations, files })
}

/// The names of all tables, as files and on the command line.
pub const TABLES: [&str; 20] = [
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
    "claims",
    "skipped_by_rank",
    "time_by_length",
    "gain_by_place",
    "layers",
    "neurons",
];

/// What draws a table into a folder; the files.
type Picture = fn(&Table, &Path) -> Result<Vec<PathBuf>>;

/// The tables that are drawn. One line a picture.
const PICTURES: [(&str, Picture); 7] = [
    (figure6::NAME, |table, folder| figure6::picture(table).draw(folder)),
    ("phases", phases::draw),
    ("table6", tradeoff::draw),
    ("skipped_by_rank", |table, folder| skipped_by_rank::picture(table).draw(folder)),
    ("time_by_length", |table, folder| time_by_length::picture(table).draw(folder)),
    ("gain_by_place", |table, folder| gain_by_place::picture(table).draw(folder)),
    ("layers", |table, folder| layers::picture(table).draw(folder)),
];

/// Every table the records can fill. One line a table.
///
/// # Errors
/// If the records contradict each other.
pub fn tables(records: &[Record], manifest: &Manifest) -> Result<Vec<Table>> {
    let order = Order::of(records, manifest.identity.methods.keys());
    let mut tables = Vec::new();
    let mut measured = Measured::default();
    if !order.methods.is_empty() {
        let scores = scores::scores(records)?;
        measured.add_scores(&scores)?;
        tables.push(table3::build(&scores, &order)?);
    }
    let repairs = Repairs::of(records, &manifest.identity);
    let mut edits = HashMap::new();
    if let Some(costs) = Costs::of(records, &order, &manifest.identity)? {
        measured.add_errors(&costs.errors)?;
        tables.push(table4::build(&costs));
        tables.push(table5::build(&costs));
        let figure6 = figure6::build(&repairs);
        edits = figure6::counts(&figure6);
        tables.push(figure6);
        tables.push(phases::build(&costs, manifest));
        tables.extend(side_effects::build(&costs));
    }
    let probes = Probes::of(records, manifest)?;
    if let Some(probes) = &probes {
        measured.add_probes(probes);
        tables.extend(table6::all(probes, &manifest.identity));
    }
    let same_clock = |a: &str, b: &str| manifest.keep_time(a, b);
    let model = manifest.identity.model();
    let beside = tables.iter().filter_map(|table| beside::build(table, model, same_clock));
    let beside: Vec<Table> = beside.collect();
    tables.extend(beside);
    let told = claims::Run { measured, model, same_clock: &same_clock, edits };
    tables.push(claims::build(&told, probes.is_some()));
    if !repairs.all.is_empty() {
        let of_repairs = [skipped_by_rank::build, time_by_length::build, gain_by_place::build];
        tables.extend(of_repairs.map(|build| build(&repairs)));
        tables.extend([layers::build(&repairs), neurons::build(&repairs)]);
    }
    Ok(tables)
}
