//! Candidate edits tried without being kept.

use super::Scene;
use crate::config::Engine;
use crate::edit::Edit;
use crate::model::{forward, replay::replay, trace::Trace};
use tch::Tensor;

/// Logits `[C,V]` at the last position of `trace` (a prefix of the scene's sequence) under each
/// of `edits`, each on top of the trace's own edit.
pub(super) fn simulate(scene: &Scene<'_>, trace: &Trace, edits: &[Edit]) -> Tensor {
    match scene.engine {
        Engine::Replay => replay(scene.model, trace, edits),
        Engine::Reference => {
            let tokens = trace.residual[0].size()[1];
            let ids = scene.ids.narrow(0, 0, tokens);
            let rows: Vec<Tensor> = edits
                .iter()
                .map(|edit| {
                    let mut whole = trace.edit.clone();
                    whole.0.extend(edit.0.iter().cloned());
                    forward::logits_with_weights_edited(scene.model, &ids, &whole)
                })
                .collect();
            Tensor::stack(&rows, 0)
        }
    }
}
