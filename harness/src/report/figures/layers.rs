//! Figure of the layers that are patched.

use crate::report::figures::panels::{Panel, Panels};
use crate::report::measures::repairs::AllRepairs;
use crate::table::{Better, Column, Format, Group, Row, Table};
use std::collections::HashMap;

/// Layers between two that are named below the bars.
const STEP: usize = 5;

/// A row a layer, a column an approach: the share of the neurons of its edits.
pub(crate) fn build(repairs: &AllRepairs<'_>) -> Table {
    let edits = |method: &&&str| !repairs.controls.contains(method);
    let methods: Vec<&str> = repairs.methods.iter().filter(edits).copied().collect();
    let mut found: HashMap<&str, Vec<f64>> = HashMap::new();
    for repair in repairs.all.iter().filter(|repair| repair.solved) {
        for patched in repair.neurons {
            let layers = found.entry(repair.method).or_default();
            layers.resize(layers.len().max(patched.neuron.layer + 1), 0.0);
            layers[patched.neuron.layer] += 1.0;
        }
    }
    let depth = found.values().map(Vec::len).max().unwrap_or(0);
    let counts = |method: &str| -> Vec<f64> {
        let mut layers = found.get(method).cloned().unwrap_or_default();
        layers.resize(depth, 0.0);
        layers
    };
    let all: Vec<Vec<f64>> = methods.iter().map(|method| counts(method)).collect();
    let sums: Vec<f64> = all.iter().map(|layers| layers.iter().sum()).collect();
    let total = sums.iter().map(|sum| Some(*sum)).collect();
    let share = |layer: usize| {
        let of = |(layers, sum): (&Vec<f64>, &f64)| (*sum > 0.0).then(|| layers[layer] / sum);
        all.iter().zip(&sums).map(of).collect()
    };
    let layers = (0..depth).map(|layer| Row::new(format!("layer {layer}"), share(layer)));
    let counted = Row { format: Some(Format::Count), ..Row::new("neurons", total) };
    let column = Column { title: "share", better: Better::Neither, format: Format::Percent };
    let group = |title: &&str| Group { title: (*title).into(), columns: vec![column] };
    Table {
        name: "layers",
        title: "Layers of the neurons that edits patch.".into(),
        stub: "Layer",
        groups: methods.iter().map(group).collect(),
        rows: std::iter::once(counted).chain(layers).collect(),
        reference: None,
        notes: vec![
            "edits that solved their error; layers are counted from 0 at the input. Layers above the \
             last one listed were never patched"
                .into(),
        ],
        deviations: Vec::new(),
    }
}

pub(crate) fn picture(table: &Table) -> Panels {
    let Some((counted, layers)) = table.rows.split_first() else {
        unreachable!("the first row counts");
    };
    let row = |(column, group): (usize, &Group)| {
        let bars = layers.iter().map(|layer| layer.cells[column]).collect();
        let panel = Panel { count: counted.cells[column].unwrap_or_default(), bars };
        (group.title.clone(), vec![panel])
    };
    let label = |layer: usize| match layer % STEP {
        0 => layer.to_string(),
        _ => String::new(),
    };
    Panels {
        name: table.name,
        title: "Layers of the neurons that edits patch",
        across: "layer, from the input; n neurons",
        none: "no edit",
        width: 560,
        format: Format::Percent,
        heads: vec![String::new()],
        labels: (0..layers.len()).map(label).collect(),
        rows: table.groups.iter().enumerate().map(row).collect(),
    }
}
