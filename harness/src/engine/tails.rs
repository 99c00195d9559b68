//! The last tokens of several sequences, run again above a layer, many times and with other FFN outputs of that
//! layer. The tokens before them stay as they were: keys and values.

use super::block::{Block, block, change_of_residual, feed_forward};
use super::forward::positions;
use crate::edit::Edit;
use crate::model::{CausalLm, KeysValues, Sequences, Tail};
use tch::Tensor;

/// Tails of sequences under one edit, a batch of B sequences and Q tokens each, shorter ones filled up.
pub struct Tails {
    layer: usize,
    tail: Tail,
    /// Keys and values of all tokens in the layers above, `[B, kv heads, T, head_dim]` each.
    pasts: Vec<KeysValues>,
    /// FFN input of the layer, `[B,Q,D]`.
    ffn_input: Tensor,
    /// Post-activations of the layer, `[B,Q,F]`.
    post_activation: Tensor,
    /// The residual leaving it, `[B,Q,D]`.
    leaving: Tensor,
    edit: Edit,
}

impl Tails {
    /// Runs `sequences` under `edit`. Each is its ids and the number of them, at least one, whose last is the first of
    /// the tail.
    pub fn new(
        model: &dyn CausalLm,
        sequences: &[(&[u32], usize)],
        edit: &Edit,
        layer: usize,
    ) -> Self {
        let (ids, tail) = filled_up(model, sequences);
        let at_layer = up_to(model, &ids, edit, layer);
        let [ffn_input, post_activation, leaving] =
            [&at_layer.ffn_input, &at_layer.post_activation, &at_layer.output]
                .map(|all| tail.of(all));
        let mut residual = at_layer.output;
        let mut pasts = Vec::new();
        let last = model.spec().layers - 1;
        for above in layer + 1..=last {
            let input = model.attention_input(above, &residual);
            if above == last {
                pasts.push(model.attention(above).keys_values(&input, None));
                break;
            }
            let (attention, kept) = model.attention(above).causal_keeping(&input);
            residual = feed_forward(model, above, &residual, &input, &attention, edit).output;
            pasts.push(kept);
        }
        let edit = edit.clone();
        Self { layer, tail, pasts, ffn_input, post_activation, leaving, edit }
    }

    /// FFN inputs `[n,D]` of the layer at the n tokens of all tails, sequence by sequence.
    pub fn ffn_inputs(&self) -> Tensor {
        self.tail.rows(&self.ffn_input)
    }

    /// Post-activations `[n,F]` of the layer at the n tokens of all tails, sequence by sequence.
    pub fn post_activations(&self) -> Tensor {
        self.tail.rows(&self.post_activation)
    }

    /// Logits `[n,V]` after the n tokens of all tails, sequence by sequence, where `added` `[n,D]` is added to the FFN
    /// outputs of the layer at them. The tokens of a tail see each other as they change.
    pub fn logits(&self, model: &dyn CausalLm, added: &Tensor) -> Tensor {
        let (layer, edit) = (self.layer, &self.edit);
        let added = self.tail.filled(added);
        let change = change_of_residual(model, layer, &self.post_activation, edit, added);
        let mut residual = &self.leaving + change;
        for (above, past) in (layer + 1..).zip(&self.pasts) {
            let input = model.attention_input(above, &residual);
            let (attention, _) = model.attention(above).tail(past, &self.tail, &input);
            residual = feed_forward(model, above, &residual, &input, &attention, edit).output;
        }
        model.head(&model.final_norm(&self.tail.rows(&residual)))
    }
}

/// FFN inputs `[n,D]` of `layer` at the n tokens of all tails of `sequences`, given as to [`Tails::new`].
pub fn ffn_inputs(
    model: &dyn CausalLm,
    sequences: &[(&[u32], usize)],
    edit: &Edit,
    layer: usize,
) -> Tensor {
    let (ids, tail) = filled_up(model, sequences);
    tail.rows(&tail.of(&up_to(model, &ids, edit, layer).ffn_input))
}

/// The ids `[B,T]` of `sequences`, and their tails.
fn filled_up(model: &dyn CausalLm, sequences: &[(&[u32], usize)]) -> (Tensor, Tail) {
    let device = model.spec().device;
    let ids = Sequences::several(sequences.iter().map(|(ids, _)| *ids), device).ids;
    let lengths: Vec<_> = sequences.iter().map(|(ids, from)| (ids.len(), *from)).collect();
    (ids, Tail::new(&lengths, device))
}

/// The block `layer` on sequences `[B,T]`, at all positions.
fn up_to(model: &dyn CausalLm, ids: &Tensor, edit: &Edit, layer: usize) -> Block {
    let first = block(model, 0, &model.embed(ids, &positions(ids, None)), None, edit);
    (1..=layer).fold(first, |below, own| block(model, own, &below.output, None, edit))
}
