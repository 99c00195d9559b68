//! Pathways of an edit: the entries of the residual stream that an edited column may change.

use super::super::{LlmError, RepairContext};
use super::locate::attributed_token;
use crate::config::{MentConfig, PathwayRule};
use crate::edit::Neuron;
use crate::engine::gradient::gradients;
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// A choice of entries, under a pathway rule.
pub(super) struct Pathways {
    /// Share of the entries that are edited.
    share: f64,
    /// Contribution of each entry of the FFN output, `[D]`, by layer; empty under a rule that does not need
    /// it.
    contributions: BTreeMap<usize, Tensor>,
}

impl Pathways {
    /// The choice that `config` makes for edits of `neurons`.
    pub(super) fn new(
        context: &RepairContext<'_>,
        error: &LlmError,
        neurons: &[Neuron],
        config: &MentConfig,
    ) -> Self {
        let share = config.estimate.pathways.0;
        let contributions = match config.estimate.pathway_rule {
            PathwayRule::Contribution if share < 1.0 => {
                contributions(context, error, neurons, config)
            }
            PathwayRule::Contribution | PathwayRule::Magnitude => BTreeMap::new(),
        };
        Self { share, contributions }
    }

    /// `change` `[D]` of a column of `layer` with the entries that are no pathway set to zero. `vector`
    /// `[D]` is the estimated vector that it comes from.
    pub(super) fn only(&self, change: &Tensor, vector: &Tensor, layer: usize) -> Tensor {
        let entries = change.numel() as i64;
        let kept = ((entries as f64 * self.share).round() as i64).max(1);
        if kept == entries {
            return change.shallow_clone();
        }
        let scores = self.contributions.get(&layer).unwrap_or(vector);
        let (_, places) = scores.abs().topk(kept, 0, true, false);
        change.zeros_like().scatter(0, &places, &change.gather(0, &places, false))
    }
}

/// FFN output times the gradient of the attributed token with respect to it, at the error, `[D]`, for
/// each layer of `neurons`.
fn contributions(
    context: &RepairContext<'_>,
    error: &LlmError,
    neurons: &[Neuron],
    config: &MentConfig,
) -> BTreeMap<usize, Tensor> {
    let model = context.model;
    let Some(first) = neurons.iter().map(|neuron| neuron.layer).min() else {
        return BTreeMap::new();
    };
    let at = (error.at, attributed_token(error, &config.locate));
    let mut found = BTreeMap::new();
    gradients(model, context.trace, at, config.locate.quantity, first, |layer| {
        if neurons.iter().any(|neuron| neuron.layer == layer.layer) {
            let active = layer.post_activation.select(1, -1);
            let mut output = model.ffn_output(layer.layer, &active);
            if let Some(standing) = context.trace.edit.contribution(layer.layer, &active) {
                output += standing;
            }
            let product = output * layer.output_gradient.select(1, -1);
            found.insert(layer.layer, product.squeeze_dim(0).to_kind(Kind::Float).detach());
        }
    });
    found
}
