//! Vectors added to the weights that a neuron reads the FFN input with.

use super::Neuron;
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
    /// Numbers that it changes.
    pub fn parameters(&self) -> usize {
        self.rows.numel() + self.bias.as_ref().map_or(0, Tensor::numel)
    }

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
