//! Figure of the time of an error by phase, all data sets together.

use crate::records::manifest::Manifest;
use crate::report::measures::costs::{Cost, Costs};
use crate::table::{Better, Column, Format, Group, Row, Table, plot};
use anyhow::Result;
use plotters::prelude::*;
use std::path::{Path, PathBuf};

type Phase = (&'static str, fn(&Cost) -> f64);

const PHASES: [Phase; 6] = [
    ("Trace", |cost| cost.phases.trace),
    ("Locate", |cost| cost.phases.locate),
    ("Estimate", |cost| cost.phases.estimate),
    ("Plan", |cost| cost.phases.plan),
    ("Apply", |cost| cost.phases.apply),
    ("TC", |cost| cost.phases.total()),
];

/// The phases of TimeCost, and TC.
pub(crate) fn build(costs: &Costs, manifest: &Manifest) -> Table {
    let first = match manifest.format {
        1 => "The first error of a run includes one-time costs",
        _ => "Each method was warmed up on a repair that did not count",
    };
    let column =
        |&(title, _): &Phase| Column { title, better: Better::Neither, format: Format::Duration };
    let columns = PHASES.iter().map(column).collect();
    let row = |method: &String| {
        let cost = costs.over_all(method);
        let cells = PHASES.iter().map(|(_, of)| cost.as_ref().map(of)).collect();
        Row::new(method, cells)
    };
    Table {
        name: "phases",
        title: "Phases of TimeCost, mean over all LLM errors.".into(),
        stub: "Approach",
        groups: vec![Group { title: String::new(), columns }],
        rows: costs.methods.iter().map(row).collect(),
        reference: None,
        notes: vec![format!(
            "Trace: the sequence is run once per datum, counted for its first error. Plan: \
             candidates simulated. Apply: edits committed. {first}"
        )],
        deviations: Vec::new(),
    }
}

const WIDTH: u32 = 760;
const LINE: u32 = 30;
/// A shade of grey a phase, dark to light.
const SHADES: [u8; 5] = [20, 95, 150, 195, 230];

/// A bar an approach, a piece a phase.
pub(crate) fn draw(table: &Table, folder: &Path) -> Result<Vec<PathBuf>> {
    let longest = table.rows.iter().map(|row| row.label.chars().count()).max().unwrap_or(0);
    let left = 20 + 8 * longest as u32;
    let rows = table.rows.len() as u32;
    let size = (left + WIDTH, 80 + LINE * rows + 40); // the axis has 40
    let total = |row: &Row| row.cells.last().copied().flatten().unwrap_or_default();
    let most = table.rows.iter().map(total).fold(0.0, f64::max);
    if most == 0.0 {
        return Ok(Vec::new());
    }
    plot::write(folder, table.name, size, |area| {
        let (head, body) = area.split_vertically(80);
        head.draw(&Text::new(
            "Phases of TimeCost, mean per LLM error",
            (14, 8),
            ("sans-serif", 18),
        ))?;
        let shade = |phase: usize| RGBColor(SHADES[phase], SHADES[phase], SHADES[phase]);
        for (phase, (title, _)) in PHASES[..SHADES.len()].iter().enumerate() {
            let x = (left + 110 * phase as u32) as i32;
            head.draw(&Rectangle::new([(x, 48), (x + 16, 64)], shade(phase).filled()))?;
            head.draw(&Rectangle::new([(x, 48), (x + 16, 64)], BLACK))?;
            head.draw(&Text::new(*title, (x + 22, 49), ("sans-serif", 14)))?;
        }
        let (labels, bars) = body.split_horizontally(left);
        let mut chart = ChartBuilder::on(&bars)
            .margin_right(80)
            .x_label_area_size(40)
            .build_cartesian_2d(0.0..most * 1.05, f64::from(rows)..0.0)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .y_labels(0)
            .x_desc("seconds")
            .light_line_style(WHITE)
            .bold_line_style(RGBColor(215, 215, 215))
            .label_style(("sans-serif", 12))
            .axis_desc_style(("sans-serif", 14))
            .draw()?;
        for (index, row) in table.rows.iter().enumerate() {
            let y = index as f64;
            let mut start = 0.0;
            for (phase, seconds) in row.cells[..SHADES.len()].iter().enumerate() {
                let end = start + seconds.unwrap_or_default();
                let corners = [(start, y + 0.2), (end, y + 0.8)];
                chart.draw_series([Rectangle::new(corners, shade(phase).filled())])?;
                start = end;
            }
            let whole = [(0.0, y + 0.2), (start, y + 0.8)];
            chart.draw_series([Rectangle::new(whole, BLACK)])?;
            let value = Text::new(format!("{start:.2} s"), (6, -6), ("sans-serif", 12));
            chart.draw_series([EmptyElement::at((start, y + 0.5)) + value])?;
            let at = (14, (index as u32 * LINE) as i32 + 8);
            labels.draw(&Text::new(row.label.clone(), at, ("sans-serif", 14)))?;
        }
        Ok(())
    })
}
