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
        scene: &'s RepairContext<'s>,
        /// The sequence up to the error, `[T]`.
        ids: Tensor,
        candidates: Vec<Edit>,
        /// The scene's edit and what was committed.
        standing: Edit,
    },
}

impl<'s> Simulation<'s> {
    pub(super) fn new(
        scene: &'s RepairContext<'s>,
        error: &LlmError,
        candidates: Vec<Edit>,
    ) -> Self {
        match scene.engine {
            Engine::Replay => {
                let prefix = scene.trace.prefix(error.at + 1);
                Self::Replay(Replay::new(scene.model, prefix, candidates, scene.memory / 2))
            }
            Engine::Reference => Self::Reference {
                scene,
                ids: scene.ids.narrow(0, 0, error.at as i64 + 1),
                candidates,
                standing: scene.trace.edit.clone(),
            },
        }
    }

    /// Logits `[C,V]` at the error under each candidate.
    pub(super) fn logits(&mut self) -> Tensor {
        match self {
            Self::Replay(replay) => replay.logits().squeeze_dim(1),
            Self::Reference { scene, ids, candidates, standing } => {
                let rows: Vec<Tensor> = candidates
                    .iter()
                    .map(|candidate| {
                        let whole = standing.and(candidate);
                        forward::logits_with_weights_edited(scene.model, ids, &whole)
                    })
                    .collect();
                Tensor::stack(&rows, 0)
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
