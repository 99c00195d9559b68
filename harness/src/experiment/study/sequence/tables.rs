//! Table of the drift of a model under edits that pile up.

use super::{RepairStep, SequenceData};
use crate::edit::Outcome;
use crate::table::{Better, Column, Format, Group, Row, Table};
use std::collections::BTreeSet;

/// Readings of the table: these, and the last.
const SHOWN: [usize; 5] = [1, 10, 30, 100, 1000];

/// One row a method, a group a reading.
pub(super) fn drift(measured: &SequenceData<'_>) -> Table {
    let read: BTreeSet<usize> = measured.readings.iter().map(|reading| reading.after).collect();
    let last = read.last().copied();
    let shown: Vec<usize> =
        read.into_iter().filter(|after| SHOWN.contains(after) || Some(*after) == last).collect();
    let column = |title, better, format| Column { title, better, format };
    let mut groups: Vec<Group> = shown
        .iter()
        .map(|after| Group {
            title: format!("after {after} error{}", if *after == 1 { "" } else { "s" }),
            columns: vec![
                column("repaired", Better::Higher, Format::Percent),
                column("still hold", Better::Higher, Format::Percent),
                column("changed", Better::Lower, Format::Percent),
                column("perplexity", Better::Lower, Format::Three),
            ],
        })
        .collect();
    groups.push(Group {
        title: "All errors".into(),
        columns: vec![
            column("patches", Better::Lower, Format::Three),
            column("solved before", Better::Neither, Format::Count),
        ],
    });
    let unedited = measured.readings.first().map(|reading| reading.perplexity.0);
    let rows = measured.methods().map(|method| {
        let own = measured.of(method);
        let mut cells: Vec<Option<f64>> = Vec::new();
        for after in &shown {
            match own.iter().find(|reading| reading.after == *after) {
                None => cells.extend([None; 4]),
                Some(reading) => {
                    let (changed, positions) = reading.changed;
                    let repaired = reading.repaired as f64;
                    cells.extend([
                        measured.repaired(reading),
                        (repaired > 0.0).then(|| reading.held as f64 / repaired),
                        Some(changed as f64 / positions as f64),
                        Some(reading.perplexity.1),
                    ]);
                }
            }
        }
        let steps: Vec<&RepairStep> =
            measured.repaired.iter().filter(|step| step.method == *method).collect();
        // An edit of a whole matrix has no neurons.
        let patched =
            steps.iter().filter(|step| step.outcome == Outcome::Solved && !step.neurons.is_empty());
        cells.push(mean(patched.map(|step| step.neurons.len() as f64)));
        let before = steps.iter().filter(|step| step.outcome == Outcome::AlreadySolved);
        cells.push(Some(before.count() as f64));
        Row::new(method, cells)
    });
    let mut notes = vec![
        "repaired: share of the errors so far, still present when the method met them on top of all \
         its earlier edits, that it repaired; still hold: share of those whose target is still the \
         most probable token; changed: positions of kept texts at which the prediction differs from \
         that without edits; perplexity: of the kept texts; patches: of a repaired error, where one neuron may \
         be patched more than once; a dash: the edits change whole matrices; solved before: errors that \
         earlier edits had solved"
            .to_string(),
        "the errors are the same for all methods: the last wrong token of each datum, prompted \
         without demonstrations, with the right tokens before it"
            .into(),
    ];
    notes.extend(unedited.map(|value| format!("perplexity without edits: {value:.3}")));
    Table {
        name: "drift",
        title: format!("Edits of {}, one on top of the other", measured.manifest.identity.model()),
        stub: "Approach",
        groups,
        rows: rows.collect(),
        reference: None,
        notes,
        deviations: measured.manifest.all_deviations(),
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
