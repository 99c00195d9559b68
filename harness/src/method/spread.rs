//! A wanted change of the residual stream, spread over several layers (Meng et al. 2023): each of them, from the
//! lowest on, brings an equal share of what is still missing. MEMIT and AlphaEdit differ in the update of a layer.

use super::keys::KeyStatistics;
use super::value::{Subject, Surrounding, ValuePlace, optimised};
use super::{LlmError, RepairContext, Request, WantedToken};
use crate::config::ValueConfig;
use crate::edit::{Edit, MatrixChange, Update};
use crate::engine::block::{Block, block, change_of_residual};
use crate::model::CausalLm;
use crate::system::signal;
use anyhow::Result;
use std::rc::Rc;
use tch::{Kind, Tensor};

/// The layers that share an edit, and what the value is optimised with.
pub(super) struct Spread {
    /// Ascending.
    pub(super) layers: Vec<usize>,
    pub(super) value: ValueConfig,
    pub(super) statistics: KeyStatistics,
    pub(super) surrounding: Rc<Surrounding>,
}

/// Wanted tokens whose values are optimised at once: the logits of all their runs are held together.
const AT_ONCE: usize = 16;

impl Spread {
    /// The edits of a model under `standing` that are made together for all that is `wanted`, one each: an update of
    /// rank one in each layer. The sum of them is the edit of the method. `right` returns the right factors `[n,F]`, f64, of the updates of a layer
    /// for the keys `[F,n]`, f64; the left factors are the shares of the missing changes.
    ///
    /// # Errors
    /// If libtorch fails, the statistics cannot be had, or the user stops.
    ///
    /// # Panics
    /// If nothing is wanted.
    pub(super) fn edits(
        &self,
        (model, standing): (&dyn CausalLm, &Edit),
        wanted: &[WantedToken],
        right: impl Fn(usize, &Tensor) -> Result<Tensor>,
    ) -> Result<Vec<Edit>> {
        let last = *self.layers.last().expect("at least one layer");
        let mut memories = Vec::new();
        for wanted in wanted.chunks(AT_ONCE) {
            signal::check()?;
            memories.extend(self.memories((model, standing), wanted, last)?);
        }
        let mut edits = vec![Edit::none(); wanted.len()];
        for (index, &layer) in self.layers.iter().enumerate() {
            let missing = (self.layers.len() - index) as f64;
            let own = |memory: &Memory| {
                let runs: Vec<Block> = memory
                    .entering
                    .iter()
                    .map(|entering| block(model, layer, entering, None, standing))
                    .collect();
                let keys = runs.iter().zip(&memory.at);
                let keys: Vec<Tensor> =
                    keys.map(|(run, &at)| state(&run.post_activation, at)).collect();
                let key = Tensor::stack(&keys, 0);
                let key = key.mean_dim([0_i64].as_slice(), false, Kind::Float);
                let above = runs[0].output.shallow_clone();
                let reached = (layer + 1..=last).fold(above, |residual, above| {
                    block(model, above, &residual, None, standing).output
                });
                let share = (&memory.wanted - state(&reached, memory.at[0])) / missing;
                (runs, key, share)
            };
            let found: Vec<(Vec<Block>, Tensor, Tensor)> = memories.iter().map(own).collect();
            let keys: Vec<&Tensor> = found.iter().map(|(_, key, _)| key).collect();
            let rights = right(layer, &Tensor::stack(&keys, 1).to_kind(Kind::Double))?;
            let kind = model.spec().kind;
            let updates = found.iter().enumerate().map(|(row, (_, key, share))| {
                let right = rights.narrow(0, row as i64, 1).to_kind(kind);
                let left = share.unsqueeze(1).to_kind(kind);
                let change = MatrixChange::LowRank { left, right };
                Update { layer, change, keys: Some(key.unsqueeze(0)) }
            });
            let updates: Vec<Update> = updates.collect();
            if let Some(&next) = self.layers.get(index + 1) {
                let all = Edit::by(updates.clone()).merged();
                let moved = |run: Block| {
                    let active = &run.post_activation;
                    let added = all.contribution(layer, active).expect("updates of the layer");
                    let change = change_of_residual(model, layer, active, standing, added);
                    (layer + 1..next).fold(run.output + change, |residual, between| {
                        block(model, between, &residual, None, standing).output
                    })
                };
                for (memory, (runs, _, _)) in memories.iter_mut().zip(found) {
                    memory.entering = runs.into_iter().map(moved).collect();
                }
            }
            for (edit, update) in edits.iter_mut().zip(updates) {
                edit.updates.push(update);
            }
        }
        Ok(edits)
    }

    /// The edits of `requests`, each the sum of those of its wanted tokens.
    ///
    /// # Errors
    /// If [`Self::edits`] fails.
    pub(super) fn requests(
        &self,
        around: (&dyn CausalLm, &Edit),
        requests: &[Request],
        right: impl Fn(usize, &Tensor) -> Result<Tensor>,
    ) -> Result<Vec<Edit>> {
        let wanted = requests.iter().flat_map(|request| request.wanted.clone());
        let mut edits = self.edits(around, &wanted.collect::<Vec<_>>(), right)?.into_iter();
        let sum = |request: &Request| {
            let own = edits.by_ref().take(request.wanted.len());
            own.fold(Edit::none(), |sum, own| sum.and(&own))
        };
        Ok(requests.iter().map(sum).collect())
    }

    /// The edit of one error.
    ///
    /// # Errors
    /// If [`Self::edits`] fails.
    pub(super) fn edit(
        &self,
        context: &RepairContext<'_>,
        error: &LlmError,
        right: impl Fn(usize, &Tensor) -> Result<Tensor>,
    ) -> Result<Edit> {
        let wanted = [WantedToken::new(context, error)?];
        Ok(self.edits((context.model, &context.trace.edit), &wanted, right)?.remove(0))
    }

    /// Values that the residual stream leaving layer `last` should have, one for each of `wanted`.
    fn memories(
        &self,
        (model, standing): (&dyn CausalLm, &Edit),
        wanted: &[WantedToken],
        last: usize,
    ) -> Result<Vec<Memory>> {
        let around = (&self.statistics, self.surrounding.as_ref());
        let subject = |wanted: &WantedToken| {
            let place = (&self.value, self.layers[0], last);
            Subject::new((model, standing), wanted, around, place)
        };
        let subjects: Vec<Subject> = wanted.iter().map(subject).collect::<Result<_>>()?;
        let place = ValuePlace::Residual;
        let changes = optimised(&subjects, last, place, &self.value, model)?;
        let memory = |(row, subject): (i64, Subject)| {
            let wanted = subject.original(last, place, model) + changes.get(row);
            Memory { wanted, entering: subject.entering, at: subject.at }
        };
        Ok((0..).zip(subjects).map(memory).collect())
    }
}

/// Value to be stored for a wanted token.
struct Memory {
    /// The residual leaving the last layer of the edit at the subject, `[D]`, f32.
    wanted: Tensor,
    /// The residuals `[1,T,D]` entering the layer at hand, one a run; that of the sequence alone is the first.
    entering: Vec<Tensor>,
    /// Index of the subject in each run.
    at: Vec<i64>,
}

/// Position `at` of `states` `[1,T,X]`, `[X]`, f32.
fn state(states: &Tensor, at: i64) -> Tensor {
    states.select(1, at).squeeze_dim(0).to_kind(Kind::Float)
}
