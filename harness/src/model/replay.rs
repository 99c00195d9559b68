//! Replays edits on a trace: an edited column changes the residual leaving its layer by exactly
//! activation times delta, so only the layers above it are run again. Edits are taken in the
//! order of their lowest layer; the batch grows on the way up and one pass serves them all.

use super::CausalLm;
use super::forward::{block, contribution};
use super::trace::Trace;
use crate::edit::Edit;
use tch::Tensor;

/// Logits `[C,V]` at the last position of `trace` under each of the C `edits`, each on top of the
/// trace's own edit and independent of the others. Row c belongs to `edits[c]`.
///
/// # Panics
/// If an edit is empty.
pub fn replay(model: &dyn CausalLm, trace: &Trace, edits: &[Edit]) -> Tensor {
    let starts: Vec<usize> =
        edits.iter().map(|edit| edit.first_layer().expect("an edit to replay")).collect();
    let mut order: Vec<usize> = (0..edits.len()).collect();
    order.sort_by_key(|&row| starts[row]);

    let layers = model.spec().layers;
    let mut joined = 0; // order[..joined] are rows of the batch
    let mut batch: Option<Tensor> = None;
    let lowest = order.first().map_or(layers, |&row| starts[row]);
    for layer in lowest..layers {
        let mut rows: Vec<Tensor> = Vec::new();
        if let Some(residual) = batch.take() {
            let run = block(model, layer, &residual, &trace.edit);
            for (row, &edit) in order[..joined].iter().enumerate() {
                for column in edits[edit].of_layer(layer) {
                    let mut own = run.output.get(row as i64);
                    own += contribution(&run.post_activation.get(row as i64), column);
                }
            }
            rows.push(run.output);
        }
        while let Some(&edit) = order.get(joined).filter(|&&edit| starts[edit] == layer) {
            rows.push(join(trace, layer, &edits[edit]));
            joined += 1;
        }
        batch = Some(if rows.len() == 1 { rows.remove(0) } else { Tensor::cat(&rows, 0) });
    }

    let states = batch.expect("at least one edit").select(1, -1);
    let logits = model.head(&model.final_norm(&states));
    let mut row_of = vec![0_i64; edits.len()];
    for (row, &edit) in order.iter().enumerate() {
        row_of[edit] = row as i64;
    }
    logits.index_select(0, &Tensor::from_slice(&row_of).to_device(logits.device()))
}

/// The residual `[1,T,D]` leaving `layer` under `edit`, from the trace alone.
fn join(trace: &Trace, layer: usize, edit: &Edit) -> Tensor {
    let mut residual = trace.residual[layer + 1].copy();
    for column in edit.of_layer(layer) {
        residual += contribution(&trace.post_activation[layer], column);
    }
    residual
}
