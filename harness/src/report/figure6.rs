//! Figure 6: proportions of #PatchedNeuron.

use super::costs::{ALL, Costs};
use super::plot::{self, Area, Drawn};
use super::table::{Better, Column, Format, Group, Row, Table};
use crate::record::{Outcome, Record};
use anyhow::Result;
use plotters::prelude::*;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

pub(super) const NAME: &str = "figure6";

/// Neurons an edit may have; the last stands for all above the paper's quota.
const COUNTS: [&str; 11] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", ">10"];

/// Of the edits that solved their error, the share that patched so many neurons.
pub(super) fn build(records: &[Record], costs: &Costs) -> Table {
    let mut edits: HashMap<(&str, &str), [usize; COUNTS.len()]> = HashMap::new();
    for record in records {
        let Record::Trial(trial) = record else { continue };
        if trial.outcome != Outcome::Solved || trial.neurons.is_empty() {
            continue;
        }
        for dataset in [trial.dataset.label(), ALL] {
            let counts = edits.entry((dataset, &trial.method)).or_default();
            counts[trial.neurons.len().min(COUNTS.len()) - 1] += 1;
        }
    }
    let above = edits.values().any(|counts| counts[COUNTS.len() - 1] > 0);
    let shown = if above { COUNTS.len() } else { COUNTS.len() - 1 };
    let cells = |method: &str, dataset: &str| -> Vec<Option<f64>> {
        let counts = edits.get(&(dataset, method)).copied().unwrap_or_default();
        let all: usize = counts.iter().sum();
        let share = |&count: &usize| (all > 0).then(|| count as f64 / all as f64);
        let shares = counts[..shown].iter().map(share);
        [Some(all as f64)].into_iter().chain(shares).collect()
    };
    let rows = costs.methods.iter().map(|method| {
        Row::new(method, costs.datasets.iter().flat_map(|dataset| cells(method, dataset)).collect())
    });
    let column = |title, format| Column { title, better: Better::Neither, format };
    let shares = COUNTS[..shown].iter().map(|title| column(title, Format::Percent));
    let columns: Vec<Column> = [column("Edits", Format::Count)].into_iter().chain(shares).collect();
    let group = |title: &&str| Group { title: (*title).into(), columns: columns.clone() };
    Table {
        name: NAME,
        title: "Figure 6: Comparison of proportions of #PatchedNeuron.".into(),
        stub: "Approach",
        rows: rows.collect(),
        groups: costs.datasets.iter().map(group).collect(),
        reference: None,
        notes: vec!["shares of the edits that solved their error; skipped errors have none".into()],
        deviations: Vec::new(),
    }
}

const PANEL: (u32, u32) = (260, 150);
const TOP: u32 = 56;

/// The figure of `table`: a row of panels an approach, a panel a data set, bars over the number of
/// neurons. Ink alone tells, no colour.
pub(super) fn draw(table: &Table, folder: &Path) -> Result<Vec<PathBuf>> {
    let edited = |row: &&Row| row.cells.iter().flatten().any(|n| *n > 0.0);
    let (drawn, rest): (Vec<&Row>, Vec<&Row>) = table.rows.iter().partition(edited);
    if drawn.is_empty() {
        return Ok(Vec::new());
    }
    let longest = drawn.iter().map(|row| row.label.chars().count()).max().unwrap_or(0);
    let left = 20 + 8 * longest as u32;
    let (across, down) = (table.groups.len() as u32, drawn.len() as u32);
    let size = (left + PANEL.0 * across + 20, TOP + PANEL.1 * down + 60);
    let rest: Vec<&str> = rest.iter().map(|row| row.label.as_str()).collect();
    plot::write(folder, NAME, size, |area| {
        let (head, body) = area.split_vertically(TOP);
        head.draw(&Text::new(
            "Proportions of #PatchedNeuron among edits",
            (14, 8),
            ("sans-serif", 18),
        ))?;
        for (column, group) in table.groups.iter().enumerate() {
            let at = (left as i32 + column as i32 * PANEL.0 as i32 + 40, 34);
            head.draw(&Text::new(group.title.clone(), at, ("sans-serif", 15)))?;
        }
        let (body, foot) = body.split_vertically(PANEL.1 * down);
        foot.draw(&Text::new(
            "neurons patched by an edit (number of edits in the corner)",
            (left as i32 + 40, 4),
            ("sans-serif", 14),
        ))?;
        if !rest.is_empty() {
            let text = format!("without an edit: {}", rest.join(", "));
            foot.draw(&Text::new(text, (left as i32 + 40, 26), ("sans-serif", 14)))?;
        }
        let (labels, panels) = body.split_horizontally(left);
        let panels = panels.margin(0, 0, 0, 20).split_evenly((drawn.len(), table.groups.len()));
        for (index, row) in drawn.iter().enumerate() {
            let at = (14, index as i32 * PANEL.1 as i32 + PANEL.1 as i32 / 2 - 20);
            labels.draw(&Text::new(row.label.clone(), at, ("sans-serif", 14)))?;
            let width = row.cells.len() / table.groups.len();
            for (group, cells) in row.cells.chunks(width).enumerate() {
                panel(&panels[index * table.groups.len() + group], cells)?;
            }
        }
        Ok(())
    })
}

/// `cells`: the number of edits, then the share of each number of neurons.
fn panel(area: &Area<'_>, cells: &[Option<f64>]) -> Drawn {
    let (edits, shares) = (cells[0].unwrap_or_default(), &cells[1..]);
    let mut chart = ChartBuilder::on(area)
        .margin(6)
        .x_label_area_size(20)
        .y_label_area_size(38)
        .build_cartesian_2d(0.4..shares.len() as f64 + 0.6, 0.0..1.0)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(shares.len())
        .x_label_formatter(&|value| {
            let index = value.round() as usize;
            let label = index.checked_sub(1).and_then(|index| COUNTS.get(index));
            if (value - value.round()).abs() < 1e-6 {
                label.unwrap_or(&"").to_string()
            } else {
                String::new()
            }
        })
        .y_labels(3)
        .y_label_formatter(&|value| format!("{:.0}%", value * 100.0))
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(215, 215, 215))
        .label_style(("sans-serif", 12))
        .draw()?;
    for (index, share) in shares.iter().enumerate() {
        let (x, share) = (index as f64 + 1.0, share.unwrap_or_default());
        let bar = [(x - 0.36, 0.0), (x + 0.36, share)];
        chart.draw_series([Rectangle::new(bar, RGBColor(60, 60, 60).filled())])?;
    }
    let corner = chart.backend_coord(&(shares.len() as f64, 1.0));
    let text = if edits > 0.0 { format!("{edits:.0}") } else { "no edit".into() };
    let style =
        ("sans-serif", 12).into_text_style(area).pos(plotters::style::text_anchor::Pos::new(
            plotters::style::text_anchor::HPos::Right,
            plotters::style::text_anchor::VPos::Top,
        ));
    let base = area.get_base_pixel();
    area.draw(&Text::new(text, (corner.0 - base.0, corner.1 - base.1), style))?;
    Ok(())
}
