//! The value that an FFN output matrix should return for a key: the original one and a change, optimised until the
//! model predicts the target (Meng et al. 2022, section 3.1, step 2).

use super::adam::Adam;
use super::keys::KeyStatistics;
use super::{LlmError, RepairContext};
use crate::config::ValueConfig;
use crate::engine::above::{Added, logits_changed, logits_leaving};
use crate::engine::prompt_end::PromptEnd;
use crate::engine::trace::Trace;
use crate::model::{CausalLm, Sequences};
use anyhow::Result;
use tch::{Kind, Tensor};

/// A loss below this ends the optimisation.
const ENOUGH: f64 = 0.05;

/// The sequence up to an error, whose last token is the subject, alone and after other beginnings.
pub(super) struct Subject {
    /// The ends; that of the sequence alone is the first.
    ends: Vec<PromptEnd>,
    /// The residuals `[1,T,D]` entering the lowest layer that is kept, in the order of the ends.
    pub(super) entering: Vec<Tensor>,
    /// The last token alone, followed by "is a".
    essence: Trace,
    /// Index of the subject in it.
    essence_at: i64,
    target: u32,
}

/// Place of a value in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValuePlace {
    /// The FFN output.
    Ffn,
    /// The residual stream that leaves the layer.
    Residual,
}

/// The ids around a subject that are the same for all errors.
pub(super) struct Surrounding {
    /// Ids before every text.
    pub(super) prefix: usize,
    /// The ids of " is a".
    pub(super) essence: Vec<u32>,
}

impl Subject {
    /// The subject of `error`, traced under what stands. Layers from `first` on are kept.
    pub(super) fn new(
        context: &RepairContext<'_>,
        error: &LlmError,
        (statistics, surrounding): (&KeyStatistics, &Surrounding),
        (config, first): (&ValueConfig, usize),
    ) -> Result<Self> {
        let model = context.model;
        let ids = Vec::<i64>::try_from(context.ids.narrow(0, 0, error.at as i64 + 1))?;
        let ids: Vec<u32> = ids.into_iter().map(|id| id as u32).collect();
        let (start, rest) = ids.split_at(surrounding.prefix.min(ids.len()));
        let (mut ends, mut entering) = (Vec::new(), Vec::new());
        let mut keep = |trace: &Trace| {
            ends.push(PromptEnd::new(model, trace, error.target, first));
            entering.push(trace.residual[first].detach());
        };
        keep(&context.trace.prefix(error.at + 1));
        let trace = |ids: &[u32]| Sequences::one(&tensor(model, ids));
        for beginning in statistics.beginnings(config.prefixes) {
            if ids.len() + beginning.len() <= model.spec().context {
                let whole = [start, beginning, rest].concat();
                keep(&Trace::to_ends(model, &trace(&whole), context.trace.edit.clone()));
            }
        }
        let essence = [start, &ids[ids.len() - 1..], &surrounding.essence].concat();
        let essence = Trace::new(model, &trace(&essence), context.trace.edit.clone());
        let essence_at = start.len() as i64;
        Ok(Self { ends, entering, essence, essence_at, target: error.target })
    }

    /// The key of `layer`, its mean over all beginnings, `[F]`, f32.
    pub(super) fn key(&self, layer: usize) -> Tensor {
        let keys: Vec<&Tensor> = self.ends.iter().map(|end| end.post_activation(layer)).collect();
        Tensor::cat(&keys, 0).to_kind(Kind::Float).mean_dim([0_i64].as_slice(), false, Kind::Float)
    }

    /// The FFN output of `layer` for the mean key, `[D]`, f32: the mean over all beginnings, as it is linear.
    pub(super) fn ffn_output(&self, layer: usize, model: &dyn CausalLm) -> Tensor {
        let outputs: Vec<Tensor> =
            self.ends.iter().map(|end| end.ffn_output(layer, model)).collect();
        Tensor::cat(&outputs, 0).to_kind(Kind::Float).mean_dim([0_i64].as_slice(), false, Kind::Float)
    }

    /// What is in `place` of `layer` at the end of the sequence alone, `[D]`, f32.
    pub(super) fn original(&self, layer: usize, place: ValuePlace, model: &dyn CausalLm) -> Tensor {
        let value = match place {
            ValuePlace::Ffn => self.ends[0].ffn_output(layer, model),
            ValuePlace::Residual => self.ends[0].leaving(layer).shallow_clone(),
        };
        value.squeeze_dim(0).to_kind(Kind::Float)
    }

    /// The residual leaving `layer` at the ends, `[n,D]`, where `change` `[D]` is added in `place`.
    fn leaving(
        &self,
        layer: usize,
        place: ValuePlace,
        change: &Tensor,
        model: &dyn CausalLm,
    ) -> Tensor {
        let left: Vec<&Tensor> = self.ends.iter().map(|end| end.leaving(layer)).collect();
        let left = Tensor::cat(&left, 0);
        let exit = model.ffn_exit(layer);
        match place {
            ValuePlace::Residual => left + change,
            ValuePlace::Ffn if exit.is_linear() => left + exit.apply(change.shallow_clone()),
            ValuePlace::Ffn => {
                let outputs: Vec<Tensor> =
                    self.ends.iter().map(|end| end.ffn_output(layer, model)).collect();
                let output = Tensor::cat(&outputs, 0);
                left + exit.apply(&output + change) - exit.apply(output)
            }
        }
    }

    /// Log-probabilities `[1,V]` of what follows "is a" where `change` is added in `place` of `layer` at the
    /// subject.
    fn essence(
        &self,
        layer: usize,
        place: ValuePlace,
        change: &Tensor,
        model: &dyn CausalLm,
    ) -> Tensor {
        let at_subject = |own: usize, active: &Tensor| {
            let tokens = active.size()[1];
            // In the last layer nothing but the end counts, which is not the subject.
            if own != layer || tokens <= self.essence_at {
                return None;
            }
            let one_hot = Tensor::zeros([1, tokens, 1], (change.kind(), change.device()));
            let _ = one_hot.select(1, self.essence_at).fill_(1.0);
            Some(match place {
                ValuePlace::Ffn => Added::ToFfn(one_hot * change),
                ValuePlace::Residual => Added::ToResidual(one_hot * change),
            })
        };
        let logits = logits_changed(model, &self.essence, layer, at_subject);
        logits.log_softmax(-1, Kind::Float)
    }

    /// The change `[D]`, f32, of what is in `place` of `layer` that makes the target likely after all beginnings
    /// and changes little of what the model says of the subject.
    ///
    /// # Errors
    /// If libtorch fails.
    pub(super) fn optimised(
        &self,
        layer: usize,
        place: ValuePlace,
        config: &ValueConfig,
        model: &dyn CausalLm,
    ) -> Result<Tensor> {
        let spec = model.spec();
        let norm = f64::try_from(self.original(layer, place, model).norm())?;
        let most = config.clamp.0 * norm;
        let change = Tensor::zeros([spec.d_model as i64], (Kind::Float, spec.device));
        let change = change.set_requires_grad(true);
        let mut adam = Adam::new(config.rate.0, &[&change]);
        let before = (config.divergence > 0.0)
            .then(|| self.essence(layer, place, &change.detach().to_kind(spec.kind), model));
        for step in 0..config.steps.0 {
            let own = change.to_kind(spec.kind);
            let logits =
                logits_leaving(model, &self.ends, layer, &self.leaving(layer, place, &own, model));
            let log = logits.log_softmax(-1, Kind::Float).select(-1, i64::from(self.target));
            let mut loss = -log.mean(Kind::Float) + change.norm() * (config.decay / (norm * norm));
            if let Some(before) = &before {
                let now = self.essence(layer, place, &own, model);
                let divergence = (now.exp() * (&now - before.detach())).sum(Kind::Float);
                loss += divergence * config.divergence;
            }
            if f64::try_from(&loss)? < ENOUGH || step + 1 == config.steps.0 {
                break;
            }
            let gradients = Tensor::run_backward(&[&loss], &[&change], false, false);
            adam.step(&[&change], &gradients);
            let now = f64::try_from(change.detach().norm())?;
            if now > most {
                let _ = change.detach().g_mul_scalar_(most / now);
            }
        }
        Ok(change.detach())
    }
}

fn tensor(model: &dyn CausalLm, ids: &[u32]) -> Tensor {
    let ids: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
    Tensor::from_slice(&ids).to_device(model.spec().device)
}
