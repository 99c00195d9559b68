//! One method on one error: what both experiments do alike.

use crate::config::{Config, Execution};
use crate::device::Clock;
use crate::edit::Edit;
use crate::engine::memory::halvings;
use crate::engine::trace::Trace;
use crate::method::ment::Located;
use crate::method::{LlmError, Method, ParallelPrompts, Repair, Scene, observe};
use crate::model::{Loaded, Sequences};
use crate::record::{Observation, Outcome, Phases};
use anyhow::Result;
use tch::Tensor;

/// What methods work with.
pub(super) struct Workbench<'a> {
    pub(super) config: &'a Config,
    pub(super) loaded: &'a Loaded,
    /// Bytes for a trace, and as many again for a method.
    pub(super) memory: usize,
}

/// A sequence as methods of one kind meet it.
pub(super) struct Traced {
    trace: Trace,
    located: Located,
    /// Whether it was traced for methods that back-propagate through it.
    pub(super) differentiable: bool,
    /// What tracing it took.
    pub(super) seconds: f64,
}

/// How an error ended.
pub(super) struct Attempt {
    /// The prediction the method met.
    pub(super) before: Observation,
    pub(super) outcome: Outcome,
    /// What it did, tracing counted.
    pub(super) repair: Repair,
    /// How often a batch was cut in half meanwhile.
    pub(super) halvings: u32,
}

impl Workbench<'_> {
    /// The sequence `ids`, run under `edit` for `method` and others of its kind.
    pub(super) fn trace(&self, method: &dyn Method, ids: &Tensor, edit: Edit) -> Traced {
        let (model, sequences) = (self.loaded.model.as_ref(), Sequences::one(ids));
        let clock = Clock::start(model.spec().device);
        let differentiable = method.differentiates_the_datum();
        let trace = if differentiable {
            Trace::with_graphs(model, &sequences, edit, self.memory)
        } else {
            Trace::new(model, &sequences, edit)
        };
        Traced { trace, located: Located::default(), differentiable, seconds: clock.seconds() }
    }

    /// The datum as a method sees it.
    pub(super) fn scene<'s>(
        &'s self,
        ids: &'s Tensor,
        traced: &'s Traced,
        parallel: &'s dyn ParallelPrompts,
    ) -> Scene<'s> {
        let Execution { engine, seed, .. } = self.config.execution;
        let (model, memory) = (self.loaded.model.as_ref(), self.memory);
        let Traced { trace, located, .. } = traced;
        Scene { model, ids, trace, located, engine, memory, parallel, seed }
    }
}

/// Has `method` put `target` on top at position `at`, unless it is there already. `clock` counts from
/// before the sequence was traced for it.
pub(super) fn attempt(
    method: &dyn Method,
    scene: &Scene<'_>,
    (at, target): (usize, u32),
    clock: Clock,
) -> Result<Attempt> {
    let halved = halvings();
    let before = observe(&scene.trace.logits_at(scene.model, at).unsqueeze(0), target)?[0];
    let tracing = clock.seconds();
    let (outcome, mut repair) = if before.target_rank == 1 {
        (Outcome::AlreadySolved, untouched(before))
    } else {
        let repair = method.repair(scene, &LlmError { at, target, argmax: before.argmax })?;
        (if repair.solved { Outcome::Solved } else { Outcome::Skipped }, repair)
    };
    repair.seconds.trace = tracing;
    Ok(Attempt { before, outcome, repair, halvings: halvings() - halved })
}

/// There is nothing to repair.
fn untouched(now: Observation) -> Repair {
    let seconds = Phases::default();
    let (located, neurons, parallel) = (Vec::new(), Vec::new(), None);
    Repair { edit: Edit::none(), solved: true, located, neurons, parallel, after: now, seconds }
}
