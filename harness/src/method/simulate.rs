//! Candidate edits tried on an error, and kept one by one.

use super::{LlmError, RepairContext};
use crate::config::Engine;
use crate::edit::Edit;
use crate::engine::{forward, replay::Replay};
use tch::Tensor;

/// Candidates on top of what was committed so far, by either engine.
pub(super) enum Simulation<'s> {
    /// See [`Engine::Replay`].
    Replay(Replay<'s>),
    /// See [`Engine::Reference`].
    Reference {
        context: &'s RepairContext<'s>,
        /// The sequence up to the error, `[T]`.
        ids: Tensor,
        candidates: Vec<Edit>,
        /// The context's edit and what was committed.
        standing: Edit,
    },
}

impl<'s> Simulation<'s> {
    pub(super) fn new(
        context: &'s RepairContext<'s>,
        error: &LlmError,
        candidates: Vec<Edit>,
    ) -> Self {
        match context.engine {
            Engine::Replay => {
                let prefix = context.trace.prefix(error.at + 1);
                Self::Replay(Replay::new(context.model, prefix, candidates, context.memory / 2))
            }
            Engine::Reference => Self::Reference {
                context,
                ids: context.ids.narrow(0, 0, error.at as i64 + 1),
                candidates,
                standing: context.trace.edit.clone(),
            },
        }
    }

    /// Logits `[C,V]` at the error under each candidate.
    pub(super) fn logits(&mut self) -> Tensor {
        match self {
            Self::Replay(replay) => replay.logits().squeeze_dim(1),
            Self::Reference { context, ids, candidates, standing } => {
                let rows: Vec<Tensor> = candidates
                    .iter()
                    .map(|candidate| {
                        let whole = standing.and(candidate);
                        forward::logits_with_weights_edited(context.model, ids, &whole)
                    })
                    .collect();
                Tensor::stack(&rows, 0)
            }
        }
    }

    /// Puts `edit` in the place of `candidate`; both edit the same neurons.
    pub(super) fn replace(&mut self, candidate: usize, edit: Edit) {
        match self {
            Self::Replay(replay) => replay.replace(candidate, edit),
            Self::Reference { candidates, .. } => candidates[candidate] = edit,
        }
    }

    /// Takes `candidate` out; those after it move up by one.
    pub(super) fn remove(&mut self, candidate: usize) {
        match self {
            Self::Replay(replay) => replay.remove(candidate),
            Self::Reference { candidates, .. } => {
                candidates.remove(candidate);
            }
        }
    }

    /// Keeps `candidate`.
    pub(super) fn commit(&mut self, candidate: usize) {
        match self {
            Self::Replay(replay) => replay.commit(candidate),
            Self::Reference { candidates, standing, .. } => {
                *standing = standing.and(&candidates[candidate]);
            }
        }
    }
}
