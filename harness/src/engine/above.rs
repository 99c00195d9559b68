//! The upper layers of a traced sequence run again with changes of FFN outputs, for gradients with respect to
//! them.

use super::block::{block, block_at, change_of_residual, feed_forward};
use super::prompt_end::PromptEnd;
use super::trace::Trace;
use crate::model::{CausalLm, KeysValues};
use tch::Tensor;

/// Change of a layer, `[..,D]`.
pub enum Added {
    /// Added to the FFN output.
    ToFfn(Tensor),
    /// Added to the residual stream that leaves the layer.
    ToResidual(Tensor),
}

/// Logits `[E,V]` at the ends of `trace` where `change` adds something in the layers from `first` on.
/// It is given a layer and the post-activations there, `[B,T,F]`, in the last layer `[B,Q,F]` at the ends.
pub fn logits_changed(
    model: &dyn CausalLm,
    trace: &Trace,
    first: usize,
    mut change: impl FnMut(usize, &Tensor) -> Option<Added>,
) -> Tensor {
    let last = model.spec().layers - 1;
    let mut changed = |layer: usize, active: &Tensor, output: Tensor| match change(layer, active) {
        None => output,
        Some(Added::ToFfn(added)) => {
            output + change_of_residual(model, layer, active, &trace.edit, added)
        }
        Some(Added::ToResidual(added)) => output + added,
    };
    let (mut active, mut left) =
        (trace.post_activation[first].detach(), trace.residual[first + 1].detach());
    if first == last {
        active = trace.at_ends_of(last + 1, &active);
        left = trace.at_ends_of(last + 1, &left);
    }
    let mut residual = changed(first, &active, left);
    for layer in first + 1..=last {
        let run = if layer == last {
            block_at(model, layer, &residual, &trace.ends, &trace.edit)
        } else {
            block(model, layer, &residual, trace.ends.tree(), &trace.edit)
        };
        residual = changed(layer, &run.post_activation, run.output);
    }
    model.head(&model.final_norm(&residual)).flatten(0, 1)
}

/// Logits `[n,V]` after the last tokens of n `prompts`, traced under one edit, where the residual leaving `layer`
/// is `leaving` `[n,D]` there. One token of each prompt is run.
pub fn logits_leaving(
    model: &dyn CausalLm,
    prompts: &[&PromptEnd],
    layer: usize,
    leaving: &Tensor,
) -> Tensor {
    let (mut residual, edit) = (leaving.shallow_clone(), prompts[0].edit());
    for above in layer + 1..model.spec().layers {
        let after: Vec<(i64, &KeysValues)> =
            prompts.iter().map(|prompt| (1, prompt.past(above))).collect();
        let input = model.attention_input(above, &residual);
        let attention = model.attention(above).after(&after, &input);
        residual = feed_forward(model, above, &residual, &input, &attention, edit).output;
    }
    model.head(&model.final_norm(&residual))
}
