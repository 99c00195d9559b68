//! A wanted change of the residual stream, spread over several layers (Meng et al. 2023): each of them, from the
//! lowest on, brings an equal share of what is still missing. MEMIT and AlphaEdit differ in the update of a layer.

use super::keys::KeyStatistics;
use super::value::{Subject, Surrounding, ValuePlace};
use super::{LlmError, RepairContext};
use crate::config::ValueConfig;
use crate::edit::{Edit, MatrixChange, Update};
use crate::engine::block::{Block, block, change_of_residual};
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

impl Spread {
    /// The updates of all layers. `right` returns the right factor `[1,F]`, f64, of the update of a layer for the key
    /// `[F,1]`, f64; its left factor is the share of the missing change.
    ///
    /// # Errors
    /// If libtorch fails, or the statistics cannot be had.
    pub(super) fn edit(
        &self,
        context: &RepairContext<'_>,
        error: &LlmError,
        right: impl Fn(usize, &Tensor) -> Result<Tensor>,
    ) -> Result<Edit> {
        let (model, last) = (context.model, *self.layers.last().expect("at least one layer"));
        let around = (&self.statistics, self.surrounding.as_ref());
        let first = self.layers[0];
        let mut subject = Subject::new(context, error, around, (&self.value, first, last))?;
        let place = ValuePlace::Residual;
        let wanted = subject.original(last, place, model)
            + subject.optimised(last, place, &self.value, model)?;
        let standing = &context.trace.edit;
        let mut entering = std::mem::take(&mut subject.entering);
        let mut edit = Edit::none();
        for (index, &layer) in self.layers.iter().enumerate() {
            let own = |entering: &Tensor| block(model, layer, entering, None, standing);
            let runs: Vec<Block> = entering.iter().map(own).collect();
            let keys = runs.iter().zip(&subject.at);
            let keys: Vec<Tensor> =
                keys.map(|(run, &at)| state(&run.post_activation, at)).collect();
            let key = Tensor::stack(&keys, 0);
            let key = key.mean_dim([0_i64].as_slice(), false, Kind::Float);
            let above = runs[0].output.shallow_clone();
            let reached = (layer + 1..=last).fold(above, |residual, above| {
                block(model, above, &residual, None, standing).output
            });
            let share =
                (&wanted - state(&reached, subject.at[0])) / (self.layers.len() - index) as f64;
            let right = right(layer, &key.to_kind(Kind::Double).unsqueeze(1))?;
            let kind = model.spec().kind;
            let (left, right) = (share.unsqueeze(1).to_kind(kind), right.to_kind(kind));
            let mut update = Update::new(layer, MatrixChange::LowRank { left, right });
            update.keys = Some(key.unsqueeze(0));
            if let Some(&next) = self.layers.get(index + 1) {
                let moved = |run: Block| {
                    let active = &run.post_activation;
                    let added = update.change.contribution(active);
                    let change = change_of_residual(model, layer, active, standing, added);
                    (layer + 1..next).fold(run.output + change, |residual, between| {
                        block(model, between, &residual, None, standing).output
                    })
                };
                entering = runs.into_iter().map(moved).collect();
            }
            edit.updates.push(update);
        }
        Ok(edit)
    }
}

/// Position `at` of `states` `[1,T,X]`, `[X]`, f32.
fn state(states: &Tensor, at: i64) -> Tensor {
    states.select(1, at).squeeze_dim(0).to_kind(Kind::Float)
}
