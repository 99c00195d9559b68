//! Low-rank adaptation (Hu et al. 2022) of the FFN output matrices of all layers.

use super::descent::Descent;
use super::{LlmError, Method, Repair, RepairContext, outcome};
use crate::config::{LoraConfig, MethodKind};
use crate::edit::{Edit, MatrixChange, Phases, Update};
use crate::engine::device::Clock;
use crate::model::Spec;
use anyhow::Result;
use tch::{Device, Kind, Tensor};

/// Low-rank adaptation under one setting.
pub(super) struct Lora(pub(super) LoraConfig);

/// Factors of the change of one matrix, leaves of the graph.
struct Factors {
    /// B, `[D,R]`, zero at first.
    left: Tensor,
    /// A, `[R,F]`.
    right: Tensor,
}

impl Lora {
    /// The factors of every layer. A is drawn as PyTorch's `kaiming_uniform_` with a = √5 draws it: uniformly within
    /// 1 / √F of zero.
    fn factors(&self, spec: &Spec, seed: u64) -> Vec<Factors> {
        let (rank, bound) = (self.0.rank.0 as i64, 1.0 / (spec.d_ff as f64).sqrt());
        tch::manual_seed(seed.cast_signed());
        let placed =
            |t: Tensor| t.to_kind(spec.kind).to_device(spec.device).set_requires_grad(true);
        let factors = |_| {
            let right = Tensor::empty([rank, spec.d_ff as i64], (Kind::Float, Device::Cpu));
            let right = right.uniform(-bound, bound);
            let left = Tensor::zeros([spec.d_model as i64, rank], (Kind::Float, Device::Cpu));
            Factors { left: placed(left), right: placed(right) }
        };
        (0..spec.layers).map(factors).collect()
    }
}

impl Method for Lora {
    fn label(&self) -> &str {
        &self.0.label
    }

    fn kind(&self) -> MethodKind {
        MethodKind::Lora
    }

    fn effort(&self) -> usize {
        2 * self.0.steps.0
    }

    fn repair(&self, context: &RepairContext<'_>, error: &LlmError) -> Result<Repair> {
        let spec = context.model.spec();
        let clock = Clock::start(spec.device);
        let scale = self.0.alpha.0 / self.0.rank.0 as f64;
        let factors = self.factors(spec, context.seed);
        let descent = Descent {
            parameters: factors.iter().flat_map(|own| [&own.left, &own.right]).collect(),
            first: 0,
            steps: self.0.steps.0,
            rate: self.0.rate.0,
        };
        let change = |layer: usize, active: &Tensor| {
            let Factors { left, right } = &factors[layer];
            let inner = active.linear(right, None::<&Tensor>);
            Some(inner.linear(left, None::<&Tensor>) * scale)
        };
        descent.run(context, error, change, || {})?;
        let update = |(layer, Factors { left, right }): (usize, &Factors)| {
            let (left, right) = (left.detach() * scale, right.detach());
            Update::new(layer, MatrixChange::LowRank { left, right })
        };
        let edit = Edit::by(factors.iter().enumerate().map(update).collect());
        let seconds = Phases { estimate: clock.seconds(), ..Phases::default() };
        outcome::whole(context, error, edit, seconds)
    }

    fn deviations(&self) -> Vec<String> {
        let LoraConfig { label: _, rank, alpha, steps, rate } = &self.0;
        vec![format!(
            "no approach of the paper: low-rank adaptation, rank {}, alpha {}, Adam (rate {}, at most {} steps) \
             on the FFN output matrices of all layers until the target is the argmax; the originals adapt the \
             attention too",
            rank.0, alpha.0, rate.0, steps.0
        )]
    }
}
