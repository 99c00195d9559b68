//! Generalization against specificity: a point an approach with its 95 % confidence intervals, by rank
//! and by probability.

use crate::table::plot::{self, Area, Drawn};
use crate::table::{Interval, Row, Table};
use anyhow::Result;
use plotters::coord::types::RangedCoordf64;
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
pub(crate) fn draw(table: &Table, folder: &Path) -> Result<Vec<PathBuf>> {
    let longest = table.rows.iter().map(|row| row.label.chars().count()).max().unwrap_or(0);
    let legend = 60 + 8 * longest as u32;
    let height = PANEL.1.max(10 + LINE.unsigned_abs() * table.rows.len() as u32);
    let size = (PANEL.0 * 2 + legend, height + 44);
    plot::write(folder, NAME, size, |area| {
        let (head, body) = area.split_vertically(34);
        let title =
            "Generalization against specificity, with 95 % CI: near the lower left corner is good";
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

/// Sign beside the point of a row.
fn sign(index: usize, competes: bool) -> String {
    if competes { (index + 1).to_string() } else { "×".into() }
}

type Chart<'c, 's> = ChartContext<'c, SVGBackend<'s>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

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
    let end = |column: usize| {
        let reach = |row: &Row| {
            let interval = row.intervals.get(column).copied().flatten();
            interval.map(|interval| interval.high).or(row.cells[column]).unwrap_or_default()
        };
        let largest = table.rows.iter().map(reach).fold(0.0, f64::max);
        if largest > 0.0 { largest * 1.1 } else { 1.0 }
    };
    let (right, top) = (end(specific), end(general));
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
    for row in &table.rows {
        draw_intervals(&mut chart, row, (general, specific))?;
    }
    for (_, competes, point) in &points {
        if *competes {
            chart.draw_series([Circle::new(*point, 4, BLACK.filled())])?;
        } else {
            chart.draw_series([Cross::new(*point, 5, BLACK.stroke_width(2))])?;
        }
    }
    // Points that lie on each other share a label.
    let mut labels: Vec<Label> = Vec::new();
    let pixels: Vec<(i32, i32)> =
        points.iter().map(|(_, _, point)| chart.backend_coord(point)).collect();
    for (sign, _, point) in points.into_iter().filter(|(_, competes, _)| *competes) {
        let pixel = chart.backend_coord(&point);
        match labels.iter_mut().find(|label| label.is_near(pixel)) {
            Some(label) => label.text += &format!(", {sign}"),
            None => labels.push(Label { pixel, point, text: sign }),
        }
    }
    let mut taken: Vec<Frame> = pixels.iter().map(|&pixel| Frame::around(pixel)).collect();
    for Label { pixel, point, text } in labels {
        let width = text.chars().map(|letter| if letter.is_ascii_digit() { 7 } else { 3 }).sum();
        let (offset, frame) = place(pixel, width, &taken);
        taken.push(frame);
        let label = EmptyElement::at(point) + Text::new(text, offset, ("sans-serif", 13));
        chart.draw_series([label])?;
    }
    Ok(())
}

/// The confidence intervals of a row, as a cross of lines.
fn draw_intervals(
    chart: &mut Chart<'_, '_>,
    row: &Row,
    (general, specific): (usize, usize),
) -> Drawn {
    let interval = |column: usize| row.intervals.get(column).copied().flatten();
    let (Some(x), Some(y)) = (row.cells[specific], row.cells[general]) else { return Ok(()) };
    let across = interval(specific).map(|Interval { low, high }| [(low, y), (high, y)]);
    let down = interval(general).map(|Interval { low, high }| [(x, low), (x, high)]);
    for line in [across, down].into_iter().flatten() {
        chart.draw_series([PathElement::new(line.to_vec(), RGBColor(170, 170, 170))])?;
    }
    Ok(())
}

/// The offset of a label of this width from its point, and its frame: of the places around the point,
/// the first that covers least of what is `taken`.
fn place((x, y): (i32, i32), width: i32, taken: &[Frame]) -> ((i32, i32), Frame) {
    let height = 13;
    let (right, left, middle) = (6, -6 - width, -width / 2);
    let around = [(right, -14), (right, 3), (left, -14), (left, 3), (middle, -20), (middle, 7)];
    let frame = |(dx, dy): (i32, i32)| Frame {
        left: x + dx,
        top: y + dy,
        right: x + dx + width,
        bottom: y + dy + height,
    };
    around
        .into_iter()
        .map(|offset| (offset, frame(offset)))
        .min_by_key(|(_, frame)| taken.iter().filter(|other| frame.covers(other)).count())
        .expect("six places")
}

/// A rectangle, in pixels.
struct Frame {
    left: i32,
    top: i32,
    right: i32,
    bottom: i32,
}

impl Frame {
    /// Box around a point.
    fn around((x, y): (i32, i32)) -> Self {
        Self { left: x - 4, top: y - 4, right: x + 4, bottom: y + 4 }
    }

    fn covers(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }
}

/// Label beside one or several points.
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

#[cfg(test)]
mod tests {
    use super::{Frame, place};

    #[test]
    fn a_label_stands_where_nothing_else_does() {
        let own = (100, 100);
        let (first, frame) = place(own, 28, &[Frame::around(own)]);
        assert_eq!(first, (6, -14));
        // Its place taken by another label, and the one below it by a point.
        let below = Frame::around((110, 110));
        let (second, other) = place(own, 28, &[Frame::around(own), below, frame]);
        assert_eq!(second, (-34, -14));
        assert!(!other.covers(&Frame::around(own)));
    }
}
