//! This run beside the paper: a panel a data set or measure, a line an approach, with a dot and its confidence
//! interval for the run and a diamond for the paper.

use crate::table::plot::{self, Area, Drawn};
use crate::table::{Format, Row, Table};
use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Pixels of the panels: the width with its margins, the part that the scale takes, and the margin left of it.
const PANEL: i32 = 270;
const SCALE: i32 = 230;
const MARGIN: i32 = 20;
/// Pixels of the heads over the panels, of a line, and of the space above a block of lines.
const TOP: i32 = 66;
const LINE: i32 = 17;
const GAP: i32 = 24;
/// Pixels below the last line, for the numbers of the scale.
const FOOT: i32 = 40;
/// Pixels of a letter.
const LETTER: usize = 7;

// Two colours that people who are colour-blind tell apart (Okabe and Ito), with different marks.
const OURS: RGBColor = RGBColor(0, 114, 178);
const PAPER: RGBColor = RGBColor(213, 94, 0);
const GRID: RGBColor = RGBColor(222, 222, 222);

/// A scale with its columns of the table, one below the other.
struct Panel {
    title: String,
    columns: Range<usize>,
}

/// Draws `table`, which compares with the paper, a panel for each group of columns.
///
/// # Errors
/// If it cannot be drawn, or a file not be written.
pub(crate) fn by_group(table: &Table, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut first = 0;
    let panels = table.groups.iter().map(|group| {
        let columns = first..first + group.columns.len();
        first = columns.end;
        Panel { title: group.title.clone(), columns }
    });
    draw(table, &panels.collect::<Vec<_>>(), folder)
}

/// Does what [`by_group`] does, with a panel for each column: those of a group are in different units.
///
/// # Errors
/// As [`by_group`].
pub(crate) fn by_column(table: &Table, folder: &Path) -> Result<Vec<PathBuf>> {
    let heads = table.groups.iter().flat_map(|group| {
        group.columns.iter().map(move |column| format!("{} {}", group.title, column.title))
    });
    let panels = heads
        .enumerate()
        .map(|(index, head)| Panel { title: head.trim().to_string(), columns: index..index + 1 });
    draw(table, &panels.collect::<Vec<_>>(), folder)
}

fn draw(table: &Table, panels: &[Panel], folder: &Path) -> Result<Vec<PathBuf>> {
    // Rows of differences are in other units.
    let rows: Vec<&Row> = table.rows.iter().filter(|row| row.format.is_none()).collect();
    let longest = rows.iter().map(|row| row.label.chars().count()).max().unwrap_or(0);
    let left = (24 + longest * LETTER) as i32;
    let blocks = panels.iter().map(|panel| panel.columns.len()).max().unwrap_or(0) as i32;
    let block = GAP + LINE * rows.len() as i32;
    let width = left + PANEL * panels.len() as i32 + MARGIN;
    let size = (width.max(560) as u32, (TOP + block * blocks + FOOT) as u32);
    plot::write(folder, table.name, size, |area| {
        legend(area, table)?;
        for (index, panel) in panels.iter().enumerate() {
            let x = left + PANEL * index as i32;
            let ticks = ticks(&rows, panel);
            let scale = Scale { x, end: *ticks.last().expect("there is zero") };
            area.draw(&Text::new(panel.title.clone(), (x, TOP - 20), ("sans-serif", 15)))?;
            let foot = TOP + block * panel.columns.len() as i32;
            for tick in &ticks {
                let x = scale.at(*tick);
                area.draw(&PathElement::new([(x, TOP + 4), (x, foot + 4)], GRID))?;
                let style = ("sans-serif", 12).into_text_style(area);
                let style = style.pos(Pos::new(HPos::Center, VPos::Top));
                let text = number(*tick, table.columns().nth(panel.columns.start));
                area.draw(&Text::new(text, (x, foot + 8), style))?;
            }
            for (place, column) in panel.columns.clone().enumerate() {
                let top = TOP + block * place as i32;
                if panel.columns.len() > 1 {
                    let title = table.columns().nth(column).map_or("", |column| column.title);
                    area.draw(&Text::new(title, (x, top + 2), ("sans-serif", 13)))?;
                }
                for (line, row) in rows.iter().enumerate() {
                    let y = top + GAP + LINE * line as i32;
                    if index == 0 {
                        let at = (14, y - 5);
                        area.draw(&Text::new(row.label.clone(), at, ("sans-serif", 13)))?;
                    }
                    marks(area, row, column, &scale, y)?;
                }
            }
        }
        Ok(())
    })
}

/// The title and what the marks mean.
fn legend(area: &Area<'_>, table: &Table) -> Drawn {
    area.draw(&Text::new(table.title.clone(), (14, 6), ("sans-serif", 17)))?;
    area.draw(&PathElement::new([(14, 35), (38, 35)], OURS.stroke_width(2)))?;
    area.draw(&Circle::new((26, 35), 4, OURS.filled()))?;
    area.draw(&Text::new("this run, with 95 % CI", (46, 28), ("sans-serif", 13)))?;
    diamond(area, (210, 35))?;
    area.draw(&Text::new("the paper", (222, 28), ("sans-serif", 13)))?;
    Ok(())
}

fn diamond(area: &Area<'_>, (x, y): (i32, i32)) -> Drawn {
    let corners = [(x - 5, y), (x, y - 5), (x + 5, y), (x, y + 5), (x - 5, y)];
    area.draw(&PathElement::new(corners, PAPER.stroke_width(2)))?;
    Ok(())
}

fn marks(area: &Area<'_>, row: &Row, column: usize, scale: &Scale, y: i32) -> Drawn {
    if let Some(interval) = row.intervals.get(column).copied().flatten() {
        let ends = [(scale.at(interval.low), y), (scale.at(interval.high), y)];
        area.draw(&PathElement::new(ends, OURS.stroke_width(2)))?;
    }
    if let Some(value) = row.cells[column] {
        area.draw(&Circle::new((scale.at(value), y), 4, OURS.filled()))?;
    }
    if let Some(value) = row.paper.as_ref().and_then(|paper| paper.cells[column]) {
        diamond(area, (scale.at(value), y))?;
    }
    Ok(())
}

/// Values to pixels.
struct Scale {
    x: i32,
    end: f64,
}

impl Scale {
    fn at(&self, value: f64) -> i32 {
        self.x + (f64::from(SCALE) * value.clamp(0.0, self.end) / self.end).round() as i32
    }
}

/// Numbers of the scale from zero on, the last of which no value of the panel is above.
fn ticks(rows: &[&Row], panel: &Panel) -> Vec<f64> {
    let mut most = 0.0_f64;
    for row in rows {
        for column in panel.columns.clone() {
            let interval = row.intervals.get(column).copied().flatten();
            let paper = row.paper.as_ref().and_then(|paper| paper.cells[column]);
            let values = [row.cells[column], interval.map(|interval| interval.high), paper];
            most = values.into_iter().flatten().fold(most, f64::max);
        }
    }
    if most <= 0.0 {
        return vec![0.0, 1.0];
    }
    // Four to eight steps of 1, 2 or 5 times a power of ten.
    let power = 10_f64.powf((most / 4.0).log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|times| times * power);
    let step = steps.into_iter().rev().find(|step| most / step > 2.5).unwrap_or(power);
    (0..=(most / step - 1e-9).ceil() as usize).map(|count| count as f64 * step).collect()
}

fn number(value: f64, column: Option<&crate::table::Column>) -> String {
    match column.map(|column| column.format) {
        Some(Format::Percent) => format!("{:.0}%", value * 100.0),
        Some(Format::Times) => format!("{value}×"),
        _ => format!("{:.4}", value).trim_end_matches('0').trim_end_matches('.').to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Panel, ticks};
    use crate::table::{PaperRow, Row};

    fn row(value: f64, paper: f64) -> Row {
        let paper = PaperRow { label: "MENT".into(), cells: vec![Some(paper)] };
        Row { paper: Some(paper), ..Row::new("MENT", vec![Some(value)]) }
    }

    #[test]
    fn no_value_is_above_the_scale() {
        let panel = Panel { title: String::new(), columns: 0..1 };
        assert_eq!(
            ticks(&[&row(0.98, 0.5)], &panel),
            [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]
        );
        assert_eq!(ticks(&[&row(1.0, 9.0)], &panel).last(), Some(&10.0));
        for most in [0.003, 0.07, 0.5, 1.0, 3.2, 11.0, 14.9, 2000.0] {
            let ticks = ticks(&[&row(most / 2.0, most)], &panel);
            assert!(*ticks.last().unwrap() >= most && (3..=9).contains(&ticks.len()), "{ticks:?}");
        }
        assert_eq!(ticks(&[&row(0.0, 0.0)], &panel), [0.0, 1.0]);
    }
}
