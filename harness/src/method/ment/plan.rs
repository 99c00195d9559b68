//! Step 3 (II-C): which of the located neurons are patched, in which order.

use super::super::in_order::{Patches, patch};
use super::super::observe::{Simulated, log_ratio, observe_candidates};
use super::super::simulate::Simulation;
use super::super::{LlmError, Repair, RepairContext, observe};
use crate::config::{MentConfig, Plan};
use crate::edit::{ColumnDelta, Edit, Patched, Phases};
use crate::engine::device::Clock;
use anyhow::Result;
use tch::Tensor;

/// Patches some of `candidates`, best located first, until the target is the argmax or the quota is
/// spent. `logits` `[V]` are those at the error, before any; `seconds` those of the steps before.
pub(super) fn plan(
    context: &RepairContext<'_>,
    error: &LlmError,
    logits: &Tensor,
    candidates: &[ColumnDelta],
    config: &MentConfig,
    mut seconds: Phases,
) -> Result<Repair> {
    let quota = config.quota.0;
    let Patches { edit, neurons, after } = if config.plan == Plan::Score {
        let clock = Clock::start(context.model.spec().device);
        let patches = patch(context, error, logits, &candidates[..quota.min(candidates.len())])?;
        seconds.plan = clock.seconds();
        patches
    } else {
        simulated(context, error, logits, candidates, (config.plan, quota), &mut seconds)?
    };
    let solved = after.target_rank == 1;
    let edit = if solved { edit } else { Edit::none() };
    let located = candidates.iter().map(|candidate| candidate.neuron).collect();
    Ok(Repair { edit, solved, located, neurons, parallel: None, after, seconds })
}

/// Tries every candidate on top of the edits so far and commits the best, again and again. A neuron
/// may be chosen more than once; one that breaks the model is not chosen.
fn simulated(
    context: &RepairContext<'_>,
    error: &LlmError,
    logits: &Tensor,
    candidates: &[ColumnDelta],
    (plan, quota): (Plan, usize),
    seconds: &mut Phases,
) -> Result<Patches> {
    let device = context.model.spec().device;
    let clock = Clock::start(device);
    let logits = logits.unsqueeze(0);
    let mut now = observe(&logits, error.target)?[0];
    let mut ratio = log_ratio(&logits, error.target, error.argmax)?[0];
    let edits: Vec<Edit> = candidates.iter().map(|c| Edit(vec![c.clone()])).collect();
    let mut simulation = Simulation::new(context, error, edits.clone());
    let mut edit = Edit::none();
    let mut neurons = Vec::new();
    seconds.plan += clock.seconds();

    while now.target_rank > 1 && neurons.len() < quota {
        let clock = Clock::start(device);
        let after = observe_candidates(&simulation.logits(), error)?;
        let sound = after.iter().enumerate().filter_map(|(index, after)| Some((index, (*after)?)));
        let Some((best, after)) = best(plan, sound) else { break };
        neurons.push(Patched {
            neuron: candidates[best].neuron,
            candidate: best,
            rank_gain: i64::from(now.target_rank) - i64::from(after.seen.target_rank),
            log_ratio_gain: after.ratio - ratio,
        });
        (now, ratio) = (after.seen, after.ratio);
        edit = edit.and(&edits[best]);
        seconds.plan += clock.seconds();

        if now.target_rank > 1 && neurons.len() < quota {
            let clock = Clock::start(device);
            simulation.commit(best);
            seconds.apply += clock.seconds();
        }
    }
    Ok(Patches { edit, neurons, after: now })
}

/// Equation 3, lexicographic: the lowest rank of the target, then its largest log-ratio to the
/// argmax, or one of the two; the first in attribution order among equals. The state before is the
/// same for all candidates, so comparing the states after compares the gains.
fn best(
    plan: Plan,
    candidates: impl Iterator<Item = (usize, Simulated)>,
) -> Option<(usize, Simulated)> {
    let key = |of: &Simulated| match plan {
        Plan::Rank => (of.seen.target_rank, 0.0),
        Plan::Probability => (0, of.ratio),
        Plan::Gain | Plan::Score => (of.seen.target_rank, of.ratio),
    };
    candidates.reduce(|best, next| {
        let ((rank, ratio), (next_rank, next_ratio)) = (key(&best.1), key(&next.1));
        let is_better = next_rank < rank || (next_rank == rank && next_ratio > ratio);
        if is_better { next } else { best }
    })
}

#[cfg(test)]
mod tests {
    use super::{Simulated, best};
    use crate::config::Plan;
    use crate::edit::Observation;

    fn pick(plan: Plan, states: &[(u32, f64)]) -> Option<usize> {
        let candidate = |(index, &(target_rank, ratio)): (usize, &(u32, f64))| {
            let seen = Observation {
                argmax: 0,
                argmax_probability: 0.0,
                target_rank,
                target_probability: 0.0,
            };
            (index, Simulated { seen, ratio })
        };
        best(plan, states.iter().enumerate().map(candidate)).map(|(index, _)| index)
    }

    #[test]
    fn rank_decides_then_ratio_then_attribution_order() {
        assert_eq!(pick(Plan::Gain, &[(3, 9.0), (2, -4.0), (5, 100.0)]), Some(1));
        assert_eq!(pick(Plan::Gain, &[(2, 0.1), (2, 0.3), (2, 0.2)]), Some(1));
        assert_eq!(pick(Plan::Gain, &[(2, 0.3), (2, 0.3)]), Some(0));
        assert_eq!(pick(Plan::Gain, &[]), None);
    }

    #[test]
    fn one_part_of_the_gain_decides_alone() {
        let states = [(3, 9.0), (2, -4.0), (2, 1.0)];
        assert_eq!(pick(Plan::Rank, &states), Some(1));
        assert_eq!(pick(Plan::Probability, &states), Some(0));
    }
}
