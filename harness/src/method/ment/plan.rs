//! Step 3 (II-C): which of the located neurons are patched, in which order.

use super::super::in_order::{Patches, patch};
use super::super::observe::log_ratio;
use super::super::simulate::Simulation;
use super::super::{LlmError, Repair, Scene, observe};
use crate::config::{MentConfig, Plan};
use crate::device::Clock;
use crate::edit::{ColumnDelta, Edit};
use crate::record::{Patched, Phases};
use anyhow::Result;
use tch::Tensor;

/// Patches some of `candidates`, best located first, until the target is the argmax or the quota is
/// spent. `logits` `[V]` are those at the error, before any; `seconds` those of the steps before.
pub(super) fn plan(
    scene: &Scene<'_>,
    error: &LlmError,
    logits: &Tensor,
    candidates: &[ColumnDelta],
    config: &MentConfig,
    mut seconds: Phases,
) -> Result<Repair> {
    let quota = config.quota.0;
    let Patches { edit, neurons, after } = if config.plan == Plan::Score {
        let clock = Clock::start(scene.model.spec().device);
        let patches = patch(scene, error, logits, &candidates[..quota.min(candidates.len())])?;
        seconds.plan = clock.seconds();
        patches
    } else {
        simulated(scene, error, logits, candidates, (config.plan, quota), &mut seconds)?
    };
    let solved = after.target_rank == 1;
    let edit = if solved { edit } else { Edit::none() };
    let located = candidates.iter().map(|candidate| candidate.neuron).collect();
    Ok(Repair { edit, solved, located, neurons, parallel: None, after, seconds })
}

/// Tries every candidate on top of the edits so far and commits the best, again and again. A neuron
/// may be chosen more than once.
fn simulated(
    scene: &Scene<'_>,
    error: &LlmError,
    logits: &Tensor,
    candidates: &[ColumnDelta],
    (plan, quota): (Plan, usize),
    seconds: &mut Phases,
) -> Result<Patches> {
    let device = scene.model.spec().device;
    let clock = Clock::start(device);
    let logits = logits.unsqueeze(0);
    let mut now = observe(&logits, error.target)?[0];
    let mut ratio = log_ratio(&logits, error.target, error.argmax)?[0];
    let edits: Vec<Edit> = candidates.iter().map(|c| Edit(vec![c.clone()])).collect();
    let mut simulation = Simulation::new(scene, error, edits.clone());
    let mut edit = Edit::none();
    let mut neurons = Vec::new();
    seconds.plan += clock.seconds();

    while now.target_rank > 1 && neurons.len() < quota {
        let clock = Clock::start(device);
        let logits = simulation.logits();
        let after = observe(&logits, error.target)?;
        let ratios = log_ratio(&logits, error.target, error.argmax)?;
        let states = after.iter().map(|seen| seen.target_rank).zip(ratios.iter().copied());
        let best = best(plan, states);
        neurons.push(Patched {
            neuron: candidates[best].neuron,
            candidate: best,
            rank_gain: i64::from(now.target_rank) - i64::from(after[best].target_rank),
            log_ratio_gain: ratios[best] - ratio,
        });
        (now, ratio) = (after[best], ratios[best]);
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
fn best(plan: Plan, after: impl Iterator<Item = (u32, f64)>) -> usize {
    let mut best = (0, u32::MAX, f64::NEG_INFINITY);
    for (index, (rank, ratio)) in after.enumerate() {
        let (rank, ratio) = match plan {
            Plan::Rank => (rank, 0.0),
            Plan::Probability => (0, ratio),
            Plan::Gain | Plan::Score => (rank, ratio),
        };
        if rank < best.1 || (rank == best.1 && ratio > best.2) {
            best = (index, rank, ratio);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::best;
    use crate::config::Plan;

    #[test]
    fn rank_decides_then_ratio_then_attribution_order() {
        let pick = |states: &[(u32, f64)]| best(Plan::Gain, states.iter().copied());
        assert_eq!(pick(&[(3, 9.0), (2, -4.0), (5, 100.0)]), 1);
        assert_eq!(pick(&[(2, 0.1), (2, 0.3), (2, 0.2)]), 1);
        assert_eq!(pick(&[(2, 0.3), (2, 0.3)]), 0);
    }

    #[test]
    fn one_part_of_the_gain_decides_alone() {
        let states = [(3, 9.0), (2, -4.0), (2, 1.0)];
        assert_eq!(best(Plan::Rank, states.into_iter()), 1);
        assert_eq!(best(Plan::Probability, states.into_iter()), 0);
    }
}
