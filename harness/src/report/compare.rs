//! Two runs side by side: two models, two commits, two machines.

use super::export;
use super::measured::{Measure, Measured};
use super::significance::off_zero;
use super::table::{Better, Column, Format, Group, Row, Table};
use crate::error::InputError;
use crate::manifest::Manifest;
use crate::store::{self, Run};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Every measure of every approach that the runs in two folders have in common, on the data that both
/// have; the table, and the files it was written to if `out` names a folder.
///
/// # Errors
/// If a folder is no run, they have nothing in common, or `out` cannot be written.
pub fn compare(folders: [&Path; 2], out: Option<&Path>) -> Result<(Table, Vec<PathBuf>)> {
    let [first, second] = folders.map(store::read);
    let (first, second) = (first?, second?);
    let measured = [Measured::of(&first)?, Measured::of(&second)?];
    let rows: Vec<Row> = approaches(&first.manifest, &second.manifest)
        .into_iter()
        .flat_map(|approach| rows(&measured, &approach))
        .collect();
    if rows.is_empty() {
        return Err(InputError::new(format!(
            "{} and {} have no approach and data in common",
            folders[0].display(),
            folders[1].display()
        )));
    }
    let column = |title, format| Column { title, better: Better::Neither, format };
    let columns = vec![
        column("A", Format::Three),
        column("B", Format::Three),
        column("B − A", Format::Three),
        column("p", Format::Probability),
        column("n", Format::Count),
    ];
    let named = |name: &str, folder: &Path, run: &Run| {
        let environment = &run.manifest.environment;
        format!(
            "{name}: {}, {} on {}, commit {}{}",
            folder.display(),
            run.manifest.identity.model(),
            [environment.processor.as_str(), &run.manifest.identity.device].join(", "),
            environment.commit,
            run.left_out.iter().map(|what| format!("; left out: {what}")).collect::<String>()
        )
    };
    let table = Table {
        name: "compare",
        title: "Two runs on the data that both have.".into(),
        stub: "Approach: measure",
        groups: vec![Group { title: String::new(), columns }],
        rows,
        reference: None,
        notes: vec![
            named("A", folders[0], &first),
            named("B", folders[1], &second),
            "means over n data, or subtypes, each the mean of its errors or cases; p: two-sided paired \
             t-test, not corrected for the number of rows"
                .into(),
        ],
        deviations: Vec::new(),
    };
    let files = match out {
        None => Vec::new(),
        Some(out) => {
            std::fs::create_dir_all(out)
                .with_context(|| format!("{}: cannot be made", out.display()))?;
            export::write(&table, out)?
        }
    };
    Ok((table, files))
}

/// What stands for an approach in the table, and its labels in both runs.
struct Approach {
    name: String,
    labels: [String; 2],
}

/// The unedited model, which each run calls by its own name, and the methods of one label.
fn approaches(first: &Manifest, second: &Manifest) -> Vec<Approach> {
    let models = [first, second].map(|manifest| manifest.identity.model().to_string());
    let unedited = Approach { name: "unedited".into(), labels: models };
    let known = |label: &&String| second.identity.methods.contains_key(label.as_str());
    let methods = first.identity.methods.keys().filter(known);
    let method =
        |label: &String| Approach { name: label.clone(), labels: [label.clone(), label.clone()] };
    std::iter::once(unedited).chain(methods.map(method)).collect()
}

fn rows([first, second]: &[Measured; 2], approach: &Approach) -> Vec<Row> {
    let labels = [approach.labels[0].as_str(), approach.labels[1].as_str()];
    let of_measure = |(measure, name): (Measure, &'static str)| {
        first.pairs(second, measure, labels).into_iter().map(move |(scope, pairs)| {
            let count = pairs.len() as f64;
            let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / count;
            let (own, other) = (mean(|pair| pair.0), mean(|pair| pair.1));
            let differences: Vec<f64> = pairs.iter().map(|(own, other)| other - own).collect();
            let cells =
                [Some(own), Some(other), Some(other - own), off_zero(&differences), Some(count)];
            let scope = if scope.is_empty() { scope } else { format!(" on {scope}") };
            Row::new(format!("{}: {name}{scope}", approach.name), cells.to_vec())
        })
    };
    Measure::ALL.into_iter().flat_map(of_measure).collect()
}
