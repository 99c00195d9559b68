//! Knowledge Neurons (Dai et al. 2022), adapted to a generative model: integrated gradients of the
//! target on parallel prompts say which neurons carry it, and their activations are doubled, one
//! more neuron at a time, until the target is predicted.

mod attributions;
mod kept;
mod select;

use self::attributions::{Attributions, Integral};
use super::in_order::{Patches, patch};
use super::{LlmError, Method, ParallelPrompt, Repair, RepairContext};
use crate::config::{DoubledPositions, KnConfig, MethodKind, Quadrature, Quantity};
use crate::edit::{ColumnDelta, Edit, Neuron, Phases, Reach};
use crate::engine::device::Clock;
use crate::model::CausalLm;
use anyhow::Result;
use std::cell::RefCell;
use std::rc::Rc;

pub use self::select::select;

/// Knowledge Neurons under one setting.
pub(super) struct KnowledgeNeurons {
    config: KnConfig,
    /// Attributions of prompts met before: a parallel prompt serves many errors.
    attributions: Rc<RefCell<Attributions>>,
}

/// Makes Knowledge Neurons that share what they attributed.
#[derive(Default)]
pub(super) struct KnMaker {
    attributions: Rc<RefCell<Attributions>>,
}

impl KnMaker {
    /// The method under the settings `config`.
    pub(super) fn make(&mut self, config: KnConfig) -> KnowledgeNeurons {
        KnowledgeNeurons { config, attributions: Rc::clone(&self.attributions) }
    }
}

impl Method for KnowledgeNeurons {
    fn label(&self) -> &str {
        &self.config.label
    }

    fn kind(&self) -> MethodKind {
        MethodKind::Kn
    }

    fn effort(&self) -> usize {
        self.config.steps.0 * self.config.parallel.prompts.0
    }

    fn repair(&self, context: &RepairContext<'_>, error: &LlmError) -> Result<Repair> {
        let mut seconds = Phases::default();
        let clock = Clock::start(context.model.spec().device);
        let prompts = self.prompts(context, error)?;
        let parallel = prompts.len();
        let (located, saved) = if parallel < self.config.parallel.at_least.0 {
            (Vec::new(), 0.0)
        } else {
            self.locate(context, error, &prompts)?
        };
        // An attribution met before takes no time here; the method's cost is that of a first time.
        seconds.locate = clock.seconds() + saved;

        let clock = Clock::start(context.model.spec().device);
        let quota = located.len().min(self.config.quota.0);
        let columns: Vec<ColumnDelta> =
            located[..quota].iter().map(|&neuron| self.doubled(context.model, neuron)).collect();
        seconds.estimate = clock.seconds();

        let clock = Clock::start(context.model.spec().device);
        let logits = context.trace.logits_at(context.model, error.at);
        let Patches { edit, neurons, after } = patch(context, error, &logits, &columns)?;
        seconds.plan = clock.seconds();

        let solved = after.target_rank == 1;
        let edit = if solved { edit } else { Edit::none() };
        let parallel = Some(parallel);
        Ok(Repair { edit, solved, located, neurons, parallel, after, seconds })
    }

    fn edits_stand(&self) -> bool {
        self.config.positions == DoubledPositions::All
    }

    fn deviations(&self) -> Vec<String> {
        let KnConfig {
            label: _,
            quota,
            steps,
            quadrature,
            quantity,
            parallel,
            threshold,
            share,
            positions,
        } = &self.config;
        let mut found = vec![
            format!(
                "Knowledge Neurons adapted: neurons that score at least {} of the highest in at \
                 least {} of the parallel prompts, in the order of their mean scores",
                threshold.0, share.0
            ),
            format!(
                "up to {} parallel prompts: the nearest inputs of the retrieval division whose \
                 output holds the target, each with its output before the first occurrence of the \
                 target{}; prompts too long for the model are left out, and an error without any is \
                 skipped",
                parallel.prompts.0,
                if parallel.demonstrations { ", with demonstrations of their own" } else { "" }
            ),
        ];
        if *positions == DoubledPositions::All {
            found.push(
                "an activation is doubled at every position, by adding its column to itself".into(),
            );
        }
        if !matches!(steps.0, 1 | 20) {
            found.push(format!("{} steps, where the paper has 1 and 20", steps.0));
        }
        if quota.0 != 10 {
            found.push(format!("the quota is {} neurons, not 10", quota.0));
        }
        match quadrature {
            Quadrature::Left => {}
            Quadrature::Inclusive => found.push("steps include both ends of the path".into()),
            Quadrature::Midpoint => found.push("steps lie in the middle of their intervals".into()),
        }
        match quantity {
            Quantity::Probability => {}
            Quantity::LogProbability => found.push("log-probabilities are attributed".into()),
            Quantity::Logit => found.push("logits are attributed".into()),
        }
        if parallel.own {
            found.push("the prompt at hand is used as a parallel prompt too".into());
        }
        if parallel.at_least.0 > 1 {
            let least = parallel.at_least.0;
            found.push(format!("errors with fewer than {least} parallel prompts are skipped"));
        }
        found
    }
}

impl KnowledgeNeurons {
    /// Prompts that neurons are attributed on.
    fn prompts(
        &self,
        context: &RepairContext<'_>,
        error: &LlmError,
    ) -> Result<Vec<ParallelPrompt>> {
        let wanted = &self.config.parallel;
        let mut prompts =
            context.parallel.find(error.target, wanted.prompts.0, wanted.demonstrations)?;
        if wanted.own {
            let ids = context.ids.narrow(0, 0, error.at as i64 + 1);
            let ids = Vec::<i64>::try_from(ids)?.into_iter().map(|id| id as u32);
            prompts.insert(0, ids.collect());
        }
        Ok(prompts)
    }

    /// The knowledge neurons of the target, best first, and the seconds that attributions met before
    /// have saved.
    fn locate(
        &self,
        context: &RepairContext<'_>,
        error: &LlmError,
        prompts: &[ParallelPrompt],
    ) -> Result<(Vec<Neuron>, f64)> {
        let mut attributions = self.attributions.borrow_mut();
        let integral = Integral::of(&self.config);
        let (scores, saved) = attributions.of(context, integral, prompts, error.target);
        let width = scores.size()[2] as usize;
        let flat = scores.flatten(1, 2);
        let chosen = select(&flat, self.config.threshold.0, self.config.share.0)?;
        let neuron = |flat: usize| Neuron { layer: flat / width, index: flat % width };
        Ok((chosen.into_iter().map(neuron).collect(), saved))
    }

    /// The edit that doubles a neuron: its column added to itself.
    fn doubled(&self, model: &dyn CausalLm, neuron: Neuron) -> ColumnDelta {
        let delta = model.ffn_output_matrix(neuron.layer).select(1, neuron.index as i64).copy();
        let reach = match self.config.positions {
            DoubledPositions::Last => Reach::End,
            DoubledPositions::All => Reach::All,
        };
        ColumnDelta { neuron, delta, reach }
    }
}
