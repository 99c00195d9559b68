//! Fine-tuning of one FFN output matrix.

use super::descent::Descent;
use super::{LlmError, Method, Repair, RepairContext, outcome};
use crate::config::{FineTuningConfig, MethodKind};
use crate::edit::{Edit, MatrixChange, Phases, Update};
use crate::engine::device::Clock;
use anyhow::Result;
use tch::Tensor;

/// Fine-tuning under one setting.
pub(super) struct FineTuning(pub(super) FineTuningConfig);

impl Method for FineTuning {
    fn label(&self) -> &str {
        &self.0.label
    }

    fn kind(&self) -> MethodKind {
        MethodKind::FineTuning
    }

    fn effort(&self) -> usize {
        self.0.steps.0
    }

    fn repair(&self, context: &RepairContext<'_>, error: &LlmError) -> Result<Repair> {
        let spec = context.model.spec();
        let (layer, bound) = (self.0.place.of(spec.layers), self.0.bound);
        let clock = Clock::start(spec.device);
        let shape = [spec.d_model as i64, spec.d_ff as i64];
        let change = Tensor::zeros(shape, (spec.kind, spec.device)).set_requires_grad(true);
        let descent = Descent {
            parameters: vec![&change],
            first: layer,
            steps: self.0.steps.0,
            rate: self.0.rate.0,
        };
        descent.run(
            context,
            error,
            |own, active| (own == layer).then(|| active.linear(&change, None::<&Tensor>)),
            || {
                if bound > 0.0 {
                    let _ = change.detach().clamp_(-bound, bound);
                }
            },
        )?;
        let edit = Edit::by(vec![Update::new(layer, MatrixChange::Dense(change.detach()))]);
        let seconds = Phases { estimate: clock.seconds(), ..Phases::default() };
        outcome::whole(context, error, edit, seconds)
    }

    fn deviations(&self) -> Vec<String> {
        let FineTuningConfig { label: _, place: _, steps, rate, bound } = &self.0;
        let bound = match *bound {
            0.0 => "without a bound".to_string(),
            bound => format!("each entry within {bound} of its original"),
        };
        vec![format!(
            "no approach of the paper: Adam (rate {}, at most {} steps) on one FFN output matrix, \
             {bound}, until the target is the argmax",
            rate.0, steps.0
        )]
    }
}
