//! One method on one error: what both experiments do alike.

use crate::config::{Config, Execution, MethodKind};
use crate::edit::{Edit, Hint, Observation, Outcome, Phases};
use crate::engine::device::Clock;
use crate::engine::memory::halvings;
use crate::engine::trace::Trace;
use crate::method::ment::LocateCache;
use crate::method::{LlmError, Method, ParallelPrompts, Repair, RepairContext, observe};
use crate::model::{Loaded, Sequences};
use anyhow::Result;
use std::collections::HashSet;
use tch::Tensor;

/// Environment that methods work in.
pub(crate) struct Workbench<'a> {
    pub(crate) config: &'a Config,
    pub(crate) loaded: &'a Loaded,
    /// Bytes for the graphs of a trace, and as many again for a method.
    pub(crate) memory: usize,
}

/// A sequence as methods of one kind meet it.
pub(crate) struct Traced {
    trace: Trace,
    located: LocateCache,
    /// Seconds of tracing.
    pub(crate) seconds: f64,
}

/// A sequence under one edit, traced once a kind of method.
#[derive(Default)]
pub(crate) struct Traces {
    plain: Option<Traced>,
    /// For methods that back-propagate through it.
    differentiable: Option<Traced>,
}

/// Kinds of method that have run in this process. Anything that is made once per process is made in a
/// warm-up, so that no measured time includes it. (Attributions of parallel prompts are kept with the time
/// they took.)
#[derive(Default)]
pub(crate) struct Warm(HashSet<(MethodKind, bool)>);

impl Warm {
    /// Warms up, once per kind of method: `run` runs `method` and drops the result, and returns whether there
    /// was something to run it on.
    pub(crate) fn up(
        &mut self,
        method: &dyn Method,
        run: impl FnOnce() -> Result<bool>,
    ) -> Result<()> {
        let kind = (method.kind(), method.differentiates_the_datum());
        if !self.0.contains(&kind) && run()? {
            self.0.insert(kind);
        }
        Ok(())
    }
}

/// Attempt on an error.
pub(crate) struct Attempt {
    /// The prediction the method met.
    pub(crate) before: Observation,
    pub(crate) outcome: Outcome,
    /// Repair by the method, with the time of tracing.
    pub(crate) repair: Repair,
    /// Number of times a batch was cut in half meanwhile.
    pub(crate) halvings: u32,
}

impl<'a> Workbench<'a> {
    /// For one sequence at a time: a third of the memory for its trace, as much for a method, and the rest
    /// for anything that is run beside them.
    pub(crate) fn alone(config: &'a Config, loaded: &'a Loaded) -> Self {
        Self { config, loaded, memory: config.execution.memory() / 3 }
    }

    /// The sequence `ids`, run under `edit`, as `method` needs it: traced now, unless it is among
    /// `traces`, which are of the same sequence and edit.
    pub(crate) fn trace<'t>(
        &self,
        method: &dyn Method,
        ids: &Tensor,
        edit: &Edit,
        traces: &'t mut Traces,
    ) -> &'t Traced {
        let (model, sequences) = (self.loaded.model.as_ref(), Sequences::one(ids));
        let traced = |trace: &dyn Fn() -> Trace| {
            let clock = Clock::start(model.spec().device);
            Traced { trace: trace(), located: LocateCache::default(), seconds: clock.seconds() }
        };
        if method.differentiates_the_datum() {
            let trace = || Trace::with_graphs(model, &sequences, edit.clone(), self.memory);
            traces.differentiable.get_or_insert_with(|| traced(&trace))
        } else {
            let trace = || Trace::new(model, &sequences, edit.clone());
            traces.plain.get_or_insert_with(|| traced(&trace))
        }
    }

    /// The datum as a method sees it.
    pub(crate) fn context<'s>(
        &'s self,
        ids: &'s Tensor,
        traced: &'s Traced,
        parallel: &'s dyn ParallelPrompts,
        hint: Option<&'s Hint>,
    ) -> RepairContext<'s> {
        let Execution { engine, seed, .. } = self.config.execution;
        let (model, memory) = (self.loaded.model.as_ref(), self.memory);
        let Traced { trace, located, .. } = traced;
        let subject = None;
        RepairContext { model, ids, trace, located, engine, memory, parallel, subject, hint, seed }
    }
}

/// Attempts with `method` to put `target` on top at position `at`, unless it is there already. `clock`
/// started with the trace, where its time counts for the method.
pub(crate) fn attempt(
    method: &dyn Method,
    context: &RepairContext<'_>,
    (at, target): (usize, u32),
    clock: Clock,
) -> Result<Attempt> {
    let halved = halvings();
    let before = observe(&context.trace.logits_at(context.model, at).unsqueeze(0), target)?[0];
    let tracing = clock.seconds();
    let (outcome, mut repair) = if before.target_rank == 1 {
        (Outcome::AlreadySolved, untouched(before))
    } else {
        let repair = method.repair(context, &LlmError { at, target, argmax: before.argmax })?;
        (if repair.solved { Outcome::Solved } else { Outcome::Skipped }, repair)
    };
    repair.seconds.trace = tracing;
    Ok(Attempt { before, outcome, repair, halvings: halvings() - halved })
}

/// Repair of a token that needs none.
fn untouched(now: Observation) -> Repair {
    let seconds = Phases::default();
    let (located, neurons, parallel) = (Vec::new(), Vec::new(), None);
    Repair { edit: Edit::none(), solved: true, located, neurons, parallel, after: now, seconds }
}
