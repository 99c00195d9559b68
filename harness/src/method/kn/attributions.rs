//! Integrated gradients of parallel prompts. With few steps several prompts share a pass; with many a
//! prompt has its own, and serves every error that meets it. Settings that differ only in what they
//! make of the scores share the scores.
//!
//! What a pass holds is decided by the error and the steps alone, not by what is known already, so
//! that a continued run finds the same scores to the last bit.

use super::super::{ParallelPrompt, Scene};
use crate::config::{KnConfig, Quadrature, Quantity};
use crate::device::Clock;
use crate::edit::Edit;
use crate::engine::integrated_gradients::{Point, integrated_gradients};
use crate::engine::prompt_end::PromptEnd;
use crate::engine::trace::Trace;
use crate::model::Sequences;
use std::collections::HashMap;
use tch::Tensor;

/// Rows (a step of a layer of a prompt each) from which on a pass runs at full speed.
const ROWS: usize = 512;

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

    fn points(self) -> Vec<Point> {
        let weight = 1.0 / self.steps as f64;
        let places = self.quadrature.places(self.steps).into_iter();
        places.map(|alpha| Point { alpha, weight }).collect()
    }
}

/// Attributions of one model.
#[derive(Default)]
pub(super) struct Attributions {
    /// Scores `[prompts,L,F]` of the prompts of a pass, and the seconds they took.
    known: HashMap<(Integral, Vec<ParallelPrompt>, u32), (Tensor, f64)>,
}

impl Attributions {
    /// Scores `[prompts,L,F]` of `target` after each of `prompts`, one at least; and the seconds that
    /// finding them known has saved. A quarter of the scene's memory holds what is kept.
    pub(super) fn of(
        &mut self,
        scene: &Scene<'_>,
        integral: Integral,
        prompts: &[ParallelPrompt],
        target: u32,
    ) -> (Tensor, f64) {
        let rows = scene.model.spec().layers * integral.steps;
        let (scores, saved): (Vec<Tensor>, Vec<f64>) = prompts
            .chunks(ROWS.div_ceil(rows))
            .map(|prompts| self.of_pass(scene, (integral, prompts.to_vec(), target)))
            .unzip();
        (Tensor::cat(&scores, 0), saved.into_iter().sum())
    }

    /// Those of one pass.
    fn of_pass(
        &mut self,
        scene: &Scene<'_>,
        key: (Integral, Vec<ParallelPrompt>, u32),
    ) -> (Tensor, f64) {
        if let Some((scores, seconds)) = self.known.get(&key) {
            return (scores.shallow_clone(), *seconds);
        }
        let clock = Clock::start(scene.model.spec().device);
        let (integral, prompts, target) = &key;
        let scores = compute(scene, *integral, prompts, *target);
        let bytes = |scores: &Tensor| scores.numel() * scores.kind().elt_size_in_bytes();
        let held: usize = self.known.values().map(|(scores, _)| bytes(scores)).sum();
        if held + bytes(&scores) > scene.memory / 4 {
            self.known.clear();
        }
        self.known.insert(key, (scores.shallow_clone(), clock.seconds()));
        (scores, 0.0)
    }
}

/// The attributions `[prompts,L,F]` of `target` after each of `prompts`. What is kept of as many
/// prompts as fit into a quarter of the scene's memory shares a pass.
fn compute(
    scene: &Scene<'_>,
    integral: Integral,
    prompts: &[ParallelPrompt],
    target: u32,
) -> Tensor {
    let model = scene.model;
    let (layers, points) = (0..model.spec().layers, integral.points());
    let pass = |ends: &[PromptEnd]| {
        integrated_gradients(
            model,
            ends,
            integral.quantity,
            layers.clone(),
            &points,
            scene.memory / 2,
        )
    };
    let mut scores = Vec::new();
    let mut ends: Vec<PromptEnd> = Vec::new();
    let mut held = 0;
    for prompt in prompts {
        let ids = Sequences::several(std::iter::once(prompt.as_slice()), model.spec().device);
        let trace = Trace::to_ends(model, &ids, Edit::none());
        let end = PromptEnd::new(model, &trace, target, 0);
        if held + end.bytes() > scene.memory / 4 && !ends.is_empty() {
            scores.push(pass(&std::mem::take(&mut ends)));
            held = 0;
        }
        held += end.bytes();
        ends.push(end);
    }
    scores.push(pass(&ends));
    Tensor::cat(&scores, 0)
}
