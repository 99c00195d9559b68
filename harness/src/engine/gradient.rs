//! Gradients of one prediction with respect to the post-activations of every layer.
//!
//! Back-propagation goes block by block: each block is a piece of graph of its own, kept from the
//! trace where memory allows, run again from its residual where not. So the peak is one block,
//! and the last block, of which one position matters, costs next to nothing.

use super::block::{Block, block, block_at};
use super::trace::{Graph, Trace};
use crate::config::Quantity;
use crate::model::{CausalLm, Positions};
use tch::{Kind, Tensor};

/// Value that is differentiated: `quantity` of `tokens` `[N]` under `logits` `[N,V]`, `[N]` in f32.
pub fn quantity(quantity: Quantity, logits: &Tensor, tokens: &Tensor) -> Tensor {
    let all = match quantity {
        Quantity::Probability => logits.softmax(-1, Kind::Float),
        Quantity::LogProbability => logits.log_softmax(-1, Kind::Float),
        Quantity::Logit => logits.to_kind(Kind::Float),
    };
    all.gather(-1, &tokens.unsqueeze(-1), false).squeeze_dim(-1)
}

/// Gradients in one layer, at the Q positions that matter: `at` alone in the last layer, those up to
/// `at` below.
pub struct LayerGradients<'g> {
    /// Layer, counted from 0.
    pub layer: usize,
    /// Post-activations, `[1,Q,F]`.
    pub post_activation: &'g Tensor,
    /// Gradient with respect to them, `[1,Q,F]`.
    pub gradient: &'g Tensor,
    /// Gradient with respect to the FFN output, `[1,Q,D]`.
    pub output_gradient: &'g Tensor,
}

/// Calls `visit` for each layer, from the last down to layer `first`, with the gradients of `wanted` of
/// `token` at position `at` of a single traced sequence.
pub fn gradients(
    model: &dyn CausalLm,
    trace: &Trace,
    (at, token): (usize, u32),
    wanted: Quantity,
    first: usize,
    mut visit: impl FnMut(LayerGradients<'_>),
) {
    let last = model.spec().layers - 1;
    let tokens = at as i64 + 1;
    let position = Positions::same(at, 1);

    let state = trace.residual[last + 1].narrow(1, at as i64, 1);
    let state = state.detach().set_requires_grad(true);
    let logits = model.head(&model.final_norm(&state)).squeeze_dim(1);
    let token = Tensor::from_slice(&[i64::from(token)]).to_device(logits.device());
    let value = quantity(wanted, &logits, &token).sum(Kind::Float);
    let mut gradient = Tensor::run_backward(&[value], &[state], false, false).remove(0);

    for layer in (first..=last).rev() {
        let rebuilt;
        let kept = trace.graphs.get(layer).and_then(Option::as_ref);
        let graph = match kept {
            Some(graph) => graph,
            None => {
                let residual = trace.residual[layer].narrow(1, 0, tokens);
                rebuilt = Graph::new(&residual, |leaf| {
                    if layer == last {
                        block_at(model, layer, leaf, &position, &trace.edit)
                    } else {
                        block(model, layer, leaf, None, &trace.edit)
                    }
                });
                &rebuilt
            }
        };
        let Graph { residual, block: Block { post_activation, ffn_output, output, .. } } = graph;
        let covered = gradient.size()[1]; // tokens after `at` have no gradient
        let product = output.narrow(1, 0, covered) * &gradient;
        let inputs = [post_activation, ffn_output, residual];
        let inputs = &inputs[..if layer == first { 2 } else { 3 }];
        let product = product.sum(Kind::Float);
        let mut found = Tensor::run_backward(&[product], inputs, kept.is_some(), false);
        let up_to = |states: &Tensor| states.narrow(1, 0, covered.min(states.size()[1]));
        visit(LayerGradients {
            layer,
            post_activation: &up_to(&post_activation.detach()),
            gradient: &up_to(&found[0]),
            output_gradient: &up_to(&found[1]),
        });
        if layer > first {
            gradient = found.remove(2).narrow(1, 0, tokens);
        }
    }
}
