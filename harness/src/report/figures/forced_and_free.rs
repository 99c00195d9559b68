//! Figure of exact matches under teacher forcing and under free generation.

use crate::report::measures::free::{FreeSums, FreeTexts};
use crate::table::plot;
use crate::table::{Better, Column, Format, Group, Row, Table};
use anyhow::Result;
use plotters::prelude::*;
use std::path::{Path, PathBuf};

/// The bars of the picture: columns of the table.
const BARS: [&str; 3] = ["alone", "together", "free"];

pub(crate) fn build(texts: &FreeTexts) -> Table {
    let column = |title, better| Column { title, better, format: Format::Percent };
    let columns = || {
        let mut columns: Vec<Column> = BARS.map(|bar| column(bar, Better::Higher)).to_vec();
        columns.extend(["undone", "broken"].map(|title| column(title, Better::Lower)));
        columns.push(column("ended", Better::Neither));
        columns.push(Column { title: "data", better: Better::Neither, format: Format::Count });
        columns
    };
    let groups = texts.order.datasets.iter();
    let groups = groups.map(|dataset| Group { title: dataset.label().into(), columns: columns() });
    let share = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
    let cells = |sums: Option<FreeSums>| {
        let Some(of) = sums else { return vec![None; 7] };
        vec![
            share(of.alone, of.data),
            share(of.together, of.data),
            share(of.free, of.data),
            share(of.undone, of.repaired),
            share(of.broken, of.right),
            share(of.ended, of.data),
            Some(of.data),
        ]
    };
    let row = |method: &String| {
        let datasets = texts.order.datasets.iter();
        let cells = datasets.flat_map(|dataset| cells(texts.sums(*dataset, method)));
        Row::new(method, cells.collect())
    };
    Table {
        name: "forced_and_free",
        title: "Exact matches, forced and free.".into(),
        stub: "Approach",
        groups: groups.collect(),
        rows: texts.order.methods.iter().map(row).collect(),
        reference: None,
        notes: vec![
            "alone: data all of whose errors were repaired, each by itself (EM of Table III); together: data that are \
             right given the gold before each token, under all edits of the datum at once; free: data that the model \
             writes by itself under them; undone: repaired errors that come back under the edits of other tokens; \
             broken: tokens that were right before and are wrong under all edits; ended: answers that ended before \
             the limit"
                .into(),
            "an edit that acts at one position only (Knowledge Neurons at the last position) cannot stand while the \
             model writes, and has no row"
                .into(),
        ],
        deviations: Vec::new(),
    }
}

/// Width of the part of one data set, in pixels.
const WIDTH: u32 = 360;
/// Heights of a bar, of an approach with its three bars, and of what stands above them.
const BAR: i32 = 12;
const APPROACH: i32 = 3 * BAR + 14;
const TOP: i32 = 124;
/// From light to dark, in the order of the bars.
const INKS: [RGBColor; 3] =
    [RGBColor(200, 200, 200), RGBColor(130, 130, 130), RGBColor(40, 40, 40)];
const MEANINGS: [&str; 3] = [
    "each error repaired alone, given the gold",
    "all edits together, given the gold",
    "written by the model itself",
];

/// Draws the bars into `folder`: a part a data set, three bars an approach, all on one scale.
///
/// # Errors
/// If it cannot be drawn, or a file not be written.
pub(crate) fn draw(table: &Table, folder: &Path) -> Result<Vec<PathBuf>> {
    let columns = table.groups.first().map_or(0, |group| group.columns.len());
    let longest = table.rows.iter().map(|row| row.label.chars().count()).max().unwrap_or(0);
    let left = 24 + 8 * longest as i32;
    let parts = table.groups.len() as u32;
    let width = (left as u32 + WIDTH * parts + 60).max(560);
    let height = TOP + APPROACH * table.rows.len() as i32 + 16;
    plot::write(folder, table.name, (width, height as u32), |area| {
        let text = |text: &str, at: (i32, i32), size: i32| {
            area.draw(&Text::new(text.to_string(), at, ("sans-serif", size)))
        };
        text("Exact matches, forced and free", (14, 8), 18)?;
        for (line, (ink, meaning)) in (0..).zip(INKS.iter().zip(MEANINGS)) {
            let y = 36 + (BAR + 6) * line;
            area.draw(&Rectangle::new([(14, y), (14 + BAR, y + BAR)], ink.filled()))?;
            text(meaning, (14 + BAR + 8, y - 1), 13)?;
        }
        for (index, row) in table.rows.iter().enumerate() {
            let y = TOP + APPROACH * index as i32;
            text(&row.label, (14, y + BAR), 14)?;
            for (part, cells) in row.cells.chunks(columns).enumerate() {
                let start = left + (WIDTH as i32) * part as i32;
                let whole = f64::from(WIDTH) - 90.0;
                for (bar, ink) in INKS.iter().enumerate() {
                    let top = y + BAR * bar as i32;
                    let Some(value) = cells[bar] else { continue };
                    let end = start + (value * whole).round() as i32;
                    area.draw(&Rectangle::new(
                        [(start, top), (end.max(start + 1), top + BAR - 2)],
                        ink.filled(),
                    ))?;
                    text(&format!("{:.1} %", value * 100.0), (end + 5, top - 1), 12)?;
                }
            }
        }
        for (part, group) in table.groups.iter().enumerate() {
            let start = left + (WIDTH as i32) * part as i32;
            let data = table.rows.first().and_then(|row| row.cells[(part + 1) * columns - 1]);
            let head = format!("{} (n = {:.0})", group.title, data.unwrap_or_default());
            text(&head, (start, TOP - 26), 15)?;
            let foot = TOP + APPROACH * table.rows.len() as i32 - 8;
            area.draw(&PathElement::new([(start, TOP - 4), (start, foot)], BLACK))?;
        }
        Ok(())
    })
}
