//! The result of a method whose edit is one piece: it solves the error, or is dropped.

use super::observe::observe_candidates;
use super::simulate::Simulation;
use super::{LlmError, Repair, RepairContext, observe};
use crate::edit::{Edit, Phases};
use crate::engine::device::Clock;
use anyhow::Result;

/// Tries `edit` on `error`; it is kept if it makes the target the argmax. One that breaks the model counts as one
/// that was not made.
///
/// # Errors
/// If libtorch fails.
pub(super) fn whole(
    context: &RepairContext<'_>,
    error: &LlmError,
    edit: Edit,
    mut seconds: Phases,
) -> Result<Repair> {
    let clock = Clock::start(context.model.spec().device);
    let logits = Simulation::new(context, error, vec![edit.clone()]).logits();
    let after = match observe_candidates(&logits, error)?.remove(0) {
        Some(simulated) => simulated.seen,
        None => {
            let logits = context.trace.logits_at(context.model, error.at).unsqueeze(0);
            observe(&logits, error.target)?[0]
        }
    };
    seconds.plan += clock.seconds();
    let solved = after.target_rank == 1;
    Ok(Repair {
        edit: if solved { edit } else { Edit::none() },
        solved,
        located: Vec::new(),
        neurons: Vec::new(),
        parallel: None,
        after,
        seconds,
    })
}
