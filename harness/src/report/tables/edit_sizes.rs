//! Table of the size of edits, which compares patches of neurons with updates of matrices.

use crate::edit::{EditSize, Outcome};
use crate::records::Record;
use crate::report::measures::Material;
use crate::table::{Better, Column, Format, Group, Row, Table};

/// Means over the edits of either experiment that solved their error; `None` where no record has a size.
pub(crate) fn build(of: &Material<'_>) -> Option<Table> {
    let sizes = |method: &str| -> Vec<EditSize> {
        let trials = of.records.iter().filter_map(Record::trial);
        let own = trials.filter(|own| own.method == method && own.outcome == Outcome::Solved);
        own.filter_map(|own| own.size).collect()
    };
    let row = |method: &str| {
        let sizes = sizes(method);
        let mean = |of: fn(&EditSize) -> f64| {
            let sum: f64 = sizes.iter().map(of).sum();
            (!sizes.is_empty()).then(|| sum / sizes.len() as f64)
        };
        let cells = vec![
            Some(sizes.len() as f64),
            mean(|size| size.parameters as f64),
            mean(|size| size.norm),
            mean(|size| size.relative),
        ];
        Row { competes: !of.manifest.identity.is_control(method), ..Row::new(method, cells) }
    };
    let rows: Vec<Row> = of.manifest.identity.labels().map(row).collect();
    let sized = |row: &Row| row.cells[1].is_some();
    if !rows.iter().any(sized) {
        return None;
    }
    let column = |title, better, format| Column { title, better, format };
    let columns = vec![
        column("edits", Better::Neither, Format::Count),
        column("parameters", Better::Lower, Format::Count),
        column("‖ΔW‖", Better::Lower, Format::Three),
        column("‖ΔW‖/‖W‖", Better::Lower, Format::Percent),
    ];
    Some(Table {
        name: "edit_sizes",
        title: "Size of an edit.".into(),
        stub: "Approach",
        groups: vec![Group { title: String::new(), columns }],
        rows,
        reference: None,
        notes: vec![
            "means over edits that solved their error; parameters: numbers that describe the edit (the columns of its \
             neurons, the factors of an update, or a whole matrix); ‖W‖: of the matrices that it changes"
                .into(),
        ],
        deviations: Vec::new(),
    })
}
