//! Gradient descent on the FFN outputs of the layers from one on: what fine-tuning and low-rank adaptation share.

use super::adam::Adam;
use super::{LlmError, RepairContext};
use crate::engine::above::{Added, logits_changed};
use anyhow::Result;
use tch::{Kind, Tensor};

/// Training of some parameters.
pub(super) struct Descent<'p> {
    /// Leaves of the graph, changed in place.
    pub(super) parameters: Vec<&'p Tensor>,
    /// Lowest layer whose FFN output they change.
    pub(super) first: usize,
    /// Steps at most.
    pub(super) steps: usize,
    /// Learning rate.
    pub(super) rate: f64,
}

impl Descent<'_> {
    /// Descends the negative log-probability of the target until it is the argmax, or the steps are spent. `change`
    /// is what the parameters add to the FFN output of a layer, from the post-activations there; `bound` is called
    /// after each step.
    ///
    /// # Errors
    /// If libtorch fails.
    pub(super) fn run(
        &self,
        context: &RepairContext<'_>,
        error: &LlmError,
        mut change: impl FnMut(usize, &Tensor) -> Option<Tensor>,
        bound: impl Fn(),
    ) -> Result<()> {
        let trace = context.trace.prefix(error.at + 1);
        let mut adam = Adam::new(self.rate, &self.parameters);
        for _ in 0..self.steps {
            let added = |layer: usize, active: &Tensor| change(layer, active).map(Added::ToFfn);
            let logits = logits_changed(context.model, &trace, self.first, added);
            let best = i64::try_from(logits.argmax(-1, false).squeeze())?;
            if best == i64::from(error.target) {
                break;
            }
            let log = logits.log_softmax(-1, Kind::Float).select(-1, i64::from(error.target));
            let gradients =
                Tensor::run_backward(&[-log.sum(Kind::Float)], &self.parameters, false, false);
            adam.step(&self.parameters, &gradients);
            bound();
        }
        Ok(())
    }
}
