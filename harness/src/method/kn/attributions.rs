//! Integrated gradients of parallel prompts. With few steps several prompts share a pass; with many a
//! prompt has its own, and serves every error that meets it. Settings that differ only in what they
//! make of the scores share the scores; those that differ in the steps share the prompts' ends.
//!
//! What a pass holds is decided by the error, the steps and the layers, not by what is known already,
//! so that a continued run finds the same scores to the last bit.

use super::super::{ParallelPrompt, RepairContext};
use super::kept::SizedCache;
use crate::config::{KnConfig, Quadrature, Quantity};
use crate::edit::Edit;
use crate::engine::integrated_gradients::{PathPoint, integrated_gradients};
use crate::engine::prompt_end::PromptEnd;
use crate::engine::trace::Trace;
use crate::model::Sequences;
use std::rc::Rc;
use tch::Tensor;

/// Rows (a step of a layer of a prompt each) that a pass of several prompts is filled up to; a prompt
/// that has as many has a pass of its own.
const ROWS: usize = 512;

/// Quantity and points of an integral.
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

    fn points(self) -> Vec<PathPoint> {
        let weight = 1.0 / self.steps as f64;
        let places = self.quadrature.places(self.steps).into_iter();
        places.map(|alpha| PathPoint { alpha, weight }).collect()
    }
}

/// Attributions of one model, and what they are made from.
#[derive(Default)]
pub(super) struct Attributions {
    /// Scores `[prompts,L,F]` of the prompts of a pass.
    scores: SizedCache<(Integral, Vec<ParallelPrompt>, u32), Tensor>,
    /// Settings with other steps start from the same ends.
    ends: SizedCache<(ParallelPrompt, u32), PromptEnd>,
}

impl Attributions {
    /// Scores `[prompts,L,F]` of `target` after each of `prompts`, one at least; and the seconds that
    /// what was known has saved. A quarter of the context's memory holds what is kept.
    pub(super) fn of(
        &mut self,
        context: &RepairContext<'_>,
        integral: Integral,
        prompts: &[ParallelPrompt],
        target: u32,
    ) -> (Tensor, f64) {
        let rows = context.model.spec().layers * integral.steps;
        let room = (context.model.spec().device, context.memory / 8);
        let size = |scores: &Tensor| scores.numel() * scores.kind().elt_size_in_bytes();
        let (scores, saved): (Vec<Rc<Tensor>>, Vec<f64>) = prompts
            .chunks(ROWS.div_ceil(rows))
            .map(|prompts| {
                let key = (integral, prompts.to_vec(), target);
                let compute = || compute(context, integral, prompts, target, &mut self.ends);
                self.scores.or_compute(key, room, size, compute)
            })
            .unzip();
        (Tensor::cat(&scores, 0), saved.into_iter().sum())
    }
}

/// The attributions `[prompts,L,F]` of `target` after each of `prompts`, and the seconds that known
/// ends have saved. What is kept of as many prompts as fit into a quarter of the context's memory
/// shares a pass.
fn compute(
    context: &RepairContext<'_>,
    integral: Integral,
    prompts: &[ParallelPrompt],
    target: u32,
    known: &mut SizedCache<(ParallelPrompt, u32), PromptEnd>,
) -> (Tensor, f64) {
    let model = context.model;
    let device = model.spec().device;
    let (layers, points) = (0..model.spec().layers, integral.points());
    let pass = |ends: &[Rc<PromptEnd>]| {
        integrated_gradients(
            model,
            ends,
            integral.quantity,
            layers.clone(),
            &points,
            context.memory / 2,
        )
    };
    let (mut scores, mut saved) = (Vec::new(), 0.0);
    let mut ends: Vec<Rc<PromptEnd>> = Vec::new();
    let mut held = 0;
    for prompt in prompts {
        let end = || {
            let ids = Sequences::several(std::iter::once(prompt.as_slice()), device);
            let trace = Trace::to_ends(model, &ids, Edit::none());
            (PromptEnd::new(model, &trace, target, 0), 0.0)
        };
        let (key, room) = ((prompt.clone(), target), (device, context.memory / 8));
        let (end, known) = known.or_compute(key, room, PromptEnd::bytes, end);
        saved += known;
        if held + end.bytes() > context.memory / 4 && !ends.is_empty() {
            scores.push(pass(&std::mem::take(&mut ends)));
            held = 0;
        }
        held += end.bytes();
        ends.push(end);
    }
    scores.push(pass(&ends));
    (Tensor::cat(&scores, 0), saved)
}

#[cfg(test)]
mod tests {
    use super::{Attributions, Integral, SizedCache, compute};
    use crate::config::{Engine, Quadrature, Quantity};
    use crate::edit::Edit;
    use crate::engine::trace::Trace;
    use crate::method::ment::LocateCache;
    use crate::method::{NoParallelPrompts, RepairContext};
    use crate::model::{self, Sequences};
    use std::path::Path;
    use tch::Tensor;

    /// With 200 steps of 3 layers each prompt has its own pass: the scores are those of one pass of all,
    /// and is the same whatever was attributed before or removed from the cache.
    #[test]
    fn a_prompt_with_many_steps_has_its_own_pass() {
        tch::set_num_threads(1);
        let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/goldens/tiny");
        let loaded = model::load(&tiny, model::Options::default()).unwrap();
        let model = loaded.model.as_ref();
        let ids = Tensor::from_slice(&[5_i64, 6]);
        let trace = Trace::new(model, &Sequences::one(&ids), Edit::none());
        let located = LocateCache::default();
        let context = |memory: usize| RepairContext {
            model,
            ids: &ids,
            trace: &trace,
            located: &located,
            engine: Engine::Replay,
            memory,
            parallel: &NoParallelPrompts,
            hint: None,
            subject: None,
            seed: 0,
        };
        let (quadrature, quantity) = (Quadrature::Left, Quantity::Probability);
        let integral = Integral { steps: 200, quadrature, quantity };
        let prompts = [vec![7, 8, 9], vec![11, 12], vec![40, 41, 42, 43]];
        let (roomy, cramped) = (context(1 << 30), context(1 << 12));

        let (fresh, saved) = Attributions::default().of(&roomy, integral, &prompts, 3);
        assert_eq!((fresh.size()[0], saved), (3, 0.0));
        let (together, _) = compute(&roomy, integral, &prompts, 3, &mut SizedCache::default());
        let largest = f64::try_from(together.abs().max()).unwrap();
        let difference = f64::try_from((&fresh - &together).abs().max()).unwrap();
        assert!(difference < 1e-5 * largest, "{difference} of {largest}");

        let mut attributions = Attributions::default();
        let _ = attributions.of(&roomy, integral, &prompts[1..2], 3);
        let (known, saved) = attributions.of(&roomy, integral, &prompts, 3);
        assert!(known.equal(&fresh) && saved > 0.0);
        let (all, saved) = attributions.of(&roomy, integral, &prompts[1..], 3);
        assert!(all.equal(&fresh.narrow(0, 1, 2)) && saved > 0.0);

        let mut forgetful = Attributions::default();
        let (once, _) = forgetful.of(&cramped, integral, &prompts, 3);
        let (again, _) = forgetful.of(&cramped, integral, &prompts, 3);
        assert!(again.equal(&once));
        assert_eq!(forgetful.scores.len(), 1, "a small memory holds one pass");

        // The ends of one setting's prompts serve the other.
        let few = Integral { steps: 2, quadrature, quantity };
        let mut both = Attributions::default();
        let (_, saved) = both.of(&roomy, few, &prompts, 3);
        assert_eq!(saved, 0.0);
        let (after_few, saved) = both.of(&roomy, integral, &prompts, 3);
        assert!(after_few.equal(&fresh) && saved > 0.0);
    }
}
