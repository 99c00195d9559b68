//! Post-activations of neurons that respond to something else than the weights of the model say.

use crate::edit::Edit;
use crate::model::CausalLm;
use tch::{Kind, Tensor};

/// Post-activations `[..,F]` of `layer` from the FFN input `[..,D]`, where `edit` changes what some neurons read.
pub(super) fn post_activation(
    model: &dyn CausalLm,
    layer: usize,
    input: &Tensor,
    edit: &Edit,
) -> Tensor {
    let all = model.post_activation(layer, input);
    let Some((neurons, rows, bias)) = changed_rows(model, layer, edit) else { return all };
    let projections = input.linear(&rows, bias.as_ref());
    all.index_copy(-1, &neurons, &model.activate(layer, projections))
}

/// Neurons `[n]` of `layer` whose input weights `edit` changes, the rows that they have then `[P·n,D]`, those of one
/// projection after those of the other, and the biases `[P·n]`; `None` if there are no such neurons.
fn changed_rows(
    model: &dyn CausalLm,
    layer: usize,
    edit: &Edit,
) -> Option<(Tensor, Tensor, Option<Tensor>)> {
    if !edit.changes_inputs(layer) {
        return None;
    }
    let mut changes = edit.inputs_by_neuron();
    changes.retain(|neuron, _| neuron.layer == layer);
    let (_, (first, _)) = changes.first_key_value()?;
    let (projections, spec) = (first.size()[0], model.spec());
    let index = |indices: &[i64]| Tensor::from_slice(indices).to_device(spec.device);
    let neurons: Vec<i64> = changes.keys().map(|neuron| neuron.index as i64).collect();
    let places: Vec<i64> = (0..projections)
        .flat_map(|own| neurons.iter().map(move |neuron| own * spec.d_ff as i64 + neuron))
        .collect();
    let places = index(&places);
    let (weight, bias) = model.ffn_input_matrix(layer);
    let by_projection = |of: Vec<Tensor>| Tensor::stack(&of, 1).flatten(0, 1);
    let added = by_projection(changes.values().map(|(rows, _)| rows.shallow_clone()).collect());
    let rows = weight.index_select(0, &places) + added;
    let bias = bias.map(|bias| {
        let none = || Tensor::zeros([projections], (Kind::Float, spec.device)).to_kind(spec.kind);
        let own = |own: &Option<Tensor>| own.as_ref().map_or_else(none, Tensor::shallow_clone);
        bias.index_select(0, &places)
            + by_projection(changes.values().map(|(_, b)| own(b)).collect())
    });
    Some((index(&neurons), rows, bias))
}
