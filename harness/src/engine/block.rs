//! One block of a model, at all positions or at some of each sequence.

use super::inputs;
use crate::edit::Edit;
use crate::model::{CausalLm, Positions, Tree};
use tch::Tensor;

/// Result of a block that was run at positions Q of each sequence.
#[derive(Debug)]
pub struct Block {
    /// Input of the FFN, `[B,Q,D]`.
    pub ffn_input: Tensor,
    /// One activation a neuron, `[B,Q,F]`.
    pub post_activation: Tensor,
    /// FFN output, `[B,Q,D]`, edit included, before it is added to the residual stream.
    pub ffn_output: Tensor,
    /// The residual leaving the block, `[B,Q,D]`, edit included.
    pub output: Tensor,
}

/// Runs block `layer` on `residual` `[B,T,D]`, at all positions, with the changes of `edit` that
/// lie in it. The sequences branch as `tree` says.
pub fn block(
    model: &dyn CausalLm,
    layer: usize,
    residual: &Tensor,
    tree: Option<&Tree>,
    edit: &Edit,
) -> Block {
    let input = model.attention_input(layer, residual);
    let attention = model.attention(layer).causal(&input, tree);
    feed_forward(model, layer, residual, &input, &attention, edit)
}

/// Runs block `layer` on `residual` `[B,T,D]` at the positions `at` of each sequence: all that
/// the last block has to do where only those predictions are needed.
pub fn block_at(
    model: &dyn CausalLm,
    layer: usize,
    residual: &Tensor,
    at: &Positions,
    edit: &Edit,
) -> Block {
    let input = model.attention_input(layer, residual);
    let attention = model.attention(layer).at(at, &input);
    feed_forward(model, layer, &at.of(residual), &at.of(&input), &attention, edit)
}

/// The part of a block after its attention.
pub(super) fn feed_forward(
    model: &dyn CausalLm,
    layer: usize,
    residual: &Tensor,
    input: &Tensor,
    attention: &Tensor,
    edit: &Edit,
) -> Block {
    let ffn_input = model.ffn_input(layer, residual, input, attention);
    let post_activation = inputs::post_activation(model, layer, &ffn_input, edit);
    let ffn_output = ffn_output(model, layer, &post_activation, edit);
    let mut output = residual + attention;
    output += model.ffn_exit(layer).apply(ffn_output.shallow_clone());
    Block { ffn_input, post_activation, ffn_output, output }
}

/// The FFN output `[..,D]` of `layer` from the post-activations `[..,F]`, under `edit`.
pub(crate) fn ffn_output(
    model: &dyn CausalLm,
    layer: usize,
    post_activation: &Tensor,
    edit: &Edit,
) -> Tensor {
    let mut output = model.ffn_output(layer, post_activation);
    if let Some(added) = edit.contribution(layer, post_activation) {
        output += added;
    }
    output
}

/// Change of the residual leaving `layer` if `more` `[..,D]` is added to the FFN output that comes of
/// `post_activation` `[..,F]` under the edit `standing`. Where the FFN output is added as it is, or scaled, that
/// is `more`, or scaled; where it is normed first, the norm is taken with and without it.
pub(crate) fn change_of_residual(
    model: &dyn CausalLm,
    layer: usize,
    post_activation: &Tensor,
    standing: &Edit,
    more: Tensor,
) -> Tensor {
    let exit = model.ffn_exit(layer);
    if exit.is_linear() {
        return exit.apply(more);
    }
    let before = ffn_output(model, layer, post_activation, standing);
    exit.apply(&before + more) - exit.apply(before)
}
