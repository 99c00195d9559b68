//! Two runs side by side: two models, two commits, two machines.

use crate::data::dataset::DatasetName;
use crate::error::InputError;
use crate::records::manifest::Manifest;
use crate::records::store::{self, Run};
use crate::report::measures::measured::{Measure, Measured};
use crate::report::measures::significance::off_zero;
use crate::report::measures::sources::Sources;
use crate::table::{Better, Column, Format, Group, Row, Table, export};
use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Measures of the approaches that the runs in two folders have in common, where both met the same data;
/// the table, and the files it was written to if `out` names a folder.
///
/// # Errors
/// If a folder is no run, they have nothing in common, or `out` cannot be written.
pub fn compare(folders: [&Path; 2], out: Option<&Path>) -> Result<(Table, Vec<PathBuf>)> {
    let [first, second] = folders.map(store::read);
    let (first, second) = (first?, second?);
    let measured = |run: &Run| Measured::of(&Sources::of(&run.records, &run.manifest)?);
    let measured = [measured(&first)?, measured(&second)?];
    let same = |scope: &str| same_data(&first.manifest, &second.manifest, scope);
    let rows: Vec<Row> = approaches(&first.manifest, &second.manifest)
        .into_iter()
        .flat_map(|approach| rows(&measured, &approach, &same))
        .collect();
    if rows.is_empty() {
        return Err(InputError::new(format!(
            "{} and {} have no approach and data in common (the same files, and as many errors of a \
             datum or cases of a subtype)",
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
    let mut notes = vec![
        named("A", folders[0], &first),
        named("B", folders[1], &second),
        "means over n data, or subtypes, each the mean of its errors or cases, where both runs met \
         equally many; p: two-sided paired test (exact sign flips below 20 pairs, else a t-test), \
         not corrected for the number of rows. A data set that was read from other files or another \
         division is left out"
            .into(),
    ];
    let differences = second.manifest.identity.differences(&first.manifest.identity);
    notes.extend(differences.iter().map(|difference| format!("differs: {difference}")));
    let table = Table {
        name: "compare",
        title: "Comparison of two runs on the data they have in common.".into(),
        stub: "Approach: measure",
        groups: vec![Group { title: String::new(), columns }],
        rows,
        reference: None,
        notes,
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

/// A run in words: its place, model, machine and commit, and those of approaches that were added.
fn named(name: &str, folder: &Path, run: &Run) -> String {
    let Manifest { environment, added_in, identity, .. } = &run.manifest;
    let mut out = format!(
        "{name}: {}, {} on {} ({}), commit {}",
        folder.display(),
        identity.model(),
        environment.processor,
        identity.device,
        environment.commit
    );
    for (label, own) in added_in {
        let _ = write!(out, "; {label} on {}, commit {}", own.processor, own.commit);
    }
    for what in &run.left_out {
        let _ = write!(out, "; left out: {what}");
    }
    out
}

/// True if both runs read a data set (`scope`; the benchmark, if it is empty) from the same files, and the
/// same part of it.
fn same_data(first: &Manifest, second: &Manifest, scope: &str) -> bool {
    let dataset = DatasetName::of_label(scope);
    let folder = dataset.map_or("benchmark/".to_string(), |name| format!("{name}/"));
    let of = |manifest: &Manifest| {
        let contents = manifest.identity.contents.clone().into_iter();
        let files: Vec<_> = contents.filter(|(file, _)| file.starts_with(&folder)).collect();
        let division = dataset.and_then(|name| manifest.identity.division(name.as_str()));
        (
            files,
            division,
            manifest.probing.as_ref().map(|probing| (probing.rank_cap, probing.rank_rule)),
        )
    };
    of(first) == of(second)
}

/// Name of an approach in the table, and its labels in both runs.
struct Approach {
    name: String,
    labels: [String; 2],
}

/// The unedited model, which each run calls by its own name, and the methods of one label.
fn approaches(first: &Manifest, second: &Manifest) -> Vec<Approach> {
    let models = [first, second].map(|manifest| manifest.identity.model().to_string());
    let unedited = Approach { name: "unedited".into(), labels: models };
    let methods = first.identity.labels().filter(|label| second.identity.has_method(label));
    let method =
        |label: &str| Approach { name: label.into(), labels: [label.into(), label.into()] };
    std::iter::once(unedited).chain(methods.map(method)).collect()
}

fn rows(
    [first, second]: &[Measured; 2],
    approach: &Approach,
    same: &impl Fn(&str) -> bool,
) -> Vec<Row> {
    let labels = [approach.labels[0].as_str(), approach.labels[1].as_str()];
    let of_measure = |(measure, name): (Measure, &'static str)| {
        let pairs = first.pairs(second, measure, labels).into_iter();
        pairs.filter(|(scope, _)| same(scope)).map(move |(scope, pairs)| {
            let count = pairs.len() as f64;
            let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / count;
            let (own, other) = (mean(|pair| pair.0), mean(|pair| pair.1));
            let differences: Vec<f64> = pairs.iter().map(|(own, other)| other - own).collect();
            let cells =
                [Some(own), Some(other), Some(other - own), off_zero(&differences), Some(count)];
            let scope = if scope.is_empty() { String::new() } else { format!(" on {scope}") };
            Row::new(format!("{}: {name}{scope}", approach.name), cells.to_vec())
        })
    };
    Measure::compared().into_iter().flat_map(of_measure).collect()
}
