//! Which neurons get patched again and again.

use super::repairs::Repairs;
use super::table::{Better, Column, Format, Group, Row, Table};
use crate::edit::Neuron;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

/// Neurons shown of an approach.
const SHOWN: usize = 5;

/// The neurons that edits of an approach patch most often.
pub(super) fn build(repairs: &Repairs<'_>) -> Table {
    let column = |title, format| Column { title, better: Better::Neither, format };
    let columns = vec![
        column("edits", Format::Count),
        column("share", Format::Percent),
        column("targets", Format::Count),
    ];
    let rows = repairs.methods.iter().flat_map(|method| {
        let edits: Vec<_> =
            repairs.all.iter().filter(|r| r.solved && r.method == *method).collect();
        // Of each neuron, the edits with it and their targets.
        let mut found: BTreeMap<Neuron, (usize, HashSet<u32>)> = BTreeMap::new();
        for repair in &edits {
            let neurons: HashSet<Neuron> = repair.neurons.iter().map(|p| p.neuron).collect();
            for neuron in neurons {
                let (count, targets) = found.entry(neuron).or_default();
                *count += 1;
                targets.insert(repair.target);
            }
        }
        let mut found: Vec<(Neuron, (usize, HashSet<u32>))> = found.into_iter().collect();
        found.sort_by_key(|(_, (count, _))| Reverse(*count));
        let all = edits.len() as f64;
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
            "up to {SHOWN} neurons an approach; share: of its edits that solved their error; targets: \
             tokens that edits with the neuron put on top"
        )],
        deviations: Vec::new(),
    }
}
