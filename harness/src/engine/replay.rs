//! Replays edits on a trace: an edit changes the residual leaving its layer by exactly what it adds to the
//! FFN output there (of a column, activation times delta), so only the layers above it are run again. Edits are taken in the
//! order of their lowest layer; the batch grows on the way up and one pass serves them all.

use super::batches::in_order;
use super::block::{block, block_at, change_of_residual};
use super::memory::in_pieces;
use super::trace::Trace;
use crate::edit::{ColumnDelta, Edit, Reach};
use crate::engine::device::tokens_at_once;
use crate::model::{CausalLm, Spec};
use std::collections::BTreeMap;
use tch::Tensor;

/// Candidate edits over a trace, each on top of the trace's own edit and independent of the
/// others. Candidates can be committed, one after the other, and all be asked again.
pub struct Replay<'m> {
    model: &'m dyn CausalLm,
    trace: Trace,
    candidates: Vec<Edit>,
    /// For each candidate, residuals `[B,T,D]` entering layers above its own. A commit at layer l
    /// keeps those up to l, and the candidate continues from there.
    states: Vec<BTreeMap<usize, Tensor>>,
    /// Layers at which states are kept.
    stations: Vec<usize>,
    budget: usize,
}

/// Bytes that one token takes while a block is run without a graph.
pub(super) fn block_bytes(spec: &Spec) -> usize {
    (6 * spec.d_model + 4 * spec.d_ff) * spec.kind.elt_size_in_bytes()
}

impl<'m> Replay<'m> {
    /// `budget` bytes bound the batch that is run at once, and what is kept between commits.
    ///
    /// # Panics
    /// If a candidate is empty.
    pub fn new(
        model: &'m dyn CausalLm,
        trace: Trace,
        candidates: Vec<Edit>,
        budget: usize,
    ) -> Self {
        let states = candidates.iter().map(|_| BTreeMap::new()).collect();
        let mut replay = Self { model, trace, candidates, states, stations: Vec::new(), budget };
        replay.stations = replay.choose_stations(budget / 2);
        replay
    }

    /// Logits `[C,E,V]` at the E ends of the sequences under each of the C candidates.
    pub fn logits(&mut self) -> Tensor {
        let states = self.states_at_ends();
        self.model.head(&self.model.final_norm(&states))
    }

    /// The residual `[C,E,D]` leaving the last layer at the ends.
    pub fn states_at_ends(&mut self) -> Tensor {
        let last = self.model.spec().layers - 1;
        let starts: Vec<usize> = (0..self.candidates.len()).map(|row| self.start(row)).collect();
        let mut order: Vec<usize> = (0..starts.len()).collect();
        order.sort_by_key(|&row| starts[row]);
        let (spec, sequences) = (self.model.spec(), self.trace.ends.sequences());
        let row = self.trace.tokens() as usize * sequences * block_bytes(spec);
        let costs: Vec<usize> =
            order.iter().map(|&candidate| if starts[candidate] > last { 0 } else { row }).collect();
        let most = self.budget.min(tokens_at_once(spec.device) * block_bytes(spec));
        let (ends, width) = (self.trace.ends.count() as i64, spec.d_model as i64);
        let finals = in_pieces(&costs, most, |piece| self.climb(&order[piece], &starts));
        let finals = Tensor::cat(&finals, 0).view([-1, ends, width]);
        in_order(&finals, &order)
    }

    /// Makes `candidate` part of the trace's edit.
    pub fn commit(&mut self, candidate: usize) {
        let edit = self.candidates[candidate].clone();
        let Some(first) = edit.first_layer() else { return };
        for states in &mut self.states {
            states.retain(|&layer, _| layer <= first);
        }
        self.trace.commit(self.model, &edit);
    }

    /// Puts `edit` in the place of `candidate`; both have the same lowest layer.
    pub fn replace(&mut self, candidate: usize, edit: Edit) {
        let own = self.own_layer(candidate);
        assert_eq!(edit.first_layer(), Some(own), "a candidate keeps its layer");
        self.states[candidate].clear();
        self.candidates[candidate] = edit;
    }

    /// Takes `candidate` out; those after it move up by one.
    pub fn remove(&mut self, candidate: usize) {
        self.candidates.remove(candidate);
        self.states.remove(candidate);
    }

    /// The layer that `candidate` enters first in the next pass; L where nothing is left to run.
    fn start(&self, candidate: usize) -> usize {
        let kept = self.states[candidate].last_key_value().map(|(&layer, _)| layer);
        kept.unwrap_or(self.own_layer(candidate) + 1)
    }

    fn own_layer(&self, candidate: usize) -> usize {
        self.candidates[candidate].first_layer().expect("an edit to replay")
    }

    /// Runs `rows`, candidates ordered by `starts`, up through the last layer; the states leaving
    /// it at the ends, `[rows·B,Q,D]`.
    fn climb(&mut self, rows: &[usize], starts: &[usize]) -> Tensor {
        let (model, last) = (self.model, self.model.spec().layers - 1);
        let sequences = self.trace.ends.sequences();
        let mut joined = 0; // rows[..joined] are in the batch
        let mut batch: Vec<Tensor> = Vec::new();
        let lowest = rows.first().map_or(last + 1, |&row| starts[row]);
        for layer in lowest..=last {
            while let Some(&row) = rows.get(joined).filter(|&&row| starts[row] == layer) {
                batch.push(self.enter(row, layer));
                joined += 1;
            }
            let residual = if batch.len() == 1 { batch.remove(0) } else { Tensor::cat(&batch, 0) };
            if self.stations.contains(&layer) {
                for (index, &row) in rows[..joined].iter().enumerate() {
                    let own = (index * sequences) as i64;
                    let state = residual.narrow(0, own, sequences as i64);
                    self.states[row].insert(layer, state);
                }
            }
            let run = if layer == last {
                block_at(model, layer, &residual, &self.trace.ends.repeat(joined), &self.trace.edit)
            } else {
                block(model, layer, &residual, self.trace.ends.tree(), &self.trace.edit)
            };
            for (index, &row) in rows[..joined].iter().enumerate() {
                let own = |t: &Tensor| t.narrow(0, (index * sequences) as i64, sequences as i64);
                let active = own(&run.post_activation);
                if self.candidates[row].changes_inputs(layer) {
                    own(&run.output).copy_(&self.run_again(row, layer, &own(&residual)));
                } else if let Some(change) = self.change(row, layer, &active, layer == last) {
                    let mut output = own(&run.output);
                    output += change;
                }
            }
            batch = vec![run.output];
        }
        batch.extend(rows[joined..].iter().map(|&row| self.enter(row, last + 1)));
        Tensor::cat(&batch, 0)
    }

    /// State with which `candidate` enters `layer`: a kept state, or its own change to the trace; at the ends
    /// only, where `layer` is beyond the last.
    fn enter(&self, candidate: usize, layer: usize) -> Tensor {
        if let Some(state) = self.states[candidate].get(&layer) {
            return state.shallow_clone();
        }
        let own = self.own_layer(candidate);
        if self.candidates[candidate].changes_inputs(own) {
            return self.run_again(candidate, own, &self.trace.residual[own]);
        }
        let at_ends = layer == self.model.spec().layers;
        let of_trace = |states: &Tensor| match at_ends {
            true => self.trace.at_ends_of(layer, states),
            false => states.shallow_clone(),
        };
        let active = of_trace(&self.trace.post_activation[own]);
        let change = self.change(candidate, own, &active, at_ends);
        of_trace(&self.trace.residual[own + 1]) + change.expect("a change of its own layer")
    }

    /// The residual leaving `layer`, which `residual` `[B,T,D]` enters, where `candidate` changes what its neurons read, so
    /// that the post-activations are others; in the last layer at the ends only.
    fn run_again(&self, candidate: usize, layer: usize, residual: &Tensor) -> Tensor {
        let (everywhere, end) = self.candidates[candidate].by_reach();
        let edit = self.trace.edit.and(&everywhere);
        let at_ends = layer + 1 == self.model.spec().layers;
        let run = if at_ends {
            block_at(self.model, layer, residual, &self.trace.ends, &edit)
        } else {
            block(self.model, layer, residual, self.trace.ends.tree(), &edit)
        };
        let active = &run.post_activation;
        let columns = end.columns_of(layer).map(|own| self.contribution(active, own, at_ends));
        match columns.reduce(|sum, own| sum + own) {
            None => run.output,
            Some(more) => run.output + change_of_residual(self.model, layer, active, &edit, more),
        }
    }

    /// Change of the residual leaving `layer` by what `candidate` changes in it, where the post-activations
    /// are `active`, `[B,T,F]`, or `[B,Q,F]` `at_ends`; `None` if it has none there.
    fn change(
        &self,
        candidate: usize,
        layer: usize,
        active: &Tensor,
        at_ends: bool,
    ) -> Option<Tensor> {
        let edit = &self.candidates[candidate];
        let columns = edit.columns_of(layer).map(|own| self.contribution(active, own, at_ends));
        let updates = edit.updates_of(layer).map(|update| update.change.contribution(active));
        let added = columns.chain(updates).reduce(|sum, own| sum + own)?;
        Some(change_of_residual(self.model, layer, active, &self.trace.edit, added))
    }

    /// Contribution of `column` to the FFN output where the post-activations are `active`, `[B,T,F]`; zero at positions where
    /// it does not act. `at_ends` if `active` holds the ends only, `[B,Q,F]`.
    fn contribution(&self, active: &Tensor, column: &ColumnDelta, at_ends: bool) -> Tensor {
        let everywhere = column.contribution(active);
        match column.reach {
            Reach::End if !at_ends => {
                everywhere * self.trace.ends.marked(active.size()[1], active.device())
            }
            Reach::End | Reach::All => everywhere,
        }
    }

    /// Layers of candidates, as others may be committed there; upper ones first, as many as fit.
    fn choose_stations(&self, budget: usize) -> Vec<usize> {
        let mut layers: Vec<usize> =
            (0..self.candidates.len()).map(|candidate| self.own_layer(candidate)).collect();
        layers.sort_unstable();
        let state = self.trace.residual[0].numel() * self.model.spec().kind.elt_size_in_bytes();
        let mut left = budget;
        let mut stations = Vec::new();
        let mut distinct = layers.clone();
        distinct.dedup();
        for &layer in distinct.iter().rev() {
            let below = layers.iter().filter(|&&own| own < layer).count() * state;
            if below > left {
                break;
            }
            left -= below;
            stations.push(layer);
        }
        stations
    }
}
