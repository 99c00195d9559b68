//! Predictions that should stay: after prompts that a request names, and on a text.

use super::sequence;
use crate::edit::Edit;
use crate::engine::above::logits_changed_at_ends;
use crate::engine::prompt_end::PromptEnd;
use crate::engine::trace::Trace;
use crate::method::Request;
use crate::method::keys::KeyStatistics;
use crate::model::CausalLm;
use crate::system::{progress, signal};
use anyhow::Result;
use std::ops::Range;
use tch::{Kind, Tensor};

/// Tokens of a sequence of the text.
const SEQUENCE: usize = 64;
/// Positions of it whose predictions are held, from the end on.
const HELD: [usize; 3] = [64, 43, 22];

/// A text, run through the unedited model.
pub(in crate::method) struct Kept {
    sequences: Vec<Vec<u32>>,
    /// First layer that is kept.
    first: usize,
    /// Mean square of each neuron, by layer from the first on, `[F]`, f32.
    energy: Vec<Tensor>,
    /// Log-probabilities at the held positions, `[n,V]`, f32.
    unedited: Tensor,
}

/// Ends of prompts, and what the unedited model predicts there.
pub(super) struct Held {
    pub(super) ends: Vec<PromptEnd>,
    /// Log-probabilities `[n,V]`, f32.
    pub(super) unedited: Tensor,
}

impl Kept {
    /// Runs the sequences of `text`; measures the neurons of `layers`.
    pub(super) fn new(
        model: &dyn CausalLm,
        text: &KeyStatistics,
        layers: Range<usize>,
    ) -> Result<Self> {
        let sequences: Vec<Vec<u32>> = text.sequences(SEQUENCE).map(<[u32]>::to_vec).collect();
        let (spec, first) = (model.spec(), layers.start);
        let zeros = |_| Tensor::zeros([spec.d_ff as i64], (Kind::Float, spec.device));
        let mut energy: Vec<Tensor> = layers.clone().map(zeros).collect();
        let mut unedited = Vec::new();
        let bar = progress::bar("neurons on the text", sequences.len());
        for ids in &sequences {
            signal::check()?;
            let trace = Trace::new(model, &sequence(model, ids), Edit::none());
            for (layer, energy) in layers.clone().zip(&mut energy) {
                let square = trace.post_activation[layer].to_kind(Kind::Float).square();
                *energy += square.sum_dim_intlist([0_i64, 1].as_slice(), false, Kind::Float);
            }
            let at = |at: usize| trace.logits_at(model, at - 1);
            unedited.extend(held(ids).map(at));
            bar.inc(1);
        }
        bar.finish_and_clear();
        let tokens: usize = sequences.iter().map(Vec::len).sum();
        let energy = energy.into_iter().map(|sum| sum / tokens as f64).collect();
        let unedited = Tensor::stack(&unedited, 0).log_softmax(-1, Kind::Float);
        Ok(Self { sequences, first, energy, unedited })
    }

    /// Mean square of the neurons of `layer`, `[F]`.
    pub(super) fn energy(&self, layer: usize) -> &Tensor {
        &self.energy[layer - self.first]
    }

    /// The held positions of the text under `standing`.
    pub(super) fn under(&self, model: &dyn CausalLm, standing: &Edit) -> Result<Held> {
        let mut ends = Vec::new();
        for ids in &self.sequences {
            signal::check()?;
            let trace = Trace::new(model, &sequence(model, ids), standing.clone());
            let end = |at: usize| PromptEnd::new(model, &trace.prefix(at), 0, self.first);
            ends.extend(held(ids).map(end));
        }
        Ok(Held { ends, unedited: self.unedited.shallow_clone() })
    }
}

/// Numbers of tokens of `ids` after which predictions are held.
fn held(ids: &[u32]) -> impl Iterator<Item = usize> {
    let tokens = ids.len();
    HELD.into_iter().filter(move |&at| at <= tokens)
}

/// The prompts that `requests` want to be kept, under `standing`.
pub(super) fn near(
    (model, standing): (&dyn CausalLm, &Edit),
    requests: &[Request],
    first: usize,
) -> Result<Held> {
    let spec = model.spec();
    let (mut ends, mut unedited) = (Vec::new(), Vec::new());
    for prompt in requests.iter().flat_map(|request| &request.keep) {
        signal::check()?;
        let traced = |edit: Edit| Trace::to_ends(model, &sequence(model, prompt), edit);
        let trace = traced(standing.clone());
        ends.push(PromptEnd::new(model, &trace, 0, first));
        let base = if standing.is_none() { trace } else { traced(Edit::none()) };
        unedited.push(base.logits(model));
    }
    let unedited = if unedited.is_empty() {
        Tensor::zeros([0, spec.vocabulary as i64], (Kind::Float, spec.device))
    } else {
        Tensor::cat(&unedited, 0).log_softmax(-1, Kind::Float)
    };
    Ok(Held { ends, unedited })
}

impl Held {
    /// Mean divergence, at the ends in `rows`, of the predictions from the unedited ones, under `change`.
    pub(super) fn divergence(
        &self,
        model: &dyn CausalLm,
        rows: Range<usize>,
        first: usize,
        change: impl FnMut(usize, &Tensor) -> Option<Tensor>,
    ) -> Tensor {
        let ends: Vec<&PromptEnd> = self.ends[rows.clone()].iter().collect();
        let now = logits_changed_at_ends(model, &ends, first, change).log_softmax(-1, Kind::Float);
        let before = self.unedited.narrow(0, rows.start as i64, rows.len() as i64);
        let divergence = before.exp() * (&before - now);
        divergence.sum(Kind::Float) / self.ends.len() as f64
    }
}
