//! Patching in an order that is given: nothing is chosen, so all beginnings of the list are
//! simulated in one pass.

use super::observe::log_ratio;
use super::simulate::Simulation;
use super::{LlmError, Scene, observe};
use crate::edit::{ColumnDelta, Edit};
use crate::record::{Observation, Patched};
use anyhow::Result;
use tch::Tensor;

/// What became of an error.
pub(super) struct Patches {
    /// The patched columns, also where they did not suffice.
    pub(super) edit: Edit,
    pub(super) neurons: Vec<Patched>,
    pub(super) after: Observation,
}

/// Patches `columns` one after the other until the target is the argmax or none is left. `logits`
/// `[V]` are those at the error, before any.
pub(super) fn patch(
    scene: &Scene<'_>,
    error: &LlmError,
    logits: &Tensor,
    columns: &[ColumnDelta],
) -> Result<Patches> {
    let logits = logits.unsqueeze(0);
    let mut patches = Patches {
        edit: Edit::none(),
        neurons: Vec::new(),
        after: observe(&logits, error.target)?[0],
    };
    if columns.is_empty() || patches.after.target_rank == 1 {
        return Ok(patches);
    }
    let beginnings: Vec<Edit> =
        (1..=columns.len()).map(|count| Edit(columns[..count].to_vec())).collect();
    let mut ratio = log_ratio(&logits, error.target, error.argmax)?[0];
    let logits = Simulation::new(scene, error, beginnings.clone()).logits();
    let seen = observe(&logits, error.target)?;
    let ratios = log_ratio(&logits, error.target, error.argmax)?;
    for (index, (after, edit)) in seen.into_iter().zip(beginnings).enumerate() {
        patches.neurons.push(Patched {
            neuron: columns[index].neuron,
            candidate: index,
            rank_gain: i64::from(patches.after.target_rank) - i64::from(after.target_rank),
            log_ratio_gain: ratios[index] - ratio,
        });
        ratio = ratios[index];
        patches.edit = edit;
        patches.after = after;
        if after.target_rank == 1 {
            break;
        }
    }
    Ok(patches)
}
