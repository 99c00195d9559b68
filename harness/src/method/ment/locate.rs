//! Step 1: which neurons speak for the wrong token (Equation 1).

use super::super::{LlmError, Scene, softmax};
use crate::config::{AttributedToken, Layers, Locate, MentConfig, Positions, Quantity};
use crate::edit::Neuron;
use crate::model::{CausalLm, trace::Trace};
use tch::{Kind, Tensor};

/// The neurons with the highest scores, best first.
pub(super) fn locate(scene: &Scene<'_>, error: &LlmError, config: &MentConfig) -> Vec<Neuron> {
    let first = first_layer(scene, &config.locate);
    let token = match config.locate.token {
        AttributedToken::Argmax => error.argmax,
        AttributedToken::Target => error.target,
    };
    let scores = attribution(scene.model, scene.trace, error.at, token, first, &config.locate);
    let width = scores.size()[1] as usize;
    let k = config.candidates.0.min(scores.numel()) as i64;
    let (_, top) = scores.flatten(0, -1).topk(k, 0, true, true);
    let top = Vec::<i64>::try_from(top).expect("indices are integers");
    top.into_iter()
        .map(|flat| flat as usize)
        .map(|flat| Neuron { layer: first + flat / width, index: flat % width })
        .collect()
}

fn first_layer(scene: &Scene<'_>, config: &Locate) -> usize {
    match config.layers {
        Layers::All => 0,
        Layers::UpperHalf => scene.model.spec().layers / 2,
    }
}

/// Input × gradient of every neuron in layers `first..`, `[layers, F]`: the L2 norm, over
/// positions, of post-activation times the gradient of `token`'s quantity at position `at`.
///
/// `trace` must hold its graph ([`Trace::with_graph`]); it can be asked again and again.
pub fn attribution(
    model: &dyn CausalLm,
    trace: &Trace,
    at: usize,
    token: u32,
    first: usize,
    config: &Locate,
) -> Tensor {
    let logits = trace.logits_at(model, at);
    let attributed = match config.quantity {
        Quantity::Probability => softmax(&logits),
        Quantity::LogProbability => logits.log_softmax(-1, Kind::Float),
        Quantity::Logit => logits.to_kind(Kind::Float),
    }
    .get(i64::from(token));
    let activations: Vec<&Tensor> = trace.post_activation[first..].iter().collect();
    let gradients = Tensor::run_backward(&[attributed], &activations, true, false);
    let scores: Vec<Tensor> = activations
        .iter()
        .zip(&gradients)
        .map(|(activation, gradient)| {
            let product = (activation.detach() * gradient).squeeze_dim(0).to_kind(Kind::Float);
            match config.positions {
                Positions::All => {
                    product.square().sum_dim_intlist([0_i64].as_slice(), false, Kind::Float)
                }
                Positions::Last => product.get(at as i64).square(),
            }
        })
        .collect();
    Tensor::stack(&scores, 0).sqrt()
}
