//! The drift of each method as curves.

use super::{DriftReading, SequenceData};
use crate::table::plot::{self, Area, Drawn};
use anyhow::Result;
use plotters::prelude::*;
use std::path::{Path, PathBuf};

/// Colours of the methods, in their order; from the ninth method on they repeat, with another marker.
const COLOURS: [RGBColor; 8] = [
    RGBColor(27, 78, 130),
    RGBColor(214, 117, 32),
    RGBColor(46, 125, 50),
    RGBColor(136, 14, 79),
    RGBColor(90, 90, 90),
    RGBColor(0, 131, 143),
    RGBColor(183, 28, 28),
    RGBColor(158, 157, 36),
];

/// Panel that shows one value of a reading.
struct DriftPanel {
    title: &'static str,
    value: fn(&SequenceData<'_>, &DriftReading) -> Option<f64>,
    /// True if the value is a share, from 0 to 1.
    is_share: bool,
}

const PANELS: [DriftPanel; 4] = [
    DriftPanel {
        title: "errors repaired so far",
        value: |measured, reading| measured.repaired(reading),
        is_share: true,
    },
    DriftPanel {
        title: "repairs that still hold",
        value: |_, reading| {
            (reading.repaired > 0).then(|| reading.held as f64 / reading.repaired as f64)
        },
        is_share: true,
    },
    DriftPanel {
        title: "kept texts: predictions that changed",
        value: |_, reading| Some(reading.changed.0 as f64 / reading.changed.1 as f64),
        is_share: true,
    },
    DriftPanel {
        title: "kept texts: perplexity (logarithmic)",
        value: |_, reading| Some(reading.perplexity.1),
        is_share: false,
    },
];

/// Draws `drift.svg` and `.png` into `folder`; the files, none where nothing was read.
pub(super) fn write(measured: &SequenceData<'_>, folder: &Path) -> Result<Vec<PathBuf>> {
    if measured.readings.is_empty() {
        return Ok(Vec::new());
    }
    plot::write(folder, "drift", (980, 720), |area| {
        let (head, body) = area.split_vertically(64);
        legend(measured, &head)?;
        for (area, panel) in body.split_evenly((2, 2)).iter().zip(&PANELS) {
            draw(measured, panel, area)?;
        }
        Ok(())
    })
}

fn legend(measured: &SequenceData<'_>, area: &Area<'_>) -> Drawn {
    let title = format!("Edits of {}, one on top of the other", measured.manifest.identity.model());
    area.draw(&Text::new(title, (14, 8), ("sans-serif", 18)))?;
    let mut x = 24;
    for (index, method) in measured.methods().enumerate() {
        let colour = colour(index);
        area.draw(&PathElement::new(vec![(x, 46), (x + 26, 46)], colour.stroke_width(2)))?;
        area.draw(&(EmptyElement::at((x + 13, 46)) + mark(index)))?;
        area.draw(&Text::new(method.to_string(), (x + 34, 39), ("sans-serif", 14)))?;
        x += 64 + 8 * method.chars().count() as i32;
    }
    Ok(())
}

fn draw(measured: &SequenceData<'_>, panel: &DriftPanel, area: &Area<'_>) -> Drawn {
    let values = || measured.readings.iter().filter_map(|reading| (panel.value)(measured, reading));
    let most = measured.readings.iter().map(|reading| reading.after).max().unwrap_or(1) as f64;
    let unedited = measured.readings[0].perplexity.0;
    let (low, high) = if panel.is_share {
        (0.0, 1.02)
    } else {
        let (low, high) = values().fold((unedited, unedited), |(l, h), v| (l.min(v), h.max(v)));
        ((low * 0.9).log10(), (high * 1.15).log10())
    };
    let mut chart = ChartBuilder::on(area)
        .caption(panel.title, ("sans-serif", 15))
        .margin(10)
        .x_label_area_size(36)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..most * 1.03, low..high)?;
    let label = |value: &f64| match panel.is_share {
        true => format!("{:.0}%", value * 100.0),
        false => number(10_f64.powf(*value)),
    };
    chart
        .configure_mesh()
        .x_labels(6)
        .y_labels(6)
        .x_desc("errors met")
        .x_label_formatter(&|value| format!("{value:.0}"))
        .y_label_formatter(&label)
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(225, 225, 225))
        .draw()?;
    if !panel.is_share {
        let line = vec![(0.0, unedited.log10()), (most * 1.03, unedited.log10())];
        chart.draw_series([PathElement::new(line, RGBColor(150, 150, 150))])?;
    }
    for (index, method) in measured.methods().enumerate() {
        let colour = colour(index);
        let points: Vec<(f64, f64)> = measured
            .of(method)
            .into_iter()
            .filter_map(|reading| Some((reading.after as f64, (panel.value)(measured, reading)?)))
            .map(|(x, y)| (x, if panel.is_share { y } else { y.log10() }))
            .collect();
        chart.draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?;
        let marks = points.into_iter().map(|at| EmptyElement::at(at) + mark(index));
        chart.draw_series(marks)?;
    }
    Ok(())
}

/// A number with three digits that count.
fn number(value: f64) -> String {
    if value < 10.0 {
        format!("{value:.2}")
    } else if value < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// A marker of the method `index`, around a point.
fn mark(index: usize) -> Polygon<(i32, i32)> {
    Polygon::new(corners(index), colour(index).filled())
}

/// Colour of the method `index`.
fn colour(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

/// Corners of the marker of the method `index`. Two methods in a row have different ones, to be told apart without
/// colour too.
fn corners(index: usize) -> &'static [(i32, i32)] {
    match (index + index / COLOURS.len()) % 4 {
        0 => &[(-4, -4), (4, -4), (4, 4), (-4, 4)],
        1 => &[(0, -6), (5, 4), (-5, 4)],
        2 => &[(0, -6), (6, 0), (0, 6), (-6, 0)],
        _ => &[(0, 6), (5, -4), (-5, -4)],
    }
}

#[cfg(test)]
mod tests {
    use super::{COLOURS, colour, corners};
    use std::collections::HashSet;

    /// A study may have more methods than there are colours.
    #[test]
    fn no_two_methods_look_alike() {
        let looks: HashSet<_> = (0..4 * COLOURS.len())
            .map(|index| {
                let colour = colour(index);
                ((colour.0, colour.1, colour.2), corners(index))
            })
            .collect();
        assert_eq!(looks.len(), 4 * COLOURS.len());
        assert!((0..31).all(|index| corners(index) != corners(index + 1)));
    }
}
