//! Vectors added to the weights that a neuron reads the FFN input with.

use super::{Edit, Neuron};
use std::collections::BTreeMap;
use tch::Tensor;

/// A change of what one neuron responds to: rows added to those that it has in the FFN input matrices.
#[derive(Debug)]
pub struct InputDelta {
    /// Neuron whose rows are edited.
    pub neuron: Neuron,
    /// Rows that are added, `[P,D]`, in the dtype and on the device of the model: of the gate and the up projection
    /// (P = 2), or of the only projection (P = 1).
    pub rows: Tensor,
    /// Numbers that are added to the biases, `[P]`; `None` where the model has none.
    pub bias: Option<Tensor>,
    /// FFN input `[D]`, f32, that the neuron should respond to. A later edit can keep away from it.
    pub key: Option<Tensor>,
}

impl InputDelta {
    /// The same with rows and biases as `with` makes them.
    #[must_use]
    pub fn map(&self, with: impl Fn(&Tensor) -> Tensor) -> Self {
        Self {
            neuron: self.neuron,
            rows: with(&self.rows),
            bias: self.bias.as_ref().map(with),
            key: self.key.as_ref().map(Tensor::shallow_clone),
        }
    }
}

impl Clone for InputDelta {
    fn clone(&self) -> Self {
        self.map(Tensor::shallow_clone)
    }
}

impl Edit {
    /// Rows `[P,D]` and biases `[P]` that are added to the input weights of each neuron, in all.
    pub fn inputs_by_neuron(&self) -> BTreeMap<Neuron, (Tensor, Option<Tensor>)> {
        let mut sums: BTreeMap<Neuron, (Tensor, Option<Tensor>)> = BTreeMap::new();
        for InputDelta { neuron, rows, bias, .. } in &self.inputs {
            let (mut rows, mut bias) =
                (rows.shallow_clone(), bias.as_ref().map(Tensor::shallow_clone));
            if let Some((before, bias_before)) = sums.remove(neuron) {
                rows = before + rows;
                bias = match (bias_before, bias) {
                    (Some(before), Some(own)) => Some(before + own),
                    (before, own) => before.or(own),
                };
            }
            sums.insert(*neuron, (rows, bias));
        }
        sums
    }
}
