//! MENT, Model Editing via Neuron Targeting (paper, II): locate, estimate, plan.

mod deviations;
mod estimate;
mod locate;
mod virtual_distribution;

pub use self::locate::attribution;
pub use self::virtual_distribution::raise_to_top;

use super::observe::log_ratio;
use super::simulate::Simulation;
use super::{LlmError, Method, Oracle, Repair, Scene, observe};
use crate::config::{AcrossErrors, Config, MentConfig, Vocabulary};
use crate::device::Clock;
use crate::edit::{ColumnDelta, Edit};
use crate::model::Loaded;
use crate::record::{Patched, Phases};
use anyhow::Result;
use std::collections::BTreeMap;
use std::rc::Rc;
use tch::Tensor;

/// MENT under one setting.
pub struct Ment {
    config: MentConfig,
    oracle: Rc<Oracle>,
}

impl Ment {
    /// MENT under `config`, with the oracle of the model it will be given.
    pub fn new(config: MentConfig, oracle: Rc<Oracle>) -> Self {
        Self { config, oracle }
    }
}

/// MENT under each setting of `config`; those with the same rows of the head share its oracle.
pub(super) fn all(config: &Config, loaded: &Loaded) -> Vec<Box<dyn Method>> {
    let mut oracles: BTreeMap<usize, Rc<Oracle>> = BTreeMap::new();
    let cache = &config.model.cache;
    config
        .ment
        .iter()
        .map(|config| {
            let rows = match config.estimate.vocabulary {
                Vocabulary::All => loaded.model.spec().vocabulary,
                Vocabulary::Tokenizer => loaded.tokenizer.vocabulary(),
            };
            let oracle =
                oracles.entry(rows).or_insert_with(|| Rc::new(Oracle::cached(loaded, rows, cache)));
            Box::new(Ment::new(config.clone(), Rc::clone(oracle))) as Box<dyn Method>
        })
        .collect()
}

impl Method for Ment {
    fn label(&self) -> &str {
        &self.config.label
    }

    fn keeps_edits(&self) -> bool {
        self.config.across_errors == AcrossErrors::Keep
    }

    fn repair(&self, scene: &Scene<'_>, error: &LlmError) -> Result<Repair> {
        let mut seconds = Phases::default();
        let clock = Clock::start(scene.model.spec().device);
        let neurons = locate::locate(scene, error, &self.config);
        seconds.locate = clock.seconds();

        let clock = Clock::start(scene.model.spec().device);
        let logits = scene.trace.logits_at(scene.model, error.at);
        let candidates =
            estimate::columns(scene, error, &logits, &neurons, &self.config, &self.oracle)?;
        seconds.estimate = clock.seconds();

        self.plan(scene, error, &logits.unsqueeze(0), &candidates, seconds)
    }

    fn deviations(&self) -> Vec<String> {
        deviations::list(&self.config)
    }
}

impl Ment {
    /// Step 3: tries every candidate on top of the edits so far and commits the best, until the
    /// target is the argmax or the quota is spent. A neuron may be chosen again. `logits` `[1,V]`
    /// are those at the error, before any.
    fn plan(
        &self,
        scene: &Scene<'_>,
        error: &LlmError,
        logits: &Tensor,
        candidates: &[ColumnDelta],
        mut seconds: Phases,
    ) -> Result<Repair> {
        let clock = Clock::start(scene.model.spec().device);
        let mut now = observe(logits, error.target)?[0];
        let mut ratio = log_ratio(logits, error.target, error.argmax)?[0];
        let edits: Vec<Edit> = candidates.iter().map(|c| Edit(vec![c.clone()])).collect();
        let mut simulation = Simulation::new(scene, error, edits.clone());
        let mut edit = Edit::none();
        let mut neurons = Vec::new();
        seconds.plan += clock.seconds();

        while now.target_rank > 1 && neurons.len() < self.config.quota.0 {
            let clock = Clock::start(scene.model.spec().device);
            let logits = simulation.logits();
            let after = observe(&logits, error.target)?;
            let ratios = log_ratio(&logits, error.target, error.argmax)?;
            let best = best(after.iter().map(|seen| seen.target_rank).zip(ratios.iter().copied()));
            neurons.push(Patched {
                neuron: candidates[best].neuron,
                candidate: best,
                rank_gain: i64::from(now.target_rank) - i64::from(after[best].target_rank),
                log_ratio_gain: ratios[best] - ratio,
            });
            (now, ratio) = (after[best], ratios[best]);
            edit = edit.and(&edits[best]);
            seconds.plan += clock.seconds();

            if now.target_rank > 1 && neurons.len() < self.config.quota.0 {
                let clock = Clock::start(scene.model.spec().device);
                simulation.commit(best);
                seconds.apply += clock.seconds();
            }
        }

        let solved = now.target_rank == 1;
        let edit = if solved { edit } else { Edit::none() };
        let located = candidates.iter().map(|candidate| candidate.neuron).collect();
        Ok(Repair { edit, solved, located, neurons, after: now, seconds })
    }
}

/// Equation 3, lexicographic: the lowest rank of the target, then its largest log-ratio to the
/// argmax; the first in attribution order among equals. The state before is the same for all
/// candidates, so comparing the states after compares the gains.
fn best(after: impl Iterator<Item = (u32, f64)>) -> usize {
    let mut best = (0, u32::MAX, f64::NEG_INFINITY);
    for (index, (rank, ratio)) in after.enumerate() {
        if rank < best.1 || (rank == best.1 && ratio > best.2) {
            best = (index, rank, ratio);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::best;

    #[test]
    fn rank_decides_then_ratio_then_attribution_order() {
        let pick = |states: &[(u32, f64)]| best(states.iter().copied());
        assert_eq!(pick(&[(3, 9.0), (2, -4.0), (5, 100.0)]), 1);
        assert_eq!(pick(&[(2, 0.1), (2, 0.3), (2, 0.2)]), 1);
        assert_eq!(pick(&[(2, 0.3), (2, 0.3)]), 0);
    }
}
