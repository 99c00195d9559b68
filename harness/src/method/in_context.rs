//! The baseline that changes no weight: the datum with its right answer, as one more demonstration.

use super::{LlmError, Method, Repair, RepairContext, observe};
use crate::config::{InContextConfig, MethodKind};
use crate::edit::{Edit, Phases};
use crate::engine::device::Clock;
use crate::engine::forward::logits_at_ends;
use crate::model::Sequences;
use anyhow::Result;
use tch::Tensor;

/// In-context demonstration of the right answer.
pub(super) struct InContext(pub(super) InContextConfig);

impl Method for InContext {
    fn label(&self) -> &str {
        &self.0.label
    }

    fn kind(&self) -> MethodKind {
        MethodKind::InContext
    }

    /// An error whose prompt would not fit the model with one more demonstration is skipped.
    fn repair(&self, context: &RepairContext<'_>, error: &LlmError) -> Result<Repair> {
        let spec = context.model.spec();
        let clock = Clock::start(spec.device);
        let ids = Vec::<i64>::try_from(context.ids.narrow(0, 0, error.at as i64 + 1))?;
        let ids: Vec<u32> = ids.into_iter().map(|id| id as u32).collect();
        let hint = context.hint.filter(|hint| ids.len() + hint.ids.len() <= spec.context);
        let logits = match hint {
            None => context.trace.logits_at(context.model, error.at).unsqueeze(0),
            Some(hint) => {
                let ids: Vec<i64> = hint.before(&ids).into_iter().map(i64::from).collect();
                let sequence = Sequences::one(&Tensor::from_slice(&ids).to_device(spec.device));
                logits_at_ends(context.model, &sequence, &context.trace.edit)
            }
        };
        let after = observe(&logits, error.target)?[0];
        let solved = after.target_rank == 1;
        let hint = hint.filter(|_| solved).cloned();
        Ok(Repair {
            edit: Edit { hint, ..Edit::none() },
            solved,
            located: Vec::new(),
            neurons: Vec::new(),
            parallel: None,
            after,
            seconds: Phases { estimate: clock.seconds(), ..Phases::default() },
        })
    }

    fn deviations(&self) -> Vec<String> {
        vec![
            "no approach of the paper: the datum with its whole right answer stands as one more \
             demonstration before every prompt, those of the side effects too; no weight changes"
                .into(),
        ]
    }
}
