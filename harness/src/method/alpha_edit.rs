//! AlphaEdit (Fang et al. 2025): MEMIT whose updates are zero at the keys that a text uses, and that leaves the
//! outputs at the keys of earlier edits as they are.

use super::preserved::{Preserved, beside, keys_of};
use super::spread::Spread;
use super::{LlmError, Method, Repair, RepairContext, outcome};
use crate::config::{AlphaEditConfig, MethodKind};
use crate::edit::Phases;
use crate::engine::device::Clock;
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

/// The right factor `[1,F]` of the update for `key` `[F,1]`: (P (kkᵀ + EEᵀ) + rI)⁻¹ P k, with the projection P beside
/// the directions `in_use` `[F,k]`, the keys E `[F,m]` of earlier edits, and the ridge r. By Woodbury, so that no
/// matrix of F rows is inverted.
fn right_factor(key: &Tensor, earlier: Option<&Tensor>, in_use: &Tensor, ridge: f64) -> Tensor {
    let keys = match earlier {
        Some(earlier) => Tensor::cat(&[key, earlier], 1),
        None => key.shallow_clone(),
    };
    let (projected, wanted) = (beside(&keys, in_use), beside(key, in_use));
    let count = keys.size()[1];
    let inner =
        Tensor::eye(count, (Kind::Double, key.device())) * ridge + keys.tr().matmul(&projected);
    let solved = Tensor::linalg_solve(&inner, &keys.tr().matmul(&wanted), true);
    ((wanted - projected.matmul(&solved)) / ridge).tr()
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
        let edit = self.spread.edit(context, error, |layer, key| {
            let statistics = &self.spread.statistics;
            let in_use = self.preserved.in_use(statistics, layer, context.model)?;
            let earlier = keys_of(&context.trace.edit, layer);
            Ok(right_factor(key, earlier.as_ref(), &in_use, self.config.ridge.0))
        })?;
        let seconds = Phases { estimate: clock.seconds(), ..Phases::default() };
        outcome::whole(context, error, edit, seconds)
    }

    fn deviations(&self) -> Vec<String> {
        vec![
            "no approach of the paper; one edit at a time: the subject is the last token before \
             the error; beginnings and preserved keys are of the text of keys.from, not of what the model writes \
             and of Wikipedia"
                .into(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::right_factor;
    use tch::{Device, Kind, Tensor};

    /// Without Woodbury, as it is written down.
    #[test]
    fn the_right_factor_is_that_of_the_whole_system() {
        let waves = |rows: i64, columns: i64, step: f64| {
            let phase = Tensor::arange(rows * columns, (Kind::Double, Device::Cpu));
            (phase * step).sin().view([rows, columns])
        };
        let (key, earlier) = (waves(9, 1, 0.7), waves(9, 3, 1.3));
        let (in_use, _) = Tensor::linalg_qr(&waves(9, 4, 2.1), "reduced");
        let free = Tensor::eye(9, (Kind::Double, Device::Cpu)) - in_use.matmul(&in_use.tr());
        for earlier in [None, Some(&earlier)] {
            let mut keys = key.matmul(&key.tr());
            if let Some(earlier) = earlier {
                keys += earlier.matmul(&earlier.tr());
            }
            let system = free.matmul(&keys) + Tensor::eye(9, (Kind::Double, Device::Cpu)) * 0.5;
            let wanted = Tensor::linalg_solve(&system, &free.matmul(&key), true).tr();
            let found = right_factor(&key, earlier, &in_use, 0.5);
            let difference = f64::try_from((&found - &wanted).abs().max()).unwrap();
            assert!(difference < 1e-10, "{difference:.2e}");
            let at_used = f64::try_from(found.matmul(&in_use).abs().max()).unwrap();
            assert!(at_used < 1e-10, "{at_used:.2e} at a direction in use");
        }
    }
}
