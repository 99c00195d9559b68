//! A picture of small bar charts: one row per approach, one column per data set. Black and white only.

use crate::table::plot::{self, Area, Drawn};
use crate::table::{Format, Table};
use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::{Path, PathBuf};

const HEIGHT: u32 = 160;
const TOP: u32 = 56;
/// Height of a line of text, in pixels.
const LINE: u32 = 20;
const INK: RGBColor = RGBColor(60, 60, 60);

/// The picture.
pub(crate) struct Panels {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// Label of the axis under the bars.
    pub(crate) across: &'static str,
    /// Text shown in rows without a bar.
    pub(crate) none: &'static str,
    /// Width of one panel, in pixels.
    pub(crate) width: u32,
    pub(crate) format: Format,
    /// Heads of the columns.
    pub(crate) heads: Vec<String>,
    /// Below the bars of every panel; empty where there is nothing to say.
    pub(crate) labels: Vec<String>,
    pub(crate) rows: Vec<(String, Vec<Panel>)>,
}

/// A chart of the picture.
pub(crate) struct Panel {
    /// Number of observations behind the bars.
    pub(crate) count: f64,
    pub(crate) bars: Vec<Option<f64>>,
}

impl Panels {
    /// Makes the panels of a table of [`ByClass`](crate::report::tables::by_class::ByClass), without its
    /// controls.
    pub(crate) fn of(
        table: &Table,
        title: &'static str,
        across: &'static str,
        none: &'static str,
    ) -> Self {
        let columns = table.groups.first().map_or(&[][..], |group| &group.columns);
        let panel = |cells: &[Option<f64>]| Panel {
            count: cells[0].unwrap_or_default(),
            bars: cells[1..].to_vec(),
        };
        let row = |row: &crate::table::Row| {
            (row.label.clone(), row.cells.chunks(columns.len()).map(panel).collect())
        };
        Self {
            name: table.name,
            title,
            across,
            none,
            width: 260,
            format: columns.last().map_or(Format::Three, |column| column.format),
            heads: table.groups.iter().map(|group| group.title.clone()).collect(),
            labels: columns.iter().skip(1).map(|column| column.title.to_string()).collect(),
            rows: table.rows.iter().filter(|row| row.competes).map(row).collect(),
        }
    }

    /// Draws it into `folder`; the files, none where there is no bar.
    ///
    /// # Errors
    /// If it cannot be drawn, or a file not be written.
    pub(crate) fn draw(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let filled = |(_, panels): &&(String, Vec<Panel>)| panels.iter().any(|p| p.count > 0.0);
        let (drawn, rest): (Vec<_>, Vec<_>) = self.rows.iter().partition(filled);
        if drawn.is_empty() {
            return Ok(Vec::new());
        }
        let longest = drawn.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
        let left = 20 + 8 * longest as u32;
        let (across, down) = (self.heads.len() as u32, drawn.len() as u32);
        let width = left + self.width * across + 20;
        let mut foot = lines(&format!("{}; a dash: nothing observed", self.across), width);
        if !rest.is_empty() {
            let rest: Vec<&str> = rest.iter().map(|(label, _)| label.as_str()).collect();
            foot.extend(lines(&format!("{}: {}", self.none, rest.join(", ")), width));
        }
        let size = (width, TOP + HEIGHT * down + 16 + LINE * foot.len() as u32);
        plot::write(folder, self.name, size, |area| {
            let (head, body) = area.split_vertically(TOP);
            head.draw(&Text::new(self.title, (14, 8), ("sans-serif", 18)))?;
            for (column, title) in self.heads.iter().enumerate() {
                let at = ((left + column as u32 * self.width) as i32 + 40, 34);
                head.draw(&Text::new(title.clone(), at, ("sans-serif", 15)))?;
            }
            let (body, below) = body.split_vertically(HEIGHT * down);
            for (line, text) in foot.iter().enumerate() {
                let at = (14, 4 + (LINE as usize * line) as i32);
                below.draw(&Text::new(text.clone(), at, ("sans-serif", 14)))?;
            }
            let (labels, panels) = body.split_horizontally(left);
            let panels = panels.margin(0, 0, 0, 20).split_evenly((drawn.len(), self.heads.len()));
            for (index, (label, row)) in drawn.iter().enumerate() {
                let at = (14, (index as u32 * HEIGHT + HEIGHT / 2) as i32 - 20);
                labels.draw(&Text::new(label.clone(), at, ("sans-serif", 14)))?;
                let range = self.range(row);
                for (column, panel) in row.iter().enumerate() {
                    self.panel(&panels[index * self.heads.len() + column], panel, range)?;
                }
            }
            Ok(())
        })
    }

    /// Range of the values of a row: shares up to 1, if one is above a third.
    fn range(&self, row: &[Panel]) -> (f64, f64) {
        let bars = row.iter().flat_map(|panel| panel.bars.iter().flatten());
        let (low, high) =
            bars.fold((0.0_f64, 0.0_f64), |(low, high), bar| (low.min(*bar), high.max(*bar)));
        let whole = self.format == Format::Percent && high > 1.0 / 3.0;
        match (whole, low < 0.0 || high > 0.0) {
            (true, _) => (low * 1.1, 1.0),
            (false, true) => (low * 1.1, high * 1.1),
            (false, false) => (0.0, 1.0),
        }
    }

    fn panel(&self, area: &Area<'_>, panel: &Panel, (low, high): (f64, f64)) -> Drawn {
        let Panel { count, bars } = panel;
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .margin_top(18)
            .x_label_area_size(20)
            .y_label_area_size(42)
            .build_cartesian_2d(0.4..bars.len() as f64 + 0.6, low..high)?;
        let label = |value: &f64| {
            let label = (value.round() as usize).checked_sub(1).and_then(|at| self.labels.get(at));
            let whole = (value - value.round()).abs() < 1e-6;
            label.filter(|_| whole).cloned().unwrap_or_default()
        };
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(bars.len())
            .x_label_formatter(&label)
            .y_labels(3)
            .y_label_formatter(&|value| match self.format {
                Format::Percent => {
                    format!("{:.1$}%", value * 100.0, decimals(100.0 * (high - low)))
                }
                _ => format!("{value:.0$}", decimals(high - low)),
            })
            .light_line_style(WHITE)
            .bold_line_style(RGBColor(215, 215, 215))
            .label_style(("sans-serif", 12))
            .draw()?;
        for (index, bar) in bars.iter().enumerate() {
            let x = index as f64 + 1.0;
            let Some(bar) = bar else {
                let dash = Text::new("–", (-3, -14), ("sans-serif", 12));
                chart.draw_series([EmptyElement::at((x, 0.0)) + dash])?;
                continue;
            };
            let corners = [(x - 0.36, 0.0), (x + 0.36, *bar)];
            chart.draw_series([Rectangle::new(corners, INK.filled())])?;
        }
        let corner = chart.backend_coord(&(bars.len() as f64 + 0.6, high));
        let text = if *count > 0.0 { format!("n = {count:.0}") } else { self.none.into() };
        let style = ("sans-serif", 12).into_text_style(area);
        let style = style.pos(Pos::new(HPos::Right, VPos::Bottom));
        let base = area.get_base_pixel();
        area.draw(&Text::new(text, (corner.0 - base.0, corner.1 - base.1 - 2), style))?;
        Ok(())
    }
}

/// `text` in lines that fit into a picture of `width` pixels.
fn lines(text: &str, width: u32) -> Vec<String> {
    let most = (width as usize - 28) * 2 / 13; // a letter takes 6.5 pixels
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut().expect("there is a line");
        if last.is_empty() {
            *last = word.into();
        } else if last.chars().count() + 1 + word.chars().count() <= most {
            *last += &format!(" {word}");
        } else {
            lines.push(word.into());
        }
    }
    lines
}

/// Decimals that tell three labels within `span` apart.
fn decimals(span: f64) -> usize {
    match span {
        span if span < 0.05 => 3,
        span if span < 0.5 => 2,
        span if span < 20.0 => 1,
        _ => 0,
    }
}
