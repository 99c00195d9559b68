//! Step 3 (II-C): choice and order of the located neurons to patch.

use super::super::in_order::{Patches, patch};
use super::super::observe::{Simulated, log_ratio, observe_candidates};
use super::super::simulate::Simulation;
use super::super::{LlmError, Repair, RepairContext, observe};
use super::free::FreePart;
use crate::config::{MentConfig, Plan, Replan};
use crate::edit::{ColumnDelta, Edit, Patched, Phases, Update};
use crate::engine::device::Clock;
use anyhow::Result;
use tch::Tensor;

/// Located neurons with their deltas, best located first.
pub(super) struct Candidates {
    pub(super) columns: Vec<ColumnDelta>,
    /// The free parts that patches act through, one a column; none where they act through the whole neurons.
    pub(super) parts: Vec<FreePart>,
    /// Factor on a delta for each time that its neuron was patched before.
    pub(super) again: f64,
}

impl Candidates {
    /// The edit by candidate `index`, whose neuron was patched `before` times for this error.
    fn edit(&self, index: usize, before: usize) -> Edit {
        let ColumnDelta { neuron, delta, .. } = &self.columns[index];
        let delta = match before {
            0 => delta.shallow_clone(),
            _ => delta * self.again.powi(before as i32),
        };
        let Some(FreePart { right, key }) = self.parts.get(index) else {
            return Edit::of(vec![ColumnDelta::new(*neuron, delta)]);
        };
        let mut update = Update::rank_one(neuron.layer, &delta, &right.to_kind(delta.kind()));
        update.keys = Some(key.unsqueeze(0));
        Edit::by(vec![update])
    }

    fn edits(&self) -> Vec<Edit> {
        (0..self.columns.len()).map(|index| self.edit(index, 0)).collect()
    }
}

/// Patches some of `candidates` until the target is the argmax or the quota is spent. `logits` `[V]`
/// are those at the error, before any; `seconds` those of the steps before.
pub(super) fn plan(
    context: &RepairContext<'_>,
    error: &LlmError,
    logits: &Tensor,
    candidates: &Candidates,
    config: &MentConfig,
    mut seconds: Phases,
) -> Result<Repair> {
    let device = context.model.spec().device;
    let Patches { edit, neurons, after } = if config.plan == Plan::Score {
        let clock = Clock::start(device);
        let order: Vec<usize> = (0..candidates.columns.len()).collect();
        let patches = given(context, error, logits, candidates, &order, config)?;
        seconds.plan = clock.seconds();
        patches
    } else if config.replan == Replan::Once {
        let clock = Clock::start(device);
        let order = by_gain(context, error, candidates, config.plan)?;
        let patches = given(context, error, logits, candidates, &order, config)?;
        seconds.plan = clock.seconds();
        patches
    } else {
        simulated(context, error, logits, candidates, config, &mut seconds)?
    };
    let solved = after.target_rank == 1;
    let edit = if solved { edit } else { Edit::none() };
    let located = candidates.columns.iter().map(|candidate| candidate.neuron).collect();
    Ok(Repair { edit, solved, located, neurons, parallel: None, after, seconds })
}

/// Patches candidates in `order`; where a neuron may be patched again, the first of them always is.
fn given(
    context: &RepairContext<'_>,
    error: &LlmError,
    logits: &Tensor,
    candidates: &Candidates,
    order: &[usize],
    config: &MentConfig,
) -> Result<Patches> {
    let places: Vec<(usize, usize)> = match order.first() {
        Some(&first) if config.repeats() => {
            (0..config.quota.0).map(|round| (first, round)).collect()
        }
        _ => order.iter().take(config.quota.0).map(|&index| (index, 0)).collect(),
    };
    let columns: Vec<ColumnDelta> =
        places.iter().flat_map(|&(index, before)| candidates.edit(index, before).columns).collect();
    let mut patches = patch(context, error, logits, &columns)?;
    for patched in &mut patches.neurons {
        patched.candidate = places[patched.candidate].0;
    }
    Ok(patches)
}

/// The candidates that do not break the model, best simulated first.
fn by_gain(
    context: &RepairContext<'_>,
    error: &LlmError,
    candidates: &Candidates,
    plan: Plan,
) -> Result<Vec<usize>> {
    if candidates.columns.is_empty() {
        return Ok(Vec::new());
    }
    let logits = Simulation::new(context, error, candidates.edits()).logits();
    let mut left: Vec<(usize, Simulated)> = sound(&observe_candidates(&logits, error)?).collect();
    let mut order = Vec::with_capacity(left.len());
    while let Some((next, _)) = best(plan, left.iter().copied()) {
        left.retain(|(index, _)| *index != next);
        order.push(next);
    }
    Ok(order)
}

/// The candidates that do not break the model, with their indices.
fn sound(after: &[Option<Simulated>]) -> impl Iterator<Item = (usize, Simulated)> {
    after.iter().enumerate().filter_map(|(index, after)| Some((index, (*after)?)))
}

/// Tries every candidate on top of the edits so far and commits the best, again and again. A candidate
/// that breaks the model is not chosen.
fn simulated(
    context: &RepairContext<'_>,
    error: &LlmError,
    logits: &Tensor,
    candidates: &Candidates,
    config: &MentConfig,
    seconds: &mut Phases,
) -> Result<Patches> {
    let device = context.model.spec().device;
    let quota = config.quota.0;
    let clock = Clock::start(device);
    let logits = logits.unsqueeze(0);
    let mut now = observe(&logits, error.target)?[0];
    let mut ratio = log_ratio(&logits, error.target, error.argmax)?[0];
    let mut simulation = Simulation::new(context, error, candidates.edits());
    // The candidate of each row of the simulation, and how often each was patched.
    let mut rows: Vec<usize> = (0..candidates.columns.len()).collect();
    let mut patched = vec![0; candidates.columns.len()];
    let mut edit = Edit::none();
    let mut neurons = Vec::new();
    seconds.plan += clock.seconds();

    while now.target_rank > 1 && neurons.len() < quota && !rows.is_empty() {
        let clock = Clock::start(device);
        let after = observe_candidates(&simulation.logits(), error)?;
        let Some((row, after)) = best(config.plan, sound(&after)) else { break };
        let candidate = rows[row];
        neurons.push(Patched {
            neuron: candidates.columns[candidate].neuron,
            candidate,
            rank_gain: i64::from(now.target_rank) - i64::from(after.seen.target_rank),
            log_ratio_gain: after.ratio - ratio,
        });
        (now, ratio) = (after.seen, after.ratio);
        edit = edit.and(&candidates.edit(candidate, patched[candidate]));
        patched[candidate] += 1;
        seconds.plan += clock.seconds();

        if now.target_rank > 1 && neurons.len() < quota {
            let clock = Clock::start(device);
            simulation.commit(row);
            if !config.repeats() {
                simulation.remove(row);
                rows.remove(row);
            } else if candidates.again != 1.0 {
                simulation.replace(row, candidates.edit(candidate, patched[candidate]));
            }
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
