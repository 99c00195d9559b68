//! Integrated gradients of parallel prompts, each computed once: an attribution depends on the
//! prompt and its target alone, and a frequent token meets the same prompts again and again.

use super::super::{ParallelPrompt, Scene};
use crate::config::{KnConfig, Quadrature, Quantity};
use crate::device::Clock;
use crate::edit::Edit;
use crate::engine::integrated_gradients::{Point, integrated_gradients};
use crate::engine::trace::Trace;
use crate::model::Sequences;
use std::collections::HashMap;
use tch::Tensor;

/// Scores `[L,F]` and the seconds they took, by prompt and target.
type Known = HashMap<(ParallelPrompt, u32), (Tensor, f64)>;

/// What is integrated, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
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

/// Those of one integral and model.
pub(super) struct Attributions {
    pub(super) integral: Integral,
    known: Known,
}

impl Attributions {
    pub(super) fn new(integral: Integral) -> Self {
        Self { integral, known: Known::new() }
    }

    /// Scores `[prompts, L, F]` of `target` after each of `prompts`, and what those known before
    /// took when they were computed, seconds. Half of the scene's memory holds what is kept.
    pub(super) fn of(
        &mut self,
        scene: &Scene<'_>,
        prompts: &[ParallelPrompt],
        target: u32,
    ) -> (Tensor, f64) {
        let key = |prompt: &ParallelPrompt| (prompt.clone(), target);
        let known: Vec<_> = prompts.iter().map(|prompt| self.known.get(&key(prompt))).collect();
        let saved = known.iter().flatten().map(|(_, seconds)| seconds).sum();
        let new: Vec<&ParallelPrompt> = prompts
            .iter()
            .zip(&known)
            .filter(|(_, known)| known.is_none())
            .map(|(prompt, _)| prompt)
            .collect();
        if !new.is_empty() {
            let clock = Clock::start(scene.model.spec().device);
            let scores = compute(scene, &new, target, self.integral);
            let each = clock.seconds() / new.len() as f64;
            let bytes = scores.get(0).numel() * scores.kind().elt_size_in_bytes();
            let room = scene.memory / 2 / bytes;
            if self.known.len() + new.len() > room.max(prompts.len()) {
                // The prompts at hand are needed in a moment; of the others, none is better.
                self.known.retain(|(prompt, of), _| *of == target && prompts.contains(prompt));
            }
            let found = new.iter().enumerate();
            self.known.extend(
                found.map(|(row, prompt)| (key(prompt), (scores.get(row as i64).copy(), each))),
            );
        }
        let rows: Vec<&Tensor> = prompts.iter().map(|prompt| &self.known[&key(prompt)].0).collect();
        (Tensor::stack(&rows, 0), saved)
    }
}

/// Attributions of prompts that are not known yet, `[prompts, L, F]`; all in one pass.
fn compute(
    scene: &Scene<'_>,
    prompts: &[&ParallelPrompt],
    target: u32,
    Integral { steps, quadrature, quantity }: Integral,
) -> Tensor {
    let model = scene.model;
    let device = model.spec().device;
    let traces: Vec<Trace> = prompts
        .iter()
        .map(|prompt| {
            let ids = std::iter::once(prompt.as_slice());
            Trace::to_ends(model, &Sequences::several(ids, device), Edit::none())
        })
        .collect();
    let prompts: Vec<(&Trace, u32)> = traces.iter().map(|trace| (trace, target)).collect();
    let places = quadrature.places(steps);
    let weight = 1.0 / places.len() as f64;
    let points: Vec<Point> = places.into_iter().map(|alpha| Point { alpha, weight }).collect();
    let layers = 0..model.spec().layers;
    integrated_gradients(model, &prompts, quantity, layers, &points, scene.memory / 2)
}
