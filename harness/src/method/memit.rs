//! MEMIT, mass editing memory in a transformer (Meng et al. 2023), with one edit.

use super::spread::Spread;
use super::{LlmError, Method, Repair, RepairContext, outcome};
use crate::config::{MemitConfig, MethodKind};
use crate::edit::Phases;
use crate::engine::device::Clock;
use anyhow::Result;

/// MEMIT under one setting.
pub(super) struct Memit {
    pub(super) config: MemitConfig,
    pub(super) spread: Spread,
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
        let weight = self.config.weight.0;
        // (wC + kkᵀ)⁻¹ k by Sherman and Morrison, with C factored once.
        let edit = self.spread.edit(context, error, |layer, key| {
            let keys = self.spread.statistics.of(layer, context.model)?;
            let whitened = keys.whitened(key)? / weight;
            let product = key.tr().matmul(&whitened) + 1.0;
            Ok((whitened / product).tr())
        })?;
        let seconds = Phases { estimate: clock.seconds(), ..Phases::default() };
        outcome::whole(context, error, edit, seconds)
    }

    fn deviations(&self) -> Vec<String> {
        vec![
            "no approach of the paper; one edit at a time: the subject is the last token before the \
             error; beginnings and covariance are of the text of keys.from, not of what the model writes and of \
             Wikipedia"
                .into(),
        ]
    }
}
