//! Table of the neurons that are patched most often.

use crate::edit::Neuron;
use crate::report::measures::repairs::AllRepairs;
use crate::table::{Better, Column, Format, Group, Row, Table};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Neurons shown of an approach.
const SHOWN: usize = 5;

/// Neurons of an approach.
#[derive(Default)]
struct NeuronUse {
    /// Number of its edits.
    all: f64,
    /// Edits with each neuron, and their targets.
    neurons: BTreeMap<Neuron, (usize, HashSet<u32>)>,
}

/// The neurons that edits of an approach patch most often.
pub(crate) fn build(repairs: &AllRepairs<'_>) -> Table {
    let column = |title, format| Column { title, better: Better::Neither, format };
    let columns = vec![
        column("edits", Format::Count),
        column("share", Format::Percent),
        column("targets", Format::Count),
    ];
    let mut edits: HashMap<&str, NeuronUse> = HashMap::new();
    for repair in repairs.all.iter().filter(|repair| repair.solved) {
        let NeuronUse { all, neurons: found } = edits.entry(repair.method).or_default();
        *all += 1.0;
        for (index, patched) in repair.neurons.iter().enumerate() {
            if repair.neurons[..index].iter().all(|before| before.neuron != patched.neuron) {
                let (count, targets) = found.entry(patched.neuron).or_default();
                *count += 1;
                targets.insert(repair.target);
            }
        }
    }
    let rows = repairs.methods.iter().flat_map(|method| {
        let NeuronUse { all, neurons: found } = edits.remove(method).unwrap_or_default();
        let mut found: Vec<(Neuron, (usize, HashSet<u32>))> = found.into_iter().collect();
        found.sort_by_key(|(_, (count, _))| Reverse(*count));
        let row =
            move |(Neuron { layer, index }, (count, targets)): (Neuron, (usize, HashSet<u32>))| {
                let cells =
                    [count as f64, count as f64 / all, targets.len() as f64].map(Some).to_vec();
                Row::new(format!("{method}: layer {layer}, neuron {index}"), cells)
            };
        found.into_iter().take(SHOWN).map(row)
    });
    Table {
        name: "neurons",
        title: "Neurons that are patched most often.".into(),
        stub: "Neuron",
        groups: vec![Group { title: String::new(), columns }],
        rows: rows.collect(),
        reference: None,
        notes: vec![format!(
            "up to {SHOWN} neurons per approach; share: of its edits that solved their error; \
             targets: different tokens that edits with the neuron put on top"
        )],
        deviations: Vec::new(),
    }
}
