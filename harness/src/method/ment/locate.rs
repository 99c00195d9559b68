//! Step 1: which neurons speak for the wrong token (Equation 1).

use super::super::{LlmError, RepairContext};
use crate::config::{AttributedPositions, AttributedToken, Layers, Locate, MentConfig, Score};
use crate::edit::Neuron;
use crate::engine::gradient::gradients;
use crate::engine::integrated_gradients::{PathPoint, integrated_gradients};
use crate::engine::prompt_end::PromptEnd;
use crate::engine::trace::Trace;
use crate::error::InputError;
use crate::model::{CausalLm, Spec};
use anyhow::Result;
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

/// The neurons with the highest scores, best first.
///
/// # Errors
/// If a fixed neuron is not one of the model.
pub(super) fn locate(
    context: &RepairContext<'_>,
    error: &LlmError,
    config: &MentConfig,
) -> Result<Vec<Neuron>> {
    let first = first_layer(context, &config.locate);
    let token = attributed_token(error, &config.locate);
    let scores = match config.locate.score {
        Score::InputTimesGradient => {
            let at = (error.at, token);
            attribution(context.model, context.trace, at, first, &config.locate, context.memory / 2)
        }
        Score::Activation => activation(context.trace, error.at, first, config.locate.positions),
        Score::Random => random(context, error, first),
        Score::Fixed => return fixed(context.model.spec(), config),
    };
    let width = scores.size()[1] as usize;
    let k = config.candidates.0.min(scores.numel()) as i64;
    let (_, top) = scores.flatten(0, -1).topk(k, 0, true, true);
    let top = Vec::<i64>::try_from(top).expect("indices are integers");
    Ok(top
        .into_iter()
        .map(|flat| flat as usize)
        .map(|flat| Neuron { layer: first + flat / width, index: flat % width })
        .collect())
}

/// The token whose prediction is attributed.
pub(super) fn attributed_token(error: &LlmError, config: &Locate) -> u32 {
    match config.token {
        AttributedToken::Argmax => error.argmax,
        AttributedToken::Target => error.target,
    }
}

/// The first candidates of `locate.neurons`.
fn fixed(spec: &Spec, config: &MentConfig) -> Result<Vec<Neuron>> {
    config.check_neurons(spec.layers, spec.d_ff).map_err(InputError::new)?;
    let neurons = config.locate.neurons.iter().take(config.candidates.0);
    Ok(neurons.map(|&(layer, index)| Neuron { layer, index }).collect())
}

/// Size of every neuron's post-activation in layers `first..`, `[layers, F]`, f32: at position `at`,
/// or its L2 norm over all up to there.
fn activation(trace: &Trace, at: usize, first: usize, positions: AttributedPositions) -> Tensor {
    let scores: Vec<Tensor> = trace.post_activation[first..]
        .iter()
        .map(|active| {
            let active = match positions {
                AttributedPositions::All => active.narrow(1, 0, at as i64 + 1),
                AttributedPositions::Last => active.narrow(1, at as i64, 1),
            };
            let active = active.squeeze_dim(0).to_kind(Kind::Float);
            active.norm_scalaropt_dim(2.0, [0_i64].as_slice(), false)
        })
        .collect();
    Tensor::stack(&scores, 0)
}

/// Uniform scores `[layers, F]` that depend on the seed, the text up to the error and the target:
/// not on what was run before, so that a continued run draws the same.
fn random(context: &RepairContext<'_>, error: &LlmError, first: usize) -> Tensor {
    let spec = context.model.spec();
    let ids = context.ids.narrow(0, 0, error.at as i64 + 1);
    let ids = Vec::<i64>::try_from(ids).expect("ids are integers");
    let digest = Sha256::digest(format!("{} {} {ids:?}", context.seed, error.target));
    let seed = i64::from_le_bytes(digest[..8].try_into().expect("a digest has 32 bytes"));
    tch::manual_seed(seed);
    let shape = [(spec.layers - first) as i64, spec.d_ff as i64];
    // Drawn on the CPU, whose generator every device shares.
    Tensor::rand(shape, (Kind::Float, Device::Cpu)).to_device(spec.device)
}

fn first_layer(context: &RepairContext<'_>, config: &Locate) -> usize {
    match config.layers {
        Layers::All => 0,
        Layers::UpperHalf => context.model.spec().layers / 2,
    }
}

/// Input × gradient of every neuron in layers `first..`, `[layers, F]`, f32: post-activation times
/// the gradient of `token`'s quantity at position `at`, its size at the last position or its L2
/// norm over all.
///
/// Over all positions the whole sequence takes part in back-propagation; at the last position,
/// one token a layer does. `memory` bytes bound the latter's batch.
pub fn attribution(
    model: &dyn CausalLm,
    trace: &Trace,
    (at, token): (usize, u32),
    first: usize,
    config: &Locate,
    memory: usize,
) -> Tensor {
    match config.positions {
        AttributedPositions::All => {
            let mut scores = Vec::with_capacity(model.spec().layers - first);
            let at = (at, token);
            gradients(model, trace, at, config.quantity, first, |layer| {
                let product =
                    (layer.post_activation * layer.gradient).squeeze_dim(0).to_kind(Kind::Float);
                scores.push(product.norm_scalaropt_dim(2.0, [0_i64].as_slice(), false));
            });
            scores.reverse();
            Tensor::stack(&scores, 0)
        }
        AttributedPositions::Last => {
            let input_times_gradient = [PathPoint { alpha: 1.0, weight: 1.0 }];
            let prompt = [PromptEnd::new(model, &trace.prefix(at + 1), token, first)];
            let (wanted, layers) = (config.quantity, first..model.spec().layers);
            integrated_gradients(model, &prompt, wanted, layers, &input_times_gradient, memory)
                .squeeze_dim(0)
                .abs()
        }
    }
}
