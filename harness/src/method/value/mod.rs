//! The value that an FFN output matrix should return for a key: the original one and a change, optimised until the
//! model predicts the target (Meng et al. 2022, section 3.1, step 2).

mod optimise;

pub(super) use self::optimise::optimised;

use super::WantedToken;
use super::keys::KeyStatistics;
use crate::config::ValueConfig;
use crate::edit::Edit;
use crate::engine::block::ffn_output;
use crate::engine::prompt_end::PromptEnd;
use crate::engine::trace::Trace;
use crate::error::InputError;
use crate::model::{CausalLm, Sequences};
use anyhow::Result;
use tch::{Kind, Tensor};

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
    /// The subject of `wanted`, traced under `standing`. Layers from `first` up to `last`, which may be edited, are
    /// kept.
    ///
    /// # Errors
    /// If the subject is not the last token and the last layer of the model is to be edited, which no later token
    /// would see.
    pub(super) fn new(
        (model, standing): (&dyn CausalLm, &Edit),
        wanted: &WantedToken,
        (statistics, surrounding): (&KeyStatistics, &Surrounding),
        (config, first, last): (&ValueConfig, usize, usize),
    ) -> Result<Self> {
        let WantedToken { ids, target, subject } = wanted;
        let end = ids.len() - 1;
        let subject = subject.filter(|&at| at < end);
        if subject.is_some() && last + 1 == model.spec().layers {
            return Err(InputError::new(format!(
                "layer {last} is the last one: no token after the subject would see an edit there. Choose a lower \
                 layer, or leave the subject out"
            )));
        }
        let place = subject.unwrap_or(end);
        let (start, rest) = ids.split_at(surrounding.prefix.min(ids.len()));
        let traced = |ids: &[u32]| {
            Trace::to_ends(model, &Sequences::one(&tensor(model, ids)), standing.clone())
        };
        let (mut traces, mut at) = (vec![traced(ids)], vec![place as i64]);
        for beginning in statistics.beginnings(config.prefixes) {
            if ids.len() + beginning.len() <= model.spec().context {
                let whole = [start, beginning, rest].concat();
                traces.push(traced(&whole));
                at.push((place + beginning.len()) as i64);
            }
        }
        let entering = traces.iter().map(|trace| trace.residual[first].detach()).collect();
        let runs = match subject {
            Some(_) => Runs::Within(traces),
            None => {
                let end = |trace: &Trace| PromptEnd::new(model, trace, *target, first);
                Runs::Ends(traces.iter().map(end).collect())
            }
        };
        let essence = [start, &ids[place..=place], &surrounding.essence].concat();
        let essence =
            Trace::new(model, &Sequences::one(&tensor(model, &essence)), standing.clone());
        let essence_at = start.len() as i64;
        Ok(Self { runs, entering, at, essence, essence_at, target: *target })
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
}

/// Mean of the rows, f32.
fn mean(rows: &Tensor) -> Tensor {
    rows.to_kind(Kind::Float).mean_dim([0_i64].as_slice(), false, Kind::Float)
}

fn tensor(model: &dyn CausalLm, ids: &[u32]) -> Tensor {
    let ids: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
    Tensor::from_slice(&ids).to_device(model.spec().device)
}
