//! The columns of all neurons of all requests, solved together.

use super::Rows;
use super::kept::Held;
use super::locate::loss;
use crate::config::JointConfig;
use crate::edit::{ColumnDelta, Edit, Neuron};
use crate::engine::above::logits_changed_at_ends;
use crate::engine::prompt_end::PromptEnd;
use crate::method::adam::Adam;
use crate::model::CausalLm;
use crate::system::{progress, signal};
use anyhow::Result;
use std::collections::BTreeMap;
use std::ops::Range;
use tch::{Kind, Tensor};

/// Ends whose graphs are held at once.
const AT_ONCE: usize = 64;

/// Patched columns of one layer. A neuron of two requests is here twice: each has its own part.
struct Columns {
    /// `[m]`.
    neurons: Tensor,
    /// Changes of them, `[m,D]`, f32, a leaf of the graph.
    added: Tensor,
    /// Request of each.
    requests: Vec<(usize, Neuron)>,
}

/// Edits of all requests: `neurons` of each, changed until the wanted tokens of `rows` are sure enough, or the steps are
/// spent. `held` are the prompts to keep and the text.
pub(super) fn solve(
    (model, config): (&dyn CausalLm, &JointConfig),
    (rows, neurons): (&Rows, &[Vec<Neuron>]),
    held: [&Held; 2],
    first: usize,
) -> Result<Vec<Edit>> {
    let spec = model.spec();
    let mut by_layer: BTreeMap<usize, Vec<(usize, Neuron)>> = BTreeMap::new();
    for (request, neurons) in neurons.iter().enumerate() {
        for &neuron in neurons {
            by_layer.entry(neuron.layer).or_default().push((request, neuron));
        }
    }
    let columns: BTreeMap<usize, Columns> = by_layer
        .into_iter()
        .map(|(layer, requests)| {
            let index: Vec<i64> = requests.iter().map(|(_, own)| own.index as i64).collect();
            let neurons = Tensor::from_slice(&index).to_device(spec.device);
            let size = [requests.len() as i64, spec.d_model as i64];
            let added = Tensor::zeros(size, (Kind::Float, spec.device)).set_requires_grad(true);
            (layer, Columns { neurons, added, requests })
        })
        .collect();
    let parameters: Vec<&Tensor> = columns.values().map(|own| &own.added).collect();
    let change = |layer: usize, active: &Tensor| {
        let own = columns.get(&layer)?;
        Some(active.index_select(-1, &own.neurons).matmul(&own.added.to_kind(spec.kind)))
    };
    let prompts = rows.prompts.iter().map(Vec::len).sum::<usize>() as f64;
    let mut adam = Adam::new(config.rate.0, &parameters);
    let bar = progress::bar("columns", config.steps.0);
    for _ in 0..config.steps.0 {
        signal::check()?;
        let mut sum: Vec<Tensor> = parameters.iter().map(|own| own.detach().zeros_like()).collect();
        let mut add = |loss: &Tensor| {
            let gradients = Tensor::run_backward(&[loss], &parameters, false, false);
            for (sum, gradient) in sum.iter_mut().zip(gradients) {
                *sum += gradient;
            }
        };
        let mut unsure = 0;
        for piece in pieces(rows.ends.len()) {
            let ends: Vec<&PromptEnd> = rows.ends[piece.clone()].iter().collect();
            let targets = &rows.targets[piece];
            let logits = logits_changed_at_ends(model, &ends, first, change);
            let loss = loss(&logits, targets);
            // A token that is sure enough pushes no further; one that ties with another is not.
            let target = Tensor::from_slice(targets).to_device(spec.device);
            let wrong = logits.argmax(-1, false).ne_tensor(&target);
            let pushes = wrong.logical_or(&loss.detach().gt(-config.enough.0.ln()));
            let count = i64::try_from(pushes.sum(Kind::Int64))?;
            unsure += count;
            if count > 0 {
                add(&((loss * pushes.to_kind(Kind::Float)).sum(Kind::Float) / prompts));
            }
        }
        if unsure == 0 {
            break;
        }
        for (held, factor) in held.into_iter().zip([config.keep, config.text]) {
            for piece in pieces(held.ends.len()).filter(|_| factor > 0.0) {
                add(&(held.divergence(model, piece, first, change) * factor));
            }
        }
        adam.step(&parameters, &sum);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let mut edits = vec![Edit::none(); neurons.len()];
    for own in columns.values() {
        for (row, &(request, neuron)) in (0..).zip(&own.requests) {
            let delta = own.added.detach().get(row).to_kind(spec.kind);
            edits[request].columns.push(ColumnDelta::new(neuron, delta));
        }
    }
    Ok(edits)
}

/// Ranges of at most [`AT_ONCE`] of `count` rows.
fn pieces(count: usize) -> impl Iterator<Item = Range<usize>> {
    (0..count).step_by(AT_ONCE).map(move |start| start..(start + AT_ONCE).min(count))
}
