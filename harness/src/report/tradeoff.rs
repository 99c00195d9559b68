//! Generalization against specificity: a point an approach, by rank and by probability.

use super::plot::{self, Area, Drawn};
use super::table::Table;
use anyhow::Result;
use plotters::prelude::*;
use std::path::{Path, PathBuf};

const NAME: &str = "tradeoff";
const PANEL: (u32, u32) = (380, 340);
const LINE: i32 = 20;
/// Pixels between two points whose labels would stand on each other.
const NEAR: i32 = 12;

/// Columns of Table VI: generalization and specificity, and what they are of.
const PANELS: [(usize, usize, &str); 2] = [(0, 2, "rank"), (1, 3, "probability")];

/// A numbered point an approach of `table`, which is Table VI; what edits nothing is a cross.
pub(super) fn draw(table: &Table, folder: &Path) -> Result<Vec<PathBuf>> {
    let longest = table.rows.iter().map(|row| row.label.chars().count()).max().unwrap_or(0);
    let legend = 60 + 8 * longest as u32;
    let height = PANEL.1.max(10 + LINE.unsigned_abs() * table.rows.len() as u32);
    let size = (PANEL.0 * 2 + legend, height + 44);
    plot::write(folder, NAME, size, |area| {
        let (head, body) = area.split_vertically(34);
        let title = "Generalization against specificity: near the lower left corner is good";
        head.draw(&Text::new(title, (14, 8), ("sans-serif", 18)))?;
        let (panels, side) = body.split_horizontally(PANEL.0 * 2);
        for (panel, columns) in panels.split_evenly((1, 2)).iter().zip(PANELS) {
            draw_panel(panel, table, columns)?;
        }
        for (index, row) in table.rows.iter().enumerate() {
            let text = format!("{}  {}", sign(index, row.competes), row.label);
            side.draw(&Text::new(text, (10, 20 + LINE * index as i32), ("sans-serif", 14)))?;
        }
        Ok(())
    })
}

/// What stands beside the point of a row.
fn sign(index: usize, competes: bool) -> String {
    if competes { (index + 1).to_string() } else { "×".into() }
}

fn draw_panel(
    area: &Area<'_>,
    table: &Table,
    (general, specific, of): (usize, usize, &str),
) -> Drawn {
    let points: Vec<(String, bool, (f64, f64))> = table
        .rows
        .iter()
        .enumerate()
        .filter_map(|(index, row)| {
            let point = (row.cells[specific]?, row.cells[general]?);
            Some((sign(index, row.competes), row.competes, point))
        })
        .collect();
    let end = |of: fn(&(f64, f64)) -> f64| {
        let largest = points.iter().map(|(_, _, point)| of(point)).fold(0.0, f64::max);
        if largest > 0.0 { largest * 1.15 } else { 1.0 }
    };
    let (right, top) = (end(|point| point.0), end(|point| point.1));
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(52)
        .build_cartesian_2d(-0.03 * right..right, 0.0..top)?;
    chart
        .configure_mesh()
        .x_desc(format!("specificity, MAE of {of}"))
        .y_desc(format!("generalization, MAE of {of}"))
        .x_labels(6)
        .y_labels(6)
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(225, 225, 225))
        .label_style(("sans-serif", 12))
        .axis_desc_style(("sans-serif", 14))
        .draw()?;
    for (_, competes, point) in &points {
        if *competes {
            chart.draw_series([Circle::new(*point, 4, BLACK.filled())])?;
        } else {
            chart.draw_series([Cross::new(*point, 5, BLACK.stroke_width(2))])?;
        }
    }
    // Points that lie on each other share a label.
    let mut labels: Vec<Label> = Vec::new();
    for (sign, _, point) in points.into_iter().filter(|(_, competes, _)| *competes) {
        let pixel = chart.backend_coord(&point);
        match labels.iter_mut().find(|label| label.is_near(pixel)) {
            Some(label) => label.text += &format!(", {sign}"),
            None => labels.push(Label { pixel, point, text: sign }),
        }
    }
    for Label { point, text, .. } in labels {
        let label = EmptyElement::at(point) + Text::new(text, (6, -14), ("sans-serif", 13));
        chart.draw_series([label])?;
    }
    Ok(())
}

/// What stands beside a point, or beside several.
struct Label {
    pixel: (i32, i32),
    point: (f64, f64),
    text: String,
}

impl Label {
    fn is_near(&self, (x, y): (i32, i32)) -> bool {
        (self.pixel.0 - x).abs() < NEAR && (self.pixel.1 - y).abs() < NEAR
    }
}
