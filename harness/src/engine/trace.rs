//! A trace: everything a replay needs to know about sequences, computed once.

use super::block::{Block, block, block_at, change_of_residual};
use super::forward::positions;
use crate::edit::Edit;
use crate::model::{CausalLm, Positions, Sequences, Spec};
use tch::Tensor;

/// Sequences run through the model under an edit.
#[derive(Debug)]
pub struct Trace {
    /// Residual stream: entry l enters layer l, entry L leaves the last; each `[B,T,D]`.
    pub residual: Vec<Tensor>,
    /// Post-activations of each layer, `[B,T,F]`.
    pub post_activation: Vec<Tensor>,
    /// Ends of the sequences, or of their branches: E positions, the same number Q in each sequence. The last
    /// layer may have been run there only (`at_ends`).
    pub ends: Positions,
    /// Edit under which the trace was made.
    pub edit: Edit,
    /// True if the last post-activation and the last residual hold the ends only, `[B,Q,·]`: a replay needs
    /// no more of the last layer, which then costs next to nothing.
    at_ends: bool,
    /// Differentiable blocks, where they are kept; see [`super::gradient`].
    pub(super) graphs: Vec<Option<Graph>>,
}

/// A block as a piece of autograd graph of its own, from `residual` (a leaf) to `block`.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) residual: Tensor,
    pub(super) block: Block,
}

impl Graph {
    /// Runs `run` on a leaf with the values of `residual`.
    pub(super) fn new(residual: &Tensor, run: impl FnOnce(&Tensor) -> Block) -> Self {
        let residual = residual.detach().set_requires_grad(true);
        let block = run(&residual);
        Self { residual, block }
    }
}

/// Bytes of the autograd graph of one block, a token: the inputs that elementwise operations and
/// attention keep, counted on the safe side.
pub(super) fn graph_bytes(spec: &Spec) -> usize {
    (6 * spec.d_model + 3 * spec.d_ff) * spec.kind.elt_size_in_bytes()
}

impl Trace {
    /// Runs `sequences` once, every layer at all positions.
    pub fn new(model: &dyn CausalLm, sequences: &Sequences, edit: Edit) -> Self {
        Self::start(model, sequences, edit, false, 0)
    }

    /// Runs `sequences` once, the last layer at their ends only.
    pub fn to_ends(model: &dyn CausalLm, sequences: &Sequences, edit: Edit) -> Self {
        Self::start(model, sequences, edit, true, 0)
    }

    /// Does what [`Trace::new`] does, and keeps the autograd graphs of as many layers below the last as fit
    /// into `budget` bytes, upper ones first, so that [`super::gradient`] need not run them again.
    pub fn with_graphs(
        model: &dyn CausalLm,
        sequences: &Sequences,
        edit: Edit,
        budget: usize,
    ) -> Self {
        let layer = graph_bytes(model.spec()) * sequences.ids.numel();
        Self::start(model, sequences, edit, false, budget / layer.max(1))
    }

    fn start(
        model: &dyn CausalLm,
        sequences: &Sequences,
        edit: Edit,
        at_ends: bool,
        graphs: usize,
    ) -> Self {
        assert!(edit.hint.is_none(), "a text before the prompts makes other sequences");
        let layers = model.spec().layers;
        let mut trace = Self {
            residual: Vec::with_capacity(layers + 1),
            post_activation: Vec::with_capacity(layers),
            ends: sequences.ends.clone(),
            edit,
            at_ends,
            graphs: Vec::new(),
        };
        let position = positions(&sequences.ids, sequences.ends.tree());
        trace.residual.push(model.embed(&sequences.ids, &position));
        trace.run_from(model, 0, graphs);
        trace
    }

    /// Adds `more` to the edit and recomputes what it reaches.
    ///
    /// # Panics
    /// If a column of `more` acts at the end only: the positions of a trace share one edit.
    pub fn commit(&mut self, model: &dyn CausalLm, more: &Edit) {
        let Some(first) = more.first_layer() else { return };
        assert!(more.is_of_weights(), "an edit that stands acts at every position");
        if more.changes_inputs(first) {
            self.edit = self.edit.and(more);
            self.residual.truncate(first + 1);
            self.post_activation.truncate(first);
            self.run_from(model, first, 0);
            return;
        }
        let active = &self.post_activation[first];
        let added = more.contribution(first, active).expect("a change of its first layer");
        let left =
            &self.residual[first + 1] + change_of_residual(model, first, active, &self.edit, added);
        self.edit = self.edit.and(more);
        self.residual.truncate(first + 1);
        self.post_activation.truncate(first + 1);
        self.residual.push(left);
        self.run_from(model, first + 1, 0);
    }

    /// The first `tokens` of this trace of one sequence, its last layer at its end only. Exact, as
    /// attention is causal.
    pub fn prefix(&self, tokens: usize) -> Self {
        let layers = self.post_activation.len();
        let cut = |(layer, states): (usize, &Tensor), last: usize| {
            let (start, count) = if layer == last { (tokens - 1, 1) } else { (0, tokens) };
            states.detach().narrow(1, start as i64, count as i64)
        };
        Self {
            residual: self.residual.iter().enumerate().map(|r| cut(r, layers)).collect(),
            post_activation: self
                .post_activation
                .iter()
                .enumerate()
                .map(|a| cut(a, layers - 1))
                .collect(),
            ends: Positions::same(tokens - 1, 1),
            edit: self.edit.clone(),
            at_ends: true,
            graphs: Vec::new(),
        }
    }

    /// Several traces of one sequence each as one: all have the same number of tokens, and end with the last.
    pub(crate) fn joined(traces: &[&Self]) -> Self {
        let joined = |of: fn(&Self) -> &Vec<Tensor>| -> Vec<Tensor> {
            let layer = |layer: usize| {
                Tensor::cat(&traces.iter().map(|own| &of(own)[layer]).collect::<Vec<_>>(), 0)
            };
            (0..of(traces[0]).len()).map(layer).collect()
        };
        Self {
            residual: joined(|own| &own.residual),
            post_activation: joined(|own| &own.post_activation),
            ends: Positions::same(traces[0].tokens() as usize - 1, traces.len()),
            edit: traces[0].edit.clone(),
            at_ends: traces[0].at_ends,
            graphs: Vec::new(),
        }
    }

    /// The same tensors in another trace, without graphs.
    pub fn shallow_clone(&self) -> Self {
        self.map(Tensor::shallow_clone)
    }

    /// A copy of the trace with each tensor replaced by `of` of it, without graphs.
    pub(super) fn map(&self, mut of: impl FnMut(&Tensor) -> Tensor) -> Self {
        Self {
            residual: self.residual.iter().map(&mut of).collect(),
            post_activation: self.post_activation.iter().map(&mut of).collect(),
            ends: self.ends.clone(),
            edit: self.edit.clone(),
            at_ends: self.at_ends,
            graphs: Vec::new(),
        }
    }

    /// All tensors, in the order of [`Trace::map`].
    pub(super) fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.residual.iter().chain(&self.post_activation)
    }

    /// Logits `[T - first, V]` of a single sequence at the positions from `first` on.
    pub fn logits_from(&self, model: &dyn CausalLm, first: usize) -> Tensor {
        let tokens = self.last_residual().size()[1];
        let states = self.last_residual().narrow(1, first as i64, tokens - first as i64);
        model.head(&model.final_norm(&states)).squeeze_dim(0)
    }

    /// Logits `[V]` of a single sequence at one position.
    pub fn logits_at(&self, model: &dyn CausalLm, position: usize) -> Tensor {
        let state = self.last_residual().select(1, position as i64);
        model.head(&model.final_norm(&state)).squeeze_dim(0)
    }

    /// Logits `[n,V]` at the positions `rows` `[n]` of all B·T.
    pub fn logits_of(&self, model: &dyn CausalLm, rows: &Tensor) -> Tensor {
        let states = self.last_residual().flatten(0, 1).index_select(0, rows);
        model.head(&model.final_norm(&states))
    }

    /// Logits `[E,V]` at the ends.
    pub fn logits(&self, model: &dyn CausalLm) -> Tensor {
        let states = self.at_ends_of(model.spec().layers, self.last_residual());
        model.head(&model.final_norm(&states)).flatten(0, 1)
    }

    /// Selects the ends of `states` `[B,T,X]` that enter `layer`, or that the layer below computed:
    /// `[B,Q,X]`.
    pub(super) fn at_ends_of(&self, layer: usize, states: &Tensor) -> Tensor {
        let cut = self.at_ends && layer == self.post_activation.len();
        if cut { states.shallow_clone() } else { self.ends.of(states) }
    }

    /// Tokens of the longest sequence.
    pub fn tokens(&self) -> i64 {
        self.residual[0].size()[1]
    }

    fn last_residual(&self) -> &Tensor {
        self.residual.last().expect("a trace holds at least the embedding")
    }

    /// Runs the layers from `first` on, with graphs of the `graphs` layers below the last.
    fn run_from(&mut self, model: &dyn CausalLm, first: usize, graphs: usize) {
        let (last, tree) = (model.spec().layers - 1, self.ends.tree());
        self.graphs.clear();
        self.graphs.resize_with(last, || None);
        for layer in first..=last {
            let residual = &self.residual[layer];
            let run = if layer == last && self.at_ends {
                block_at(model, layer, residual, &self.ends, &self.edit)
            } else if layer < last && layer + graphs >= last {
                let graph =
                    Graph::new(residual, |leaf| block(model, layer, leaf, tree, &self.edit));
                let block = Block {
                    ffn_input: graph.block.ffn_input.detach(),
                    post_activation: graph.block.post_activation.detach(),
                    ffn_output: graph.block.ffn_output.detach(),
                    output: graph.block.output.detach(),
                };
                self.graphs[layer] = Some(graph);
                block
            } else {
                block(model, layer, residual, tree, &self.edit)
            };
            self.residual.push(run.output);
            self.post_activation.push(run.post_activation);
        }
    }
}
