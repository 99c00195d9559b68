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
mod latex;
mod layers;
mod measured;
mod neurons;
mod panels;
mod phases;
pub(crate) mod plot;
mod probes;
mod repairs;
mod scores;
mod side_effects;
mod significance;
mod skipped_by_rank;
mod sources;
mod sweep;
pub mod table;
mod table1;
mod table3;
mod table4;
mod table5;
mod table6;
mod time_by_length;
mod tradeoff;

pub use self::compare::compare;
pub use self::sweep::{SweptPoint, sweep};

use self::measured::Measured;
use self::repairs::Repairs;
use self::sources::Sources;
use crate::error::InputError;
use crate::manifest::Manifest;
use crate::record::Record;
use crate::store::{self, Run};
use anyhow::Result;
use rayon::prelude::*;
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
    write(&store::read(folder)?, folder)
}

/// Builds the tables of `run` and writes them into `folder`, its own or another.
///
/// # Errors
/// If the records contradict each other or hold nothing to tell, or `folder` cannot be written.
pub fn write(run: &Run, folder: &Path) -> Result<Report> {
    let Run { manifest, records, left_out } = run;
    let told = |record: &Record| matches!(record, Record::Prediction(_) | Record::Patch(_));
    if !records.iter().any(told) {
        let dropped = records.iter().filter(|r| matches!(r, Record::Case(case) if case.dropped));
        let what = match dropped.count() {
            0 => "nothing was measured yet; run it first".into(),
            some => format!("all {some} cases were dropped: the model predicts no declared token"),
        };
        return Err(InputError::new(format!("{}: {what}", folder.display())));
    }
    let mut tables = tables(records, manifest)?;
    let deviations = manifest.all_deviations();
    let left_out = left_out.iter().map(|what| format!("left out of the records: {what}"));
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
    let drawn = PICTURES.par_iter().map(|(name, draw)| {
        let table = tables.iter().find(|table| table.name == *name);
        table.map_or(Ok(Vec::new()), |table| draw(table, folder))
    });
    files.extend(drawn.collect::<Result<Vec<_>>>()?.concat());
    files.push(html::write(folder, manifest, records, &tables, &files)?);
    Ok(Report { tables, deviations, files })
}

/// The names of all tables, as files and on the command line.
pub const TABLES: &[&str] = &[
    "table1",
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
    "beside_table1",
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

/// The tables of repairs, of whichever experiment.
const OF_REPAIRS: &[fn(&Repairs<'_>) -> Table] = &[
    skipped_by_rank::build,
    time_by_length::build,
    gain_by_place::build,
    layers::build,
    neurons::build,
];

/// What draws a table into a folder; the files.
type Picture = fn(&Table, &Path) -> Result<Vec<PathBuf>>;

/// The tables that are drawn. One line a picture.
const PICTURES: &[(&str, Picture)] = &[
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
    let sources = Sources::of(records, manifest)?;
    let Sources { order, scores, costs, probes, repairs } = &sources;
    let mut tables = Vec::new();
    if let Some(scores) = scores {
        tables.extend(table1::build(records, order, manifest));
        tables.push(table3::build(scores, order)?);
    }
    if let Some(costs) = costs {
        tables.push(table4::build(costs));
        tables.push(table5::build(costs));
        tables.push(figure6::build(repairs));
        tables.push(phases::build(costs, manifest));
        tables.extend(side_effects::build(costs));
    }
    if let Some(probes) = probes {
        tables.extend(table6::all(probes, &manifest.identity));
    }
    let same_clock = |a: &str, b: &str| manifest.keep_time(a, b);
    let (model, departures) = (manifest.identity.model(), manifest.all_deviations().len());
    let beside =
        tables.iter().filter_map(|table| beside::build(table, model, departures, same_clock));
    let beside: Vec<Table> = beside.collect();
    tables.extend(beside);
    let (measured, identity) = (&Measured::of(&sources)?, &manifest.identity);
    let grounds = claims::Grounds { measured, repairs, identity, same_clock: &same_clock };
    tables.extend(claims::build(&grounds, probes.is_some()));
    if !repairs.all.is_empty() {
        tables.par_extend(OF_REPAIRS.par_iter().map(|build| build(repairs)));
    }
    Ok(tables)
}
