//! Greedy continuations of many prompts at once.

use super::batches::batches;
use super::block::feed_forward;
use super::forward::{argmax, positions};
use crate::edit::Edit;
use crate::model::{CausalLm, KeysValues, Sequences, Tail};
use tch::Tensor;

/// Tokens that are run at once.
const AT_ONCE: usize = 1024;

/// The `tokens` ids that follow each of `prompts`, of at least one token each, if the most probable one is taken every
/// time, the first of equals. The prompts and what follows must fit the context.
///
/// # Errors
/// If libtorch fails, or `check` does, which is asked before each token.
pub fn continuations(
    model: &dyn CausalLm,
    prompts: &[&[u32]],
    edit: &Edit,
    tokens: usize,
    mut check: impl FnMut(usize) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Vec<u32>>> {
    let lengths: Vec<usize> = prompts.iter().map(|prompt| prompt.len()).collect();
    let mut all = vec![Vec::new(); prompts.len()];
    for batch in batches(&lengths, AT_ONCE) {
        let of: Vec<&[u32]> = batch.iter().map(|&place| prompts[place]).collect();
        let mut growing = Growing::new(model, &of, edit);
        for grown in 0..tokens {
            check(if grown == 0 { batch.len() } else { 0 })?;
            let next = growing.argmax()?;
            for (&place, &id) in batch.iter().zip(&next) {
                all[place].push(id as u32);
            }
            if grown + 1 < tokens {
                growing.push(&next);
            }
        }
    }
    Ok(all)
}

/// Sequences that grow side by side.
struct Growing<'m> {
    model: &'m dyn CausalLm,
    edit: &'m Edit,
    /// Tokens of each prompt; they are filled up to `width`.
    lengths: Vec<usize>,
    width: usize,
    grown: usize,
    /// Keys and values of each layer.
    pasts: Vec<KeysValues>,
    /// The residual `[B,D]` after the last token of each.
    last: Tensor,
}

impl<'m> Growing<'m> {
    fn new(model: &'m dyn CausalLm, prompts: &[&[u32]], edit: &'m Edit) -> Self {
        let sequences = Sequences::several(prompts.iter().copied(), model.spec().device);
        let ids = &sequences.ids;
        let mut residual = model.embed(ids, &positions(ids, None));
        let mut pasts = Vec::new();
        for layer in 0..model.spec().layers {
            let input = model.attention_input(layer, &residual);
            let (attention, kept) = model.attention(layer).causal_keeping(&input);
            residual = feed_forward(model, layer, &residual, &input, &attention, edit).output;
            pasts.push(kept);
        }
        let lengths = prompts.iter().map(|prompt| prompt.len()).collect();
        let last = sequences.ends.of(&residual).squeeze_dim(1);
        Self { model, edit, lengths, width: ids.size()[1] as usize, grown: 0, pasts, last }
    }

    /// The most probable next token of each.
    fn argmax(&self) -> anyhow::Result<Vec<i64>> {
        let logits = self.model.head(&self.model.final_norm(&self.last));
        Ok(Vec::try_from(argmax(&logits))?)
    }

    fn push(&mut self, next: &[i64]) {
        let model = self.model;
        let device = model.spec().device;
        let tail = Tail::next(&self.lengths, self.width, self.grown, device);
        let ids = Tensor::from_slice(next).unsqueeze(1).to_device(device);
        let mut residual = model.embed(&ids, tail.depth());
        for (layer, past) in self.pasts.iter_mut().enumerate() {
            let input = model.attention_input(layer, &residual);
            let (attention, whole) = model.attention(layer).tail(past, &tail, &input);
            residual = feed_forward(model, layer, &residual, &input, &attention, self.edit).output;
            *past = whole;
        }
        self.last = residual.squeeze_dim(1);
        self.grown += 1;
    }
}
