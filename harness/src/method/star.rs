//! STAR, semantic targeting for analytical repair (Gu et al., arXiv 2503.12899): located neurons are changed together;
//! the change of their columns that steers the representation to the target by least squares is where an optimiser
//! starts. As many of them are patched, best located first, as the target needs to be on top.

use super::adam::Adam;
use super::in_order::{Patches, patch};
use super::ment::located;
use super::{LlmError, Method, Oracle, Repair, RepairContext};
use crate::config::{MentConfig, MethodKind, StarConfig};
use crate::edit::{ColumnDelta, Edit, Neuron, Phases};
use crate::engine::above::{Added, logits_changed};
use crate::engine::device::Clock;
use anyhow::Result;
use std::rc::Rc;
use tch::{Kind, Tensor};

/// Logits by which the start puts the target before the argmax.
const MARGIN: f64 = 1.0;

/// STAR under one setting.
pub(super) struct Star {
    pub(super) config: StarConfig,
    /// How neurons are located: as MENT does, in the upper half of the layers.
    pub(super) locate: MentConfig,
    pub(super) oracle: Rc<Oracle>,
}

impl Star {
    /// The analytical start `[n,D]`, f32: of all changes of the columns that move the residual stream at the error
    /// by what closes the gap between the argmax and the target, the smallest. `active` `[n]` are the activations
    /// there. The change of the normed state is the difference of the two tokens' rows of the head's pseudoinverse;
    /// it is taken through the final norm as if no layer stood between.
    fn start(
        &self,
        context: &RepairContext<'_>,
        error: &LlmError,
        active: &Tensor,
    ) -> Result<Tensor> {
        let model = context.model;
        let state = context.trace.residual.last().expect("a trace").select(1, error.at as i64);
        let state = state.squeeze_dim(0).to_kind(Kind::Float);
        let normed = model.final_norm(&state.to_kind(model.spec().kind));
        let logits = model.head(&normed).to_kind(Kind::Float);
        let of = |token: u32| logits.get(i64::from(token));
        let gap = f64::try_from(of(error.argmax) - of(error.target))? + MARGIN;
        let rows = self.oracle.rows() as i64;
        let wanted = Tensor::zeros([rows], (Kind::Float, active.device()));
        for (token, value) in [(error.target, 1.0), (error.argmax, -1.0)] {
            if i64::from(token) < rows {
                let _ = wanted.get(i64::from(token)).fill_(value);
            }
        }
        let steer = self.oracle.representation(&wanted);
        let head = |token: u32| model.head_matrix().get(i64::from(token)).to_kind(Kind::Float);
        let slope = f64::try_from((head(error.target) - head(error.argmax)).dot(&steer))?;
        let (weight, bias) = model.final_norm_affine();
        let bare = bias.map_or_else(|| normed.shallow_clone(), |bias| &normed - bias) / weight;
        let spread = f64::try_from(state.norm() / bare.to_kind(Kind::Float).norm())?;
        let steer = steer / weight.to_kind(Kind::Float) * (spread * gap / slope);
        let square = active.square().sum(Kind::Float).clamp_min(1e-12);
        Ok((active / square).unsqueeze(1) * steer.unsqueeze(0))
    }

    /// The columns' changes `[n,D]` after the optimiser: from the start on, along the gradient of the target's
    /// log-probability, until the target is the argmax.
    fn optimised(
        &self,
        context: &RepairContext<'_>,
        error: &LlmError,
        neurons: &[Neuron],
        start: &Tensor,
    ) -> Result<Tensor> {
        let (model, kind) = (context.model, context.model.spec().kind);
        let trace = context.trace.prefix(error.at + 1);
        let first = neurons.iter().map(|neuron| neuron.layer).min().expect("a located neuron");
        let columns = start.copy().set_requires_grad(true);
        let typical = f64::try_from(start.square().mean(Kind::Float).sqrt())?;
        let mut adam = Adam::new(self.config.rate.0 * typical, &[&columns]);
        for _ in 0..self.config.steps.0 {
            let own = columns.to_kind(kind);
            let change = |layer: usize, active: &Tensor| {
                let of_layer = neurons.iter().zip(0_i64..).filter(|(n, _)| n.layer == layer);
                let added = of_layer
                    .map(|(neuron, row)| active.narrow(-1, neuron.index as i64, 1) * own.get(row));
                added.reduce(|sum, column| sum + column).map(Added::ToFfn)
            };
            let logits = logits_changed(model, &trace, first, change);
            let best = i64::try_from(logits.argmax(-1, false).squeeze())?;
            if best == i64::from(error.target) {
                break;
            }
            let log = logits.log_softmax(-1, Kind::Float).select(-1, i64::from(error.target));
            let loss = -log.sum(Kind::Float);
            let gradients = Tensor::run_backward(&[loss], &[&columns], false, false);
            adam.step(&[&columns], &gradients);
        }
        Ok(columns.detach())
    }
}

impl Method for Star {
    fn label(&self) -> &str {
        &self.config.label
    }

    fn kind(&self) -> MethodKind {
        MethodKind::Star
    }

    fn effort(&self) -> usize {
        1 + self.config.steps.0
    }

    fn differentiates_the_datum(&self) -> bool {
        true
    }

    fn repair(&self, context: &RepairContext<'_>, error: &LlmError) -> Result<Repair> {
        let device = context.model.spec().device;
        let mut seconds = Phases::default();
        let clock = Clock::start(device);
        let (neurons, saved) = located(context, error, &self.locate)?;
        seconds.locate = clock.seconds() + saved;

        let clock = Clock::start(device);
        let active: Vec<Tensor> = neurons
            .iter()
            .map(|neuron| {
                let active = context.trace.post_activation[neuron.layer].select(1, error.at as i64);
                active.select(1, neuron.index as i64).squeeze().to_kind(Kind::Float)
            })
            .collect();
        let start = self.start(context, error, &Tensor::stack(&active, 0))?;
        let columns = self.optimised(context, error, &neurons, &start)?;
        let kind = context.model.spec().kind;
        let column = |(&neuron, row): (&Neuron, i64)| {
            ColumnDelta::new(neuron, columns.get(row).to_kind(kind))
        };
        let columns: Vec<ColumnDelta> = neurons.iter().zip(0..).map(column).collect();
        seconds.estimate = clock.seconds();

        let clock = Clock::start(device);
        let logits = context.trace.logits_at(context.model, error.at);
        let Patches { edit, neurons: patched, after } = patch(context, error, &logits, &columns)?;
        seconds.plan = clock.seconds();
        let solved = after.target_rank == 1;
        let edit = if solved { edit } else { Edit::none() };
        let (located, neurons) = (neurons, patched);
        Ok(Repair { edit, solved, located, neurons, parallel: None, after, seconds })
    }

    fn deviations(&self) -> Vec<String> {
        let StarConfig { label: _, quota, steps, rate } = &self.config;
        vec![format!(
            "no approach of the paper, and after the public description of STAR only: {} neurons located by input × \
             gradient in the upper half of the layers; the least-squares change that closes the gap to the argmax, \
             through the head's pseudoinverse and the final norm, as start; then Adam (at most {} steps of {} of \
             the start's size); the best located of them that suffice are patched",
            quota.0, steps.0, rate.0
        )]
    }
}
