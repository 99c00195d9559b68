//! The plain forward pass: the reference that every faster path is held to.

use super::CausalLm;
use crate::edit::{Applied, ColumnDelta, Edit};
use tch::Tensor;

/// What one block computes, for a residual `[B,T,D]` entering it.
#[derive(Debug)]
pub struct Block {
    /// What attention adds, `[B,T,D]`.
    pub attention: Tensor,
    /// One activation a neuron, `[B,T,F]`.
    pub post_activation: Tensor,
    /// What the FFN adds, without any edit, `[B,T,D]`.
    pub ffn: Tensor,
    /// The residual leaving the block, `[B,T,D]`, edit included.
    pub output: Tensor,
}

/// Runs block `layer` on `residual` `[B,T,D]` with the columns of `edit` that lie in it.
pub fn block(model: &dyn CausalLm, layer: usize, residual: &Tensor, edit: &Edit) -> Block {
    let attention = model.attention(layer, residual);
    let post_activation = model.post_activation(layer, residual, &attention);
    let ffn = model.ffn_output(layer, &post_activation);
    let mut output = residual + &attention + &ffn;
    for column in edit.of_layer(layer) {
        output += contribution(&post_activation, column);
    }
    Block { attention, post_activation, ffn, output }
}

/// What an edited column adds to the residual: activation `[B,T,1]` times delta `[D]`.
pub fn contribution(post_activation: &Tensor, column: &ColumnDelta) -> Tensor {
    post_activation.narrow(-1, column.neuron.index as i64, 1) * &column.delta
}

/// Logits `[B,T,V]` of `ids` `[B,T]` under `edit`, by one pass over all layers.
pub fn logits(model: &dyn CausalLm, ids: &Tensor, edit: &Edit) -> Tensor {
    model.head(&model.final_norm(&residual(model, ids, edit)))
}

/// The residual `[B,T,D]` leaving the last block.
fn residual(model: &dyn CausalLm, ids: &Tensor, edit: &Edit) -> Tensor {
    let mut residual = model.embed(ids);
    for layer in 0..model.spec().layers {
        residual = block(model, layer, &residual, edit).output;
    }
    residual
}

/// Logits `[V]` at the last of `ids` `[T]` with `edit` written into the weights and taken back:
/// the way the paper describes an edit, and the slowest.
pub fn logits_with_weights_edited(model: &dyn CausalLm, ids: &Tensor, edit: &Edit) -> Tensor {
    let _applied = Applied::new(model, edit);
    let residual = residual(model, &ids.unsqueeze(0), &Edit::none());
    model.head(&model.final_norm(&residual.select(1, -1))).squeeze_dim(0)
}
