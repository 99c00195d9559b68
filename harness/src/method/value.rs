//! The value that an FFN output matrix should return for a key: the original one and a change, optimised until the
//! model predicts the target (Meng et al. 2022, section 3.1, step 2).

use super::adam::Adam;
use super::keys::KeyStatistics;
use super::{LlmError, RepairContext};
use crate::config::ValueConfig;
use crate::edit::Edit;
use crate::engine::above::{Added, logits_changed, logits_leaving};
use crate::engine::block::ffn_output;
use crate::engine::prompt_end::PromptEnd;
use crate::engine::trace::Trace;
use crate::error::InputError;
use crate::model::{CausalLm, Sequences};
use anyhow::Result;
use tch::{Kind, Tensor};

/// A loss below this ends the optimisation.
const ENOUGH: f64 = 0.05;

/// The sequence up to an error, alone and after other beginnings, with a token of it that is the subject.
pub(super) struct Subject {
    runs: Runs,
    /// The residuals `[1,T,D]` entering the lowest layer that is kept, one a run; that of the sequence alone is the
    /// first.
    pub(super) entering: Vec<Tensor>,
    /// Index of the subject in each run.
    pub(super) at: Vec<i64>,
    /// The subject alone, followed by "is a".
    essence: Trace,
    /// Index of the subject in it.
    essence_at: i64,
    target: u32,
}

/// The runs of the sequences.
enum Runs {
    /// The subject is the last token: nothing before it changes, so that one token of each is run again.
    Ends(Vec<PromptEnd>),
    /// It is one before: the tokens after it are run again too.
    Within(Vec<Trace>),
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
    /// The subject of `error`, traced under what stands. Layers from `first` up to `last`, which may be edited, are
    /// kept.
    ///
    /// # Errors
    /// If the subject is not the last token and the last layer of the model is to be edited, which no later token
    /// would see.
    pub(super) fn new(
        context: &RepairContext<'_>,
        error: &LlmError,
        (statistics, surrounding): (&KeyStatistics, &Surrounding),
        (config, first, last): (&ValueConfig, usize, usize),
    ) -> Result<Self> {
        let model = context.model;
        let ids = Vec::<i64>::try_from(context.ids.narrow(0, 0, error.at as i64 + 1))?;
        let ids: Vec<u32> = ids.into_iter().map(|id| id as u32).collect();
        let subject = context.subject.filter(|&at| at < error.at);
        if subject.is_some() && last + 1 == model.spec().layers {
            return Err(InputError::new(format!(
                "layer {last} is the last one: no token after the subject would see an edit there. Choose a lower \
                 layer, or leave the subject out"
            )));
        }
        let place = subject.unwrap_or(error.at);
        let (start, rest) = ids.split_at(surrounding.prefix.min(ids.len()));
        let sequence = |ids: &[u32]| Sequences::one(&tensor(model, ids));
        let (mut traces, mut at) = (vec![context.trace.prefix(error.at + 1)], vec![place as i64]);
        for beginning in statistics.beginnings(config.prefixes) {
            if ids.len() + beginning.len() <= model.spec().context {
                let whole = [start, beginning, rest].concat();
                let standing = context.trace.edit.clone();
                traces.push(Trace::to_ends(model, &sequence(&whole), standing));
                at.push((place + beginning.len()) as i64);
            }
        }
        let entering = traces.iter().map(|trace| trace.residual[first].detach()).collect();
        let runs = match subject {
            Some(_) => Runs::Within(traces),
            None => {
                let end = |trace: &Trace| PromptEnd::new(model, trace, error.target, first);
                Runs::Ends(traces.iter().map(end).collect())
            }
        };
        let essence = [start, &ids[place..=place], &surrounding.essence].concat();
        let essence = Trace::new(model, &sequence(&essence), context.trace.edit.clone());
        let essence_at = start.len() as i64;
        Ok(Self { runs, entering, at, essence, essence_at, target: error.target })
    }

    /// The states at the subject, one row a run, `[n,X]`: `of_end` of a last token, `[1,X]`, or the subject's of
    /// `of_trace` `[1,T,X]`.
    fn states(
        &self,
        of_end: impl Fn(&PromptEnd) -> Tensor,
        of_trace: impl Fn(&Trace) -> Tensor,
    ) -> Tensor {
        let states: Vec<Tensor> = match &self.runs {
            Runs::Ends(ends) => ends.iter().map(of_end).collect(),
            Runs::Within(traces) => traces
                .iter()
                .zip(&self.at)
                .map(|(trace, &at)| of_trace(trace).select(1, at))
                .collect(),
        };
        Tensor::cat(&states, 0)
    }

    /// The post-activations of `layer` at the subject, `[n,F]`.
    fn keys(&self, layer: usize) -> Tensor {
        self.states(
            |end| end.post_activation(layer).shallow_clone(),
            |trace| trace.post_activation[layer].shallow_clone(),
        )
    }

    /// The FFN output of `layer` at the subject, `[n,D]`.
    fn ffn_outputs(&self, layer: usize, model: &dyn CausalLm) -> Tensor {
        ffn_output(model, layer, &self.keys(layer), self.standing())
    }

    /// The residuals leaving `layer` at the subject, `[n,D]`.
    fn residuals(&self, layer: usize) -> Tensor {
        self.states(
            |end| end.leaving(layer).shallow_clone(),
            |trace| trace.residual[layer + 1].shallow_clone(),
        )
    }

    fn standing(&self) -> &Edit {
        &self.essence.edit
    }

    /// The key of `layer`, its mean over all runs, `[F]`, f32.
    pub(super) fn key(&self, layer: usize) -> Tensor {
        mean(&self.keys(layer))
    }

    /// The FFN output of `layer` for the mean key, `[D]`, f32: the mean over all runs, as it is linear.
    pub(super) fn ffn_output(&self, layer: usize, model: &dyn CausalLm) -> Tensor {
        mean(&self.ffn_outputs(layer, model))
    }

    /// The value in `place` of `layer` at the subject of the sequence alone, `[D]`, f32.
    pub(super) fn original(&self, layer: usize, place: ValuePlace, model: &dyn CausalLm) -> Tensor {
        let values = match place {
            ValuePlace::Ffn => self.ffn_outputs(layer, model),
            ValuePlace::Residual => self.residuals(layer),
        };
        values.get(0).to_kind(Kind::Float)
    }

    /// Logits `[n,V]` at the error of each run where `change` `[D]` is added in `place` of `layer` at the subject.
    fn logits(
        &self,
        layer: usize,
        place: ValuePlace,
        change: &Tensor,
        model: &dyn CausalLm,
    ) -> Tensor {
        match &self.runs {
            Runs::Ends(ends) => {
                let left = self.residuals(layer);
                let exit = model.ffn_exit(layer);
                let leaving = match place {
                    ValuePlace::Residual => left + change,
                    ValuePlace::Ffn if exit.is_linear() => {
                        left + exit.apply(change.shallow_clone())
                    }
                    ValuePlace::Ffn => {
                        let output = self.ffn_outputs(layer, model);
                        left + exit.apply(&output + change) - exit.apply(output)
                    }
                };
                logits_leaving(model, ends, layer, &leaving)
            }
            Runs::Within(traces) => {
                let own = |(trace, &at): (&Trace, &i64)| {
                    logits_changed(model, trace, layer, added(layer, at, place, change))
                };
                Tensor::cat(&traces.iter().zip(&self.at).map(own).collect::<Vec<_>>(), 0)
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
        let change = added(layer, self.essence_at, place, change);
        let logits = logits_changed(model, &self.essence, layer, change);
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
            let logits = self.logits(layer, place, &own, model);
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

/// A change of `layer` by `change` `[D]` in `place` at position `at`.
fn added(
    layer: usize,
    at: i64,
    place: ValuePlace,
    change: &Tensor,
) -> impl FnMut(usize, &Tensor) -> Option<Added> + '_ {
    move |own, active| {
        let tokens = active.size()[1];
        // In the last layer nothing but the end counts, which comes after the position.
        if own != layer || tokens <= at {
            return None;
        }
        let one_hot = Tensor::zeros([1, tokens, 1], (change.kind(), change.device()));
        let _ = one_hot.select(1, at).fill_(1.0);
        Some(match place {
            ValuePlace::Ffn => Added::ToFfn(one_hot * change),
            ValuePlace::Residual => Added::ToResidual(one_hot * change),
        })
    }
}

/// Mean of the rows, f32.
fn mean(rows: &Tensor) -> Tensor {
    rows.to_kind(Kind::Float).mean_dim([0_i64].as_slice(), false, Kind::Float)
}

fn tensor(model: &dyn CausalLm, ids: &[u32]) -> Tensor {
    let ids: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
    Tensor::from_slice(&ids).to_device(model.spec().device)
}
