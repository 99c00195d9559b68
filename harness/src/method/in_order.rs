//! Patching in an order that is given: nothing is chosen, so all beginnings of the list are
//! simulated in one pass.

use super::observe::{Simulated, log_ratio, observe_candidates};
use super::simulate::Simulation;
use super::{LlmError, RepairContext, observe};
use crate::edit::{ColumnDelta, Edit, Observation, Patched};
use anyhow::Result;
use tch::Tensor;

/// Result of patching in a given order.
pub(super) struct Patches {
    /// The patched columns, also where they did not suffice.
    pub(super) edit: Edit,
    pub(super) neurons: Vec<Patched>,
    pub(super) after: Observation,
}

/// Patches `columns` one after the other until the target is the argmax or none is left. `logits`
/// `[V]` are those at the error, before any.
pub(super) fn patch(
    context: &RepairContext<'_>,
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
        (1..=columns.len()).map(|count| Edit::of(columns[..count].to_vec())).collect();
    let mut ratio = log_ratio(&logits, error.target, error.argmax)?[0];
    let logits = Simulation::new(context, error, beginnings.clone()).logits();
    let seen = observe_candidates(&logits, error)?;
    for (index, (seen, edit)) in seen.into_iter().zip(beginnings).enumerate() {
        // The order is given, so where the next patch breaks the model there is no going on.
        let Some(Simulated { seen: after, ratio: next }) = seen else { break };
        patches.neurons.push(Patched {
            neuron: columns[index].neuron,
            candidate: index,
            rank_gain: i64::from(patches.after.target_rank) - i64::from(after.target_rank),
            log_ratio_gain: next - ratio,
        });
        ratio = next;
        patches.edit = edit;
        patches.after = after;
        if after.target_rank == 1 {
            break;
        }
    }
    Ok(patches)
}
