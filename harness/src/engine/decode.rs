//! Decoding: a sequence that grows token by token. Keys and values of the tokens before are kept, so
//! that a token costs one pass of one token.

use super::block::{Block, feed_forward};
use super::forward::positions;
use crate::edit::Edit;
use crate::model::{CausalLm, Past};
use tch::Tensor;

/// A sequence under an edit.
pub struct Decoder<'m> {
    model: &'m dyn CausalLm,
    edit: Edit,
    /// One a layer.
    past: Vec<Past>,
    /// Logits `[V]` after the last token.
    logits: Tensor,
}

impl<'m> Decoder<'m> {
    /// Runs `ids`, at least one, under `edit`; there is room for `more` tokens.
    pub fn new(model: &'m dyn CausalLm, ids: &[u32], edit: Edit, more: usize) -> Self {
        let input: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
        let input = Tensor::from_slice(&input).unsqueeze(0).to_device(model.spec().device);
        let mut past = Vec::with_capacity(model.spec().layers);
        let logits = run(model, (&input, 0), &edit, |layer, input| {
            let (attention, kept) = model.attention(layer).causal_keeping(input);
            past.push(Past::new(&kept, more));
            attention
        });
        Self { model, edit, past, logits }
    }

    /// Logits `[V]` of what comes next.
    pub fn logits(&self) -> &Tensor {
        &self.logits
    }

    /// Goes on with `id`.
    ///
    /// # Panics
    /// If there is no room left.
    pub fn push(&mut self, id: u32) {
        let input = Tensor::from_slice(&[i64::from(id)]).unsqueeze(0);
        let input = input.to_device(self.model.spec().device);
        let (model, past) = (self.model, &mut self.past);
        let start = past[0].tokens();
        self.logits = run(model, (&input, start), &self.edit, |layer, input| {
            model.attention(layer).next(&mut past[layer], input)
        });
    }
}

/// Logits `[V]` at the last of `ids` `[1,T]`, the first of which stands at position `start`; `attention`
/// computes that of a layer from its input.
fn run(
    model: &dyn CausalLm,
    (ids, start): (&Tensor, usize),
    edit: &Edit,
    mut attention: impl FnMut(usize, &Tensor) -> Tensor,
) -> Tensor {
    let mut residual = model.embed(ids, &(positions(ids, None) + start as i64));
    for layer in 0..model.spec().layers {
        let input = model.attention_input(layer, &residual);
        let attention = attention(layer, &input);
        let Block { output, .. } = feed_forward(model, layer, &residual, &input, &attention, edit);
        residual = output;
    }
    model.head(&model.final_norm(&residual.select(1, -1))).squeeze_dim(0)
}
