//! Integrated gradients of parallel prompts, each computed once: an attribution depends on the
//! prompt and its target alone, and a frequent token meets the same prompts again and again.
//!
//! Each prompt is a pass of its own, so that its scores do not depend, not even in the last bit, on
//! which prompts were known before: a continued run finds the same neurons.

use super::super::{ParallelPrompt, Scene};
use crate::config::{KnConfig, Quadrature, Quantity};
use crate::device::Clock;
use crate::edit::Edit;
use crate::engine::integrated_gradients::{Point, integrated_gradients};
use crate::engine::trace::Trace;
use crate::model::Sequences;
use std::collections::HashMap;
use tch::Tensor;

/// What is integrated, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Integral {
    steps: usize,
    quadrature: Quadrature,
    quantity: Quantity,
}

impl Integral {
    pub(super) fn of(config: &KnConfig) -> Self {
        let KnConfig { steps, quadrature, quantity, .. } = *config;
        Self { steps: steps.0, quadrature, quantity }
    }
}

/// Attributions of one model.
#[derive(Default)]
pub(super) struct Attributions {
    /// Scores `[L,F]`, and the seconds they took.
    known: HashMap<(Integral, ParallelPrompt, u32), (Tensor, f64)>,
}

impl Attributions {
    /// Scores `[prompts, L, F]` of `target` after each of `prompts`, one at least, and what those
    /// known before took when they were computed, seconds. Half of the scene's memory holds what is
    /// kept.
    pub(super) fn of(
        &mut self,
        scene: &Scene<'_>,
        integral: Integral,
        prompts: &[ParallelPrompt],
        target: u32,
    ) -> (Tensor, f64) {
        let mut saved = 0.0;
        let scores: Vec<Tensor> = prompts
            .iter()
            .map(|prompt| {
                let key = (integral, prompt.clone(), target);
                if let Some((scores, seconds)) = self.known.get(&key) {
                    saved += seconds;
                    return scores.shallow_clone();
                }
                let clock = Clock::start(scene.model.spec().device);
                let scores = compute(scene, integral, prompt, target);
                let bytes = scores.numel() * scores.kind().elt_size_in_bytes();
                if (self.known.len() + 1) * bytes > scene.memory / 2 {
                    self.known.clear();
                }
                self.known.insert(key, (scores.shallow_clone(), clock.seconds()));
                scores
            })
            .collect();
        (Tensor::stack(&scores, 0), saved)
    }
}

/// The attribution `[L,F]` of `target` after `prompt`.
fn compute(scene: &Scene<'_>, integral: Integral, prompt: &[u32], target: u32) -> Tensor {
    let (model, Integral { steps, quadrature, quantity }) = (scene.model, integral);
    let ids = Sequences::several(std::iter::once(prompt), model.spec().device);
    let trace = Trace::to_ends(model, &ids, Edit::none());
    let weight = 1.0 / steps as f64;
    let points: Vec<Point> =
        quadrature.places(steps).into_iter().map(|alpha| Point { alpha, weight }).collect();
    let layers = 0..model.spec().layers;
    let prompts = [(&trace, target)];
    integrated_gradients(model, &prompts, quantity, layers, &points, scene.memory / 2).get(0)
}
