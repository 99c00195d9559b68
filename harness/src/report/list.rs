//! The tables and pictures of a run, in the order they are printed. A new one is one line.

use crate::records::Record;
use crate::records::manifest::{Headings, Manifest};
use crate::report::claims;
use crate::report::figures::{
    comparison, figure6, forced_and_free, gain_by_place, layers, phases, skipped_by_rank,
    time_by_length, tradeoff,
};
use crate::report::measures::Material;
use crate::report::tables::{
    edit_sizes, neurons, paper_comparison, sensitivity, side_effects, table1, table3, table3_free,
    table4, table5, table6,
};
use crate::table::Table;
use anyhow::Result;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// A table: its name, as file and on the command line, and how it is made and drawn.
struct TableEntry {
    name: &'static str,
    made: Recipe,
    draw: Option<Picture>,
}

/// Recipe of a table; it makes none where the records do not fill it.
enum Recipe {
    /// A table of the records.
    Of(fn(&Material<'_>) -> Result<Option<Table>>),
    /// The table of this name with the paper's figures beside it.
    Beside(&'static str),
}

/// Function that draws a table into a folder and returns the files.
type Picture = fn(&Table, &Path) -> Result<Vec<PathBuf>>;

const fn table(name: &'static str, of: fn(&Material<'_>) -> Result<Option<Table>>) -> TableEntry {
    TableEntry { name, made: Recipe::Of(of), draw: None }
}

const fn beside(name: &'static str, table: &'static str) -> TableEntry {
    TableEntry { name, made: Recipe::Beside(table), draw: None }
}

impl TableEntry {
    const fn drawn(self, draw: Picture) -> Self {
        Self { name: self.name, made: self.made, draw: Some(draw) }
    }
}

/// Every table. One line each.
#[rustfmt::skip]
const ENTRIES: &[TableEntry] = &[
    table("table1", |of| Ok(table1::build(of))),
    table("table3", |of| of.sources.scores.as_ref().map(|scores| table3::build(scores, &of.sources.order)).transpose()),
    table("table3_free", |of| of.sources.free.as_ref().map(table3_free::build).transpose()),
    table("forced_and_free", |of| Ok(of.sources.free.as_ref().map(forced_and_free::build)))
        .drawn(forced_and_free::draw),
    table("table4", |of| Ok(of.sources.costs.as_ref().map(table4::build))),
    table("table5", |of| Ok(of.sources.costs.as_ref().map(table5::build))),
    table("figure6", |of| Ok(of.sources.costs.as_ref().map(|_| figure6::build(&of.sources.repairs))))
        .drawn(|table, folder| figure6::picture(table).draw(folder)),
    table("figure6_neurons", |of| Ok(of.sources.costs.as_ref().and_then(|_| figure6::distinct_neurons(&of.sources.repairs))))
        .drawn(|table, folder| figure6::picture(table).draw(folder)),
    table("phases", |of| Ok(of.sources.costs.as_ref().map(|costs| phases::build(costs, of.manifest))))
        .drawn(phases::draw),
    table("edit_sizes", |of| Ok(edit_sizes::build(of))),
    table("side_effects", |of| Ok(of.sources.costs.as_ref().and_then(side_effects::build))),
    table("table6", |of| Ok(of.sources.probes.as_ref().map(|probes| table6::build(probes, &of.manifest.identity))))
        .drawn(tradeoff::draw),
    table("table6_types", |of| Ok(of.sources.probes.as_ref().map(table6::by_type))),
    table("table6_subtypes", |of| Ok(of.sources.probes.as_ref().map(table6::by_subtype))),
    table("table6_readings", |of| Ok(of.sources.probes.as_ref().map(table6::readings))),
    beside("beside_table1", "table1"),
    beside("beside_table3", "table3").drawn(comparison::by_group),
    beside("beside_table4", "table4").drawn(comparison::by_group),
    beside("beside_table5", "table5").drawn(comparison::by_group),
    beside("beside_table6", "table6").drawn(comparison::by_column),
    table("sensitivity", sensitivity::build),
    table("claims", |of| Ok(claims::build(of))),
    table("baseline_claims", |of| Ok(claims::baselines(of))),
    table("skipped_by_rank", |of| Ok(of.repairs().map(skipped_by_rank::build)))
        .drawn(|table, folder| skipped_by_rank::picture(table).draw(folder)),
    table("time_by_length", |of| Ok(of.repairs().map(time_by_length::build)))
        .drawn(|table, folder| time_by_length::picture(table).draw(folder)),
    table("gain_by_place", |of| Ok(of.repairs().map(gain_by_place::build)))
        .drawn(|table, folder| gain_by_place::picture(table).draw(folder)),
    table("layers", |of| Ok(of.repairs().map(layers::build)))
        .drawn(|table, folder| layers::picture(table).draw(folder)),
    table("neurons", |of| Ok(of.repairs().map(neurons::build))),
];

/// The names of all tables, as files and on the command line.
pub fn table_names() -> impl Iterator<Item = &'static str> {
    ENTRIES.iter().map(|entry| entry.name)
}

/// Every table the records can fill.
///
/// # Errors
/// If the records contradict each other.
pub fn tables(records: &[Record], manifest: &Manifest) -> Result<Vec<Table>> {
    let material = Material::of(records, manifest)?;
    let own = ENTRIES.par_iter().map(|entry| match entry.made {
        Recipe::Of(build) => build(&material),
        Recipe::Beside(_) => Ok(None),
    });
    let own: Vec<Option<Table>> = own.collect::<Result<_>>()?;
    let (model, departures) = (manifest.identity.model(), manifest.all_deviations().len());
    let same_clock = |a: &str, b: &str| manifest.keep_time(a, b);
    let besides = ENTRIES.iter().map(|entry| {
        let Recipe::Beside(name) = entry.made else { return None };
        let table = own.iter().flatten().find(|table| table.name == name)?;
        paper_comparison::build(table, entry.name, (model, departures), same_clock)
    });
    let besides: Vec<Option<Table>> = besides.collect();
    let tables = own.into_iter().zip(besides).filter_map(|(own, beside)| own.or(beside));
    let headings = manifest.identity.headings();
    Ok(tables.map(|table| headed(table, &headings)).collect())
}

/// `table` with the `headings` of a run. The paper's figures stand beside them as those of the official sets.
fn headed(mut table: Table, headings: &Headings) -> Table {
    let mut found = Vec::new();
    for group in &mut table.groups {
        let of_columns = group.columns.iter_mut().map(|column| &mut column.title);
        for title in of_columns {
            if let Some(heading) = headings.of(title) {
                *title = heading;
                found.push(heading);
            }
        }
        if let Some(heading) = headings.of(&group.title) {
            group.title = heading.into();
            found.push(heading);
        }
    }
    for note in &mut table.notes {
        *note = headings.in_sentence(note);
    }
    if table.rows.iter().any(|row| row.paper.is_some()) && !found.is_empty() {
        let samples = headings.samples().filter(|heading| found.contains(heading));
        table.notes.push(format!(
            "{}: written for this project; the paper's figures beside it are of the official data",
            samples.collect::<Vec<_>>().join(", ")
        ));
    }
    table
}

/// Draws those of `tables` that have a picture into `folder`; the files.
///
/// # Errors
/// If one cannot be written.
pub(crate) fn draw(tables: &[Table], folder: &Path) -> Result<Vec<PathBuf>> {
    let drawn = ENTRIES.par_iter().map(|entry| {
        let table = tables.iter().find(|table| table.name == entry.name);
        match (table, entry.draw) {
            (Some(table), Some(draw)) => draw(table, folder),
            _ => Ok(Vec::new()),
        }
    });
    Ok(drawn.collect::<Result<Vec<_>>>()?.concat())
}
