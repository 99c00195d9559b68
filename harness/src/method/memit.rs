//! MEMIT, mass editing memory in a transformer (Meng et al. 2023).

use super::spread::Spread;
use super::{LlmError, Method, Repair, RepairContext, Request, Together, outcome};
use crate::config::{MemitConfig, MethodKind};
use crate::edit::{Edit, Phases};
use crate::engine::device::Clock;
use crate::model::CausalLm;
use anyhow::Result;
use tch::{Kind, Tensor};

/// MEMIT under one setting.
pub(super) struct Memit {
    pub(super) config: MemitConfig,
    pub(super) spread: Spread,
}

impl Memit {
    /// The right factors `[n,F]` of the updates of `layer` for the keys K `[F,n]`: ((wC + KKᵀ)⁻¹ K)ᵀ, with the second
    /// moment C of the text's keys and its weight w. By Woodbury, with C factored once.
    fn right_factors(&self, layer: usize, keys: &Tensor, model: &dyn CausalLm) -> Result<Tensor> {
        let whitened = self.spread.statistics.of(layer, model)?.whitened(keys)?;
        Ok(right_factors(keys, &(whitened / self.config.weight.0)))
    }
}

/// ((M + KKᵀ)⁻¹ K)ᵀ, `[n,F]`, of `keys` K and of K `whitened`, M⁻¹ K, both `[F,n]`.
fn right_factors(keys: &Tensor, whitened: &Tensor) -> Tensor {
    let count = keys.size()[1];
    let inner = keys.tr().matmul(whitened) + Tensor::eye(count, (Kind::Double, keys.device()));
    Tensor::linalg_solve(&inner, &whitened.tr(), true)
}

impl Together for Memit {
    fn edits(
        &self,
        model: &dyn CausalLm,
        standing: &Edit,
        requests: &[Request],
    ) -> Result<Vec<Edit>> {
        let right = |layer: usize, keys: &Tensor| self.right_factors(layer, keys, model);
        self.spread.requests((model, standing), requests, right)
    }
}

impl Method for Memit {
    fn label(&self) -> &str {
        &self.config.label
    }

    fn kind(&self) -> MethodKind {
        MethodKind::Memit
    }

    fn effort(&self) -> usize {
        (1 + self.config.value.prefixes) * self.spread.layers.len()
    }

    fn repair(&self, context: &RepairContext<'_>, error: &LlmError) -> Result<Repair> {
        let clock = Clock::start(context.model.spec().device);
        let right = |layer: usize, key: &Tensor| self.right_factors(layer, key, context.model);
        let edit = self.spread.edit(context, error, right)?;
        let seconds = Phases { estimate: clock.seconds(), ..Phases::default() };
        outcome::whole(context, error, edit, seconds)
    }

    fn together(&self) -> Option<&dyn Together> {
        Some(self)
    }

    fn deviations(&self) -> Vec<String> {
        vec![
            "no approach of the paper: the subject is the last token before the \
             error; beginnings and covariance are of the text of keys.from, not of what the model writes and of \
             Wikipedia"
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
        let (keys, text) = (waves(9, 3, 0.7), waves(9, 20, 1.3));
        let moment = text.matmul(&text.tr()) + Tensor::eye(9, (Kind::Double, Device::Cpu));
        let whitened = Tensor::linalg_solve(&moment, &keys, true);
        let system = &moment + keys.matmul(&keys.tr());
        let wanted = Tensor::linalg_solve(&system, &keys, true).tr();
        let found = right_factors(&keys, &whitened);
        let difference = f64::try_from((&found - &wanted).abs().max()).unwrap();
        assert!(difference < 1e-8, "{difference:.2e}");
    }
}
