//! The measurements as pictures.

use super::{Against, BenchTask, Growth, Results};
use crate::table::plot::{self, Area, Drawn};
use anyhow::Result;
use plotters::prelude::*;
use std::path::{Path, PathBuf};

/// Dark and light of one hue, apart from each other without colour too.
const COLOURS: [RGBColor; 2] = [RGBColor(27, 78, 130), RGBColor(224, 139, 60)];

/// Writes every plot.
pub(super) fn all(results: &Results, out: &Path) -> Result<Vec<PathBuf>> {
    let height = 90 + 26 * results.versus.len() as u32;
    let versus = plot::write(out, "versus", (860, height), |area| versus(results, area))?;
    let growth = plot::write(out, "growth", (1080, 380), |area| growth(results, area))?;
    Ok([versus, growth].concat())
}

/// Speed relative to the peer, one bar per task and length, on a logarithmic scale.
fn versus(results: &Results, root: &Area<'_>) -> Drawn {
    let bars = results.versus.len();
    let ratios: Vec<f64> =
        results.versus.iter().map(|found| found.peer_seconds / found.seconds).collect();
    let most = ratios.iter().copied().fold(10.0, f64::max) * 3.0;
    let mut chart = ChartBuilder::on(root)
        .caption("Times as fast as the Python peer", ("sans-serif", 18))
        .margin(10)
        .margin_right(20)
        .x_label_area_size(30)
        .y_label_area_size(330)
        .build_cartesian_2d((0.5..most).log_scale(), 0.0..bars as f64)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_label_formatter(&|value| format!("{value}×"))
        .light_line_style(WHITE)
        .draw()?;
    let mut models: Vec<&str> = results.versus.iter().map(|found| found.model.as_str()).collect();
    models.dedup();
    for (index, (found, ratio)) in results.versus.iter().zip(&ratios).enumerate() {
        let top = (bars - index) as f64;
        let model = models.iter().position(|model| *model == found.model).unwrap_or(0);
        let colour = COLOURS[model % COLOURS.len()];
        chart.draw_series([Rectangle::new(
            [(0.5, top - 0.85), (*ratio, top - 0.15)],
            colour.filled(),
        )])?;
        let text = |text: String, x: f64, dx: i32, size: i32| {
            EmptyElement::at((x, top - 0.5))
                + Text::new(text, (dx, -size / 2), ("sans-serif", size))
        };
        chart.draw_series([text(format!("{ratio:.1}×"), *ratio, 6, 14)])?;
        let task = match found.task {
            BenchTask::Forward => "forward",
            BenchTask::Ment => "MENT",
            BenchTask::FineTuning => "FT-L",
            BenchTask::Lora => "LoRA",
            BenchTask::Memit => "MEMIT",
            BenchTask::IntegratedGradients => "integrated gradients",
            BenchTask::Probe => "probing",
        };
        let label = format!("{}: {task}, {} tokens", found.model, found.tokens);
        let y = chart.backend_coord(&(0.5, top - 0.5)).1;
        root.draw(&Text::new(label, (14, y - 7), ("sans-serif", 14)))?;
    }
    // As fast as the peer.
    chart.draw_series([PathElement::new(vec![(1.0, 0.0), (1.0, bars as f64)], BLACK)])?;
    Ok(())
}

/// Time per error against one size at a time.
fn growth(results: &Results, root: &Area<'_>) -> Drawn {
    let panels = [
        (Against::Tokens, "tokens of the prompt"),
        (Against::Candidates, "candidates (256 tokens)"),
        (Against::Layers, "layers (256 tokens)"),
    ];
    for (area, (against, title)) in root.split_evenly((1, 3)).iter().zip(panels) {
        let found: Vec<&Growth> =
            results.growth.iter().filter(|growth| growth.against == against).collect();
        if found.is_empty() {
            continue;
        }
        let most = found.iter().map(|growth| growth.seconds).fold(0.0, f64::max) * 1.15;
        let widest = found.iter().map(|growth| growth.size).max().unwrap_or(1) as f64 * 1.05;
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 16))
            .margin(12)
            .x_label_area_size(28)
            .y_label_area_size(52)
            .build_cartesian_2d(0.0..widest, 0.0..most)?;
        chart
            .configure_mesh()
            .x_labels(6)
            .x_label_formatter(&|value| format!("{value:.0}"))
            .y_desc("seconds an error, one round")
            .light_line_style(WHITE)
            .draw()?;
        let mut models: Vec<&str> = found.iter().map(|growth| growth.model.as_str()).collect();
        models.dedup();
        for (index, model) in models.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let points: Vec<(f64, f64)> = found
                .iter()
                .filter(|growth| growth.model == *model)
                .map(|growth| (growth.size as f64, growth.seconds))
                .collect();
            chart
                .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?
                .label(*model)
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], colour));
            let marks = points.into_iter().map(|at| {
                if index == 0 {
                    Circle::new(at, 4, colour.filled()).into_dyn()
                } else {
                    TriangleMarker::new(at, 6, colour.filled()).into_dyn()
                }
            });
            chart.draw_series(marks)?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE)
            .draw()?;
    }
    Ok(())
}
