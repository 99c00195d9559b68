//! Size of an edit beside the matrices that it changes.

use super::{Edit, EditSize, MatrixChange, Neuron, Update};
use crate::model::CausalLm;
use std::collections::{BTreeMap, BTreeSet};
use tch::{Kind, Tensor};

impl Edit {
    /// Its size; `None` if it changes no weight of `model`.
    pub fn size(&self, model: &dyn CausalLm) -> Option<EditSize> {
        self.first_layer()?;
        let columns = self.columns.iter().map(|column| column.neuron.layer);
        let written: BTreeSet<usize> =
            columns.chain(self.updates.iter().map(|update| update.layer)).collect();
        let read: BTreeSet<usize> = self.inputs.iter().map(|input| input.neuron.layer).collect();
        let neurons: BTreeSet<Neuron> = self.columns.iter().map(|column| column.neuron).collect();
        let of_updates = self.updates.iter().map(|update| update.change.parameters());
        let inputs = self.inputs_by_neuron();
        let entries = |bias: &Option<Tensor>| bias.as_ref().map_or(0, Tensor::numel);
        let of_inputs = inputs.values().map(|(rows, bias)| rows.numel() + entries(bias));
        let parameters =
            neurons.len() * model.spec().d_model + of_updates.chain(of_inputs).sum::<usize>();
        let changed = written.iter().map(|&layer| self.square_of(layer));
        let changed = changed.chain(inputs.values().map(|(rows, _)| square(rows))).sum::<f64>();
        let whole = written.iter().map(|&layer| square(model.ffn_output_matrix(layer)));
        let whole = whole.chain(read.iter().map(|&layer| square(model.ffn_input_matrix(layer).0)));
        let norm = changed.sqrt();
        Some(EditSize { parameters, norm, relative: norm / whole.sum::<f64>().sqrt() })
    }

    /// Number of neurons whose columns or input weights it changes.
    pub fn neurons(&self) -> usize {
        let columns = self.columns.iter().map(|column| column.neuron);
        let of_updates = self.updates.iter().flat_map(|Update { layer, change, .. }| {
            let whole = match change {
                MatrixChange::LowRank { right, .. } => right,
                MatrixChange::Dense(matrix) => matrix,
            };
            let changed = whole.abs().amax([0_i64].as_slice(), false).nonzero().flatten(0, -1);
            let indices = Vec::<i64>::try_from(changed).unwrap_or_default();
            indices.into_iter().map(|index| Neuron { layer: *layer, index: index as usize })
        });
        let inputs = self.inputs.iter().map(|input| input.neuron);
        columns.chain(inputs).chain(of_updates).collect::<BTreeSet<Neuron>>().len()
    }

    /// Squared Frobenius norm of the change in `layer`.
    fn square_of(&self, layer: usize) -> f64 {
        let mut columns: BTreeMap<Neuron, Tensor> = BTreeMap::new();
        for column in self.columns_of(layer) {
            let sum = columns.get(&column.neuron).map(|sum| sum + &column.delta);
            columns.insert(column.neuron, sum.unwrap_or_else(|| column.delta.shallow_clone()));
        }
        let updates: Vec<_> = self.updates_of(layer).collect();
        match updates[..] {
            [] => columns.values().map(square).sum(),
            [update] if columns.is_empty() => update.change.norm().powi(2),
            _ => {
                let sum = updates.iter().map(|update| update.change.matrix());
                let sum = sum.reduce(|sum, own| sum + own).expect("an update").copy();
                for (neuron, column) in &columns {
                    let _ = sum.select(1, neuron.index as i64).g_add_(column);
                }
                square(&sum)
            }
        }
    }
}

impl MatrixChange {
    /// Frobenius norm. Of a product that is the root of tr(LᵀL · RRᵀ), which takes no product of the factors.
    fn norm(&self) -> f64 {
        match self {
            Self::Dense(matrix) => norm(matrix),
            Self::LowRank { left, right } => {
                let (left, right) = (left.to_kind(Kind::Double), right.to_kind(Kind::Double));
                let product = left.tr().matmul(&left) * right.matmul(&right.tr());
                product.sum(Kind::Double).double_value(&[]).max(0.0).sqrt()
            }
        }
    }
}

fn norm(tensor: &Tensor) -> f64 {
    tensor.to_kind(Kind::Float).norm().double_value(&[])
}

fn square(tensor: &Tensor) -> f64 {
    norm(tensor).powi(2)
}
