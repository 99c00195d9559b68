//! The end of a prompt: all that it takes to run the last token again, many times and with other
//! activations, and a small part of the prompt's trace.

use super::trace::Trace;
use crate::edit::Edit;
use crate::model::{CausalLm, KeysValues};
use tch::Tensor;

/// The last token of a traced prompt, the tokens before it as keys and values. Lists begin at the
/// lowest layer that was asked for.
pub struct PromptEnd {
    /// Token that follows the prompt, if it is to be explained.
    pub(super) target: u32,
    first: usize,
    pasts: Vec<KeysValues>,
    post_activation: Vec<Tensor>,
    leaving: Vec<Tensor>,
    edit: Edit,
    tokens: usize,
}

impl PromptEnd {
    /// Takes the end of a trace of one sequence, for the layers from `first` on, with the token to explain.
    /// Keeps nothing of the trace alive.
    pub fn new(model: &dyn CausalLm, trace: &Trace, target: u32, first: usize) -> Self {
        let tokens = trace.tokens() as usize;
        let layers = first..model.spec().layers;
        let past = |layer: usize| {
            let input = model.attention_input(layer, &trace.residual[layer]);
            model.attention(layer).keys_values(&input, None).prefix(tokens - 1)
        };
        let at_end = |layer: usize, states: &Tensor| {
            trace.at_ends_of(layer + 1, states).squeeze_dim(1).detach().copy()
        };
        Self {
            target,
            first,
            pasts: layers.clone().map(past).collect(),
            post_activation: layers.clone().map(|l| at_end(l, &trace.post_activation[l])).collect(),
            leaving: layers.map(|l| at_end(l, &trace.residual[l + 1])).collect(),
            edit: trace.edit.clone(),
            tokens,
        }
    }

    /// Tokens of the prompt.
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Keys and values of the tokens before the last, of `layer`.
    pub(super) fn past(&self, layer: usize) -> &KeysValues {
        &self.pasts[layer - self.first]
    }

    /// Post-activations of `layer`, `[1,F]`.
    pub(crate) fn post_activation(&self, layer: usize) -> &Tensor {
        &self.post_activation[layer - self.first]
    }

    /// The residual leaving `layer`, `[1,D]`.
    pub(crate) fn leaving(&self, layer: usize) -> &Tensor {
        &self.leaving[layer - self.first]
    }

    /// Edit under which the prompt was traced.
    pub(super) fn edit(&self) -> &Edit {
        &self.edit
    }

    /// Bytes that are held.
    pub fn bytes(&self) -> usize {
        let own = self.post_activation.iter().chain(&self.leaving);
        own.chain(self.pasts.iter().flat_map(KeysValues::tensors))
            .map(|tensor| tensor.numel() * tensor.kind().elt_size_in_bytes())
            .sum()
    }
}
