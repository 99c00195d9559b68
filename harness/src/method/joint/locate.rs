//! The neurons of a request: those whose columns, changed a little, raise its wanted tokens most after every prompt,
//! for how much they fire on the text.

use super::Rows;
use super::kept::Kept;
use crate::config::JointConfig;
use crate::edit::Neuron;
use crate::engine::above::logits_changed_at_ends;
use crate::engine::prompt_end::PromptEnd;
use crate::model::CausalLm;
use anyhow::Result;
use std::ops::Range;
use tch::{Kind, Tensor};

/// Ends whose graphs are held at once.
const AT_ONCE: usize = 64;

/// The neurons of each request, best first.
///
/// The score of neuron j is the smallest over the prompts of ‖Σ aⱼ g‖ / √(E + floor): a over a prompt's wanted tokens
/// is its activation, g the gradient of the negative log-probability with respect to the FFN output, and E the mean
/// square of its activation on the text. That is the gain of a small step of the column for its cost on the text.
pub(super) fn locate(
    model: &dyn CausalLm,
    rows: &Rows,
    kept: &Kept,
    (config, layers): (&JointConfig, Range<usize>),
) -> Result<Vec<Vec<Neuron>>> {
    let (active, gradient) = slopes(model, rows, layers.clone())?;
    let score = |prompts: &Vec<Range<usize>>| -> Result<Vec<Neuron>> {
        let by_layer = layers.clone().enumerate().map(|(place, layer)| {
            let of_prompt = |rows: &Range<usize>| {
                let own = |all: &Tensor| all.narrow(0, rows.start as i64, rows.len() as i64);
                let (active, gradient) = (own(&active[place]), own(&gradient[place]));
                // ‖Σ aⱼ g‖² without the [F,D] sums: by the products of the gradients with each other.
                let products = gradient.matmul(&gradient.tr());
                let square = products.matmul(&active) * active;
                square.sum_dim_intlist([0_i64].as_slice(), false, Kind::Float).clamp_min(0.0).sqrt()
            };
            let each: Vec<Tensor> = prompts.iter().map(of_prompt).collect();
            let least = Tensor::stack(&each, 0).min_dim(0, false).0;
            least / (kept.energy(layer) + config.floor.0).sqrt()
        });
        let scores = Tensor::stack(&by_layer.collect::<Vec<_>>(), 0);
        let (width, count) = (scores.size()[1], scores.numel().min(config.neurons.0));
        let (_, best) = scores.flatten(0, -1).topk(count as i64, 0, true, true);
        let neuron = |flat: i64| Neuron {
            layer: layers.start + (flat / width) as usize,
            index: (flat % width) as usize,
        };
        Ok(Vec::<i64>::try_from(best)?.into_iter().map(neuron).collect())
    };
    rows.prompts.iter().map(score).collect()
}

/// The post-activations `[n,F]` at all ends, and the gradients `[n,D]` of the negative log-probabilities of the wanted
/// tokens with respect to the FFN outputs there, f32, by layer.
fn slopes(
    model: &dyn CausalLm,
    rows: &Rows,
    layers: Range<usize>,
) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
    let spec = model.spec();
    let mut found: Vec<(Vec<Tensor>, Vec<Tensor>)> =
        layers.clone().map(|_| Default::default()).collect();
    let ends: Vec<&PromptEnd> = rows.ends.iter().collect();
    for (ends, targets) in ends.chunks(AT_ONCE).zip(rows.targets.chunks(AT_ONCE)) {
        let zeros = |_| {
            let size = [ends.len() as i64, spec.d_model as i64];
            Tensor::zeros(size, (spec.kind, spec.device)).set_requires_grad(true)
        };
        let leaves: Vec<Tensor> = layers.clone().map(zeros).collect();
        let mut active = Vec::new();
        let logits = logits_changed_at_ends(model, ends, layers.start, |layer, own| {
            let leaf = leaves.get(layer - layers.start)?;
            active.push(own.detach().to_kind(Kind::Float));
            Some(leaf.shallow_clone())
        });
        let loss = loss(&logits, targets).sum(Kind::Float);
        let gradients = Tensor::run_backward(&[loss], &leaves, false, false);
        for ((found, active), gradient) in found.iter_mut().zip(active).zip(gradients) {
            found.0.push(active);
            found.1.push(gradient.to_kind(Kind::Float));
        }
    }
    let all = |parts: Vec<Tensor>| Tensor::cat(&parts, 0);
    Ok(found.into_iter().map(|(active, gradient)| (all(active), all(gradient))).unzip())
}

/// Negative log-probability of each of `targets`, `[n]`, by `logits` `[n,V]`.
pub(super) fn loss(logits: &Tensor, targets: &[i64]) -> Tensor {
    let targets = Tensor::from_slice(targets).to_device(logits.device()).unsqueeze(1);
    -logits.log_softmax(-1, Kind::Float).gather(1, &targets, false).squeeze_dim(1)
}
