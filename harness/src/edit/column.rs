//! A vector added to the column of one neuron.

use super::Neuron;
use tch::Tensor;

/// `delta` `[d_model]` is added to the column of `neuron`.
#[derive(Debug)]
pub struct ColumnDelta {
    /// Neuron whose column is edited.
    pub neuron: Neuron,
    /// Vector that is added, `[d_model]`, in the dtype and on the device of the model.
    pub delta: Tensor,
    /// Positions at which it is added.
    pub reach: Reach,
}

/// Positions of a sequence at which an edited column acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Every position: a change of the weights.
    #[default]
    All,
    /// The last position of each sequence only: a change of one activation, which no change of the
    /// weights can express.
    End,
}

impl ColumnDelta {
    /// A change of the weights: `delta` added to the column of `neuron`.
    pub fn new(neuron: Neuron, delta: Tensor) -> Self {
        Self { neuron, delta, reach: Reach::All }
    }

    /// Contribution to the FFN output where the post-activations are `active` `[..,F]`: activation
    /// `[..,1]` times delta `[D]`.
    pub fn contribution(&self, active: &Tensor) -> Tensor {
        active.narrow(-1, self.neuron.index as i64, 1) * &self.delta
    }
}

impl Clone for ColumnDelta {
    fn clone(&self) -> Self {
        Self { neuron: self.neuron, delta: self.delta.shallow_clone(), reach: self.reach }
    }
}
