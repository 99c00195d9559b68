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

#[cfg(test)]
mod tests {
    use super::FreeParts;
    use crate::config::{KeysConfig, Positive, PreserveConfig};
    use crate::edit::{Edit, Neuron, Update};
    use crate::engine::trace::Trace;
    use crate::method::ment::LocateCache;
    use crate::method::{NoParallelPrompts, RepairContext};
    use crate::model::{self, Sequences};
    use std::path::Path;
    use tch::{Kind, Tensor};

    /// As active at the error as the neuron, and not at all at what the text uses and at the key of an earlier edit.
    #[test]
    fn a_free_part_acts_at_the_error_only() {
        let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/goldens/tiny");
        let loaded = model::load(&tiny, model::Options::default()).unwrap();
        let model = loaded.model.as_ref();
        let keys = KeysConfig { tokens: Positive(512), ..KeysConfig::default() };
        let config = PreserveConfig { keys, ..PreserveConfig::default() };
        let free = FreeParts::new("m", &config, &loaded, 0, Path::new("")).unwrap();
        let ids = Tensor::from_slice(&[70_i64, 81, 92, 33]);
        let width = model.spec().d_ff as i64;
        let earlier = (Tensor::arange(width, (Kind::Float, ids.device())) * 0.7).sin();
        let mut standing =
            Update::rank_one(1, &Tensor::zeros([32], (Kind::Float, ids.device())), &earlier);
        standing.keys = Some(earlier.unsqueeze(0));
        let trace = Trace::new(model, &Sequences::one(&ids), Edit::by(vec![standing]));
        let context = RepairContext {
            model,
            ids: &ids,
            trace: &trace,
            located: &LocateCache::default(),
            engine: crate::config::Engine::Replay,
            memory: 1 << 28,
            parallel: &NoParallelPrompts,
            subject: None,
            hint: None,
            seed: 0,
        };
        let mut found = 0;
        for index in 0..width as usize {
            let Some(part) = free.of(&context, 3, Neuron { layer: 1, index }).unwrap() else {
                continue;
            };
            let own = part.key.double_value(&[index as i64]);
            let at_error = f64::try_from(part.key.dot(&part.right)).unwrap();
            assert!((at_error - own).abs() < 1e-4 * own.abs().max(1e-3), "{at_error} and {own}");
            let scale = f64::try_from(part.right.norm()).unwrap();
            let in_use = free.preserved.in_use(&free.statistics, 1, model).unwrap();
            let used = part.right.to_kind(Kind::Double).unsqueeze(0).matmul(&in_use);
            assert!(f64::try_from(used.abs().max()).unwrap() < 1e-5 * scale);
            let before = f64::try_from(part.right.dot(&earlier)).unwrap();
            assert!(before.abs() < 1e-4 * scale, "{before} at the key of an earlier edit");
            found += 1;
        }
        assert!(found > 5, "{found} neurons have a free part");
    }
}
