//! AlphaEdit (Fang et al. 2025): MEMIT whose updates are zero at the keys that a text uses, and that leaves the
//! outputs at the keys of earlier edits as they are.

use super::preserved::{Preserved, beside, keys_of};
use super::spread::Spread;
use super::{LlmError, Method, Repair, RepairContext, Request, Together, outcome};
use crate::config::{AlphaEditConfig, MethodKind};
use crate::edit::{Edit, Phases};
use crate::engine::device::Clock;
use crate::model::CausalLm;
use anyhow::Result;
use tch::{Kind, Tensor};

/// AlphaEdit under one setting.
pub(super) struct AlphaEdit {
    pub(super) config: AlphaEditConfig,
    pub(super) spread: Spread,
    preserved: Preserved,
}

impl AlphaEdit {
    pub(super) fn new(config: AlphaEditConfig, spread: Spread) -> Self {
        let preserved = Preserved::new(&config.label, config.threshold.0);
        Self { config, spread, preserved }
    }
}

/// The right factors `[n,F]` of the updates for the keys K `[F,n]`: ((P (KKᵀ + EEᵀ) + rI)⁻¹ P K)ᵀ, with the projection
/// P beside the directions `in_use` `[F,k]`, the keys E `[F,m]` of earlier edits, and the ridge r. By Woodbury, so that
/// no matrix of F rows is inverted.
fn right_factors(own: &Tensor, earlier: Option<&Tensor>, in_use: &Tensor, ridge: f64) -> Tensor {
    let keys = match earlier {
        Some(earlier) => Tensor::cat(&[own, earlier], 1),
        None => own.shallow_clone(),
    };
    let (projected, wanted) = (beside(&keys, in_use), beside(own, in_use));
    let count = keys.size()[1];
    let inner =
        Tensor::eye(count, (Kind::Double, keys.device())) * ridge + keys.tr().matmul(&projected);
    let solved = Tensor::linalg_solve(&inner, &keys.tr().matmul(&wanted), true);
    ((wanted - projected.matmul(&solved)) / ridge).tr()
}

impl AlphaEdit {
    /// The right factors `[n,F]` of the updates of `layer` for the keys `[F,n]`, beside those that the edit `standing`
    /// was made for.
    fn right_factors(
        &self,
        (model, standing): (&dyn CausalLm, &Edit),
        layer: usize,
        keys: &Tensor,
    ) -> Result<Tensor> {
        let in_use = self.preserved.in_use(&self.spread.statistics, layer, model)?;
        let earlier = keys_of(standing, layer);
        Ok(right_factors(keys, earlier.as_ref(), &in_use, self.config.ridge.0))
    }
}

impl Together for AlphaEdit {
    fn edits(
        &self,
        model: &dyn CausalLm,
        standing: &Edit,
        requests: &[Request],
    ) -> Result<Vec<Edit>> {
        let right =
            |layer: usize, keys: &Tensor| self.right_factors((model, standing), layer, keys);
        self.spread.requests((model, standing), requests, right)
    }
}

impl Method for AlphaEdit {
    fn label(&self) -> &str {
        &self.config.label
    }

    fn kind(&self) -> MethodKind {
        MethodKind::AlphaEdit
    }

    fn effort(&self) -> usize {
        (1 + self.config.value.prefixes) * self.spread.layers.len()
    }

    fn repair(&self, context: &RepairContext<'_>, error: &LlmError) -> Result<Repair> {
        let clock = Clock::start(context.model.spec().device);
        let around = (context.model, &context.trace.edit);
        let right = |layer: usize, key: &Tensor| self.right_factors(around, layer, key);
        let edit = self.spread.edit(context, error, right)?;
        let seconds = Phases { estimate: clock.seconds(), ..Phases::default() };
        outcome::whole(context, error, edit, seconds)
    }

    fn together(&self) -> Option<&dyn Together> {
        Some(self)
    }

    fn deviations(&self) -> Vec<String> {
        vec![
            "no approach of the paper: the subject is the last token before \
             the error; beginnings and preserved keys are of the text of keys.from, not of what the model writes \
             and of Wikipedia"
                .into(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::right_factors;
    use tch::{Device, Kind, Tensor};

    /// Without Woodbury, as it is written down.
    #[test]
    fn the_right_factors_are_those_of_the_whole_system() {
        let waves = |rows: i64, columns: i64, step: f64| {
            let phase = Tensor::arange(rows * columns, (Kind::Double, Device::Cpu));
            (phase * step).sin().view([rows, columns])
        };
        let (own, earlier) = (waves(9, 2, 0.7), waves(9, 3, 1.3));
        let (in_use, _) = Tensor::linalg_qr(&waves(9, 4, 2.1), "reduced");
        let free = Tensor::eye(9, (Kind::Double, Device::Cpu)) - in_use.matmul(&in_use.tr());
        for earlier in [None, Some(&earlier)] {
            let mut keys = own.matmul(&own.tr());
            if let Some(earlier) = earlier {
                keys += earlier.matmul(&earlier.tr());
            }
            let system = free.matmul(&keys) + Tensor::eye(9, (Kind::Double, Device::Cpu)) * 0.5;
            let wanted = Tensor::linalg_solve(&system, &free.matmul(&own), true).tr();
            let found = right_factors(&own, earlier, &in_use, 0.5);
            let difference = f64::try_from((&found - &wanted).abs().max()).unwrap();
            assert!(difference < 1e-10, "{difference:.2e}");
            let at_used = f64::try_from(found.matmul(&in_use).abs().max()).unwrap();
            assert!(at_used < 1e-10, "{at_used:.2e} at a direction in use");
        }
    }
}
