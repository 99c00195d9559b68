//! The free part of a neuron: what is left of it beside the keys that a text uses and those of earlier edits. A patch
//! through that part changes nothing at those keys, and as much as before at the error.

use super::super::RepairContext;
use super::super::keys::KeyStatistics;
use super::super::preserved::{Preserved, beside, keys_of};
use crate::config::PreserveConfig;
use crate::edit::Neuron;
use crate::model::Loaded;
use anyhow::Result;
use std::path::Path;
use tch::{Kind, Tensor};

/// Share of a neuron's activation at the error that its free part must have: less would have to be magnified so much
/// that it is no longer that neuron.
const LEAST: f64 = 0.05;

/// Keys that a patch must leave alone.
pub(super) struct FreeParts {
    statistics: KeyStatistics,
    preserved: Preserved,
}

/// The free part of a neuron.
#[derive(Debug)]
pub(super) struct FreePart {
    /// Right factor of a patch through it, `[F]`, f32: as active at the error as the neuron.
    pub(super) right: Tensor,
    /// The post-activations at the error, `[F]`, f32.
    pub(super) key: Tensor,
}

impl FreeParts {
    /// The free parts under `config`, in the layers from `first` on.
    ///
    /// # Errors
    /// If the text cannot be read, or is too short.
    pub(super) fn new(
        label: &str,
        config: &PreserveConfig,
        loaded: &Loaded,
        first: usize,
        cache: &Path,
    ) -> Result<Self> {
        let layers = (first..loaded.model.spec().layers).collect();
        let statistics = KeyStatistics::new(&config.keys, loaded, layers, cache)?;
        Ok(Self { statistics, preserved: Preserved::new(label, config.threshold.0) })
    }

    /// The free part of `neuron` for the error at position `at`; `None` if next to nothing of it is active there.
    ///
    /// # Errors
    /// If nothing of the layer is free, or the user stops.
    pub(super) fn of(
        &self,
        context: &RepairContext<'_>,
        at: usize,
        neuron: Neuron,
    ) -> Result<Option<FreePart>> {
        let Neuron { layer, index } = neuron;
        let in_use = self.preserved.in_use(&self.statistics, layer, context.model)?;
        let key = context.trace.post_activation[layer].select(1, at as i64).squeeze_dim(0);
        let key = key.to_kind(Kind::Double);
        let unit = key.zeros_like();
        let _ = unit.get(index as i64).fill_(1.0);
        let mut free = beside(&unit.unsqueeze(1), &in_use);
        if let Some(earlier) = keys_of(&context.trace.edit, layer) {
            let (span, _) = Tensor::linalg_qr(&beside(&earlier, &in_use), "reduced");
            free = beside(&free, &span);
        }
        let free = free.squeeze_dim(1);
        let (own, left) = (key.double_value(&[index as i64]), f64::try_from(key.dot(&free))?);
        if left.abs() < LEAST * own.abs() || own == 0.0 {
            return Ok(None);
        }
        let right = (free * (own / left)).to_kind(Kind::Float);
        Ok(Some(FreePart { right, key: key.to_kind(Kind::Float) }))
    }
}
