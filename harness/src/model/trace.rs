//! A trace: everything a replay needs to know about one sequence, computed once.

use super::CausalLm;
use super::forward::block;
use crate::edit::Edit;
use tch::Tensor;

/// One sequence `[T]` run through the model under `edit`.
#[derive(Debug)]
pub struct Trace {
    /// Residual stream: entry l enters layer l, entry L leaves the last; each `[1,T,D]`.
    pub residual: Vec<Tensor>,
    /// Post-activations of each layer, `[1,T,F]`.
    pub post_activation: Vec<Tensor>,
    /// What the trace was made under.
    pub edit: Edit,
}

impl Trace {
    /// Runs `ids` `[T]` once.
    pub fn new(model: &dyn CausalLm, ids: &Tensor, edit: Edit) -> Self {
        Self::from_embedding(model, model.embed(&ids.unsqueeze(0)), edit)
    }

    /// As [`Trace::new`], and every tensor of the trace is part of one autograd graph, so that
    /// gradients with respect to post-activations can be asked for any number of times.
    pub fn with_graph(model: &dyn CausalLm, ids: &Tensor, edit: Edit) -> Self {
        let embedding = model.embed(&ids.unsqueeze(0)).detach().set_requires_grad(true);
        Self::from_embedding(model, embedding, edit)
    }

    fn from_embedding(model: &dyn CausalLm, embedding: Tensor, edit: Edit) -> Self {
        let layers = model.spec().layers;
        let mut trace = Self {
            residual: Vec::with_capacity(layers + 1),
            post_activation: Vec::with_capacity(layers),
            edit,
        };
        trace.residual.push(embedding);
        trace.run_from(model, 0);
        trace
    }

    /// Adds `more` to the edit and recomputes the layers it reaches.
    pub fn commit(&mut self, model: &dyn CausalLm, more: &Edit) {
        let Some(first) = more.first_layer() else { return };
        self.edit.0.extend(more.0.iter().cloned());
        self.residual.truncate(first + 1);
        self.post_activation.truncate(first);
        self.run_from(model, first);
    }

    /// The first `tokens` of this trace, without its graph. Exact, as attention is causal.
    pub fn prefix(&self, tokens: usize) -> Self {
        let cut = |t: &Tensor| t.detach().narrow(1, 0, tokens as i64);
        Self {
            residual: self.residual.iter().map(cut).collect(),
            post_activation: self.post_activation.iter().map(cut).collect(),
            edit: self.edit.clone(),
        }
    }

    /// Logits `[T - first, V]` at the positions from `first` on.
    pub fn logits_from(&self, model: &dyn CausalLm, first: usize) -> Tensor {
        let tokens = self.last_residual().size()[1];
        let states = self.last_residual().narrow(1, first as i64, tokens - first as i64);
        model.head(&model.final_norm(&states)).squeeze_dim(0)
    }

    /// Logits `[V]` at one position.
    pub fn logits_at(&self, model: &dyn CausalLm, position: usize) -> Tensor {
        let state = self.last_residual().select(1, position as i64);
        model.head(&model.final_norm(&state)).squeeze_dim(0)
    }

    fn last_residual(&self) -> &Tensor {
        self.residual.last().expect("a trace holds at least the embedding")
    }

    fn run_from(&mut self, model: &dyn CausalLm, first: usize) {
        for layer in first..model.spec().layers {
            let block = block(model, layer, &self.residual[layer], &self.edit);
            self.residual.push(block.output);
            self.post_activation.push(block.post_activation);
        }
    }
}
