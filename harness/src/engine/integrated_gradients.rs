//! Integrated gradients of a prediction over the FFN post-activations of the last position
//! (Sundararajan et al. 2017; of neurons: Dai et al. 2022).
//!
//! Scaling an activation at the last position changes nothing at the positions before it, so
//! their keys and values are computed once, and every step of every layer of every prompt is one
//! token. All of them climb in one batch that grows on the way up, and share one backward pass.

use super::block::{feed_forward, ffn_output};
use super::gradient::quantity;
use super::memory::in_pieces;
use super::prompt_end::PromptEnd;
use super::trace::graph_bytes;
use crate::config::Quantity;
use crate::model::{CausalLm, KeysValues};
use std::borrow::Borrow;
use std::ops::Range;
use tch::{Kind, Tensor};

/// Point on the path from 0 to the activation at which a gradient is taken, and its weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PathPoint {
    /// Scale of the activation, 0 to 1.
    pub alpha: f64,
    /// Weight of the gradient there.
    pub weight: f64,
}

/// One row of the batch: a prompt with the activations of one layer scaled.
#[derive(Clone, Copy)]
struct StepRow {
    layer: usize,
    prompt: usize,
    point: PathPoint,
}

/// A run of rows of one layer and prompt: they share activations, and a leaf of the graph.
struct RowGroup<'r> {
    layer: usize,
    prompt: usize,
    rows: &'r [StepRow],
}

/// `[prompts, layers, F]`, f32: each neuron's activation at the end of a prompt, times the weighted
/// sum over `points` of the gradient of `wanted` of the prompt's target. All prompts were traced
/// under one edit. `budget` bytes bound the batch.
///
/// With the single point (1, 1) this is input × gradient.
pub fn integrated_gradients(
    model: &dyn CausalLm,
    prompts: &[impl Borrow<PromptEnd>],
    wanted: Quantity,
    layers: Range<usize>,
    points: &[PathPoint],
    budget: usize,
) -> Tensor {
    let prompts: Vec<&PromptEnd> = prompts.iter().map(Borrow::borrow).collect();
    let spec = model.spec();
    let mut rows = Vec::with_capacity(layers.len() * prompts.len() * points.len());
    let mut costs = Vec::with_capacity(rows.capacity());
    // Prompt by prompt: one with many steps fills a piece, and those with few steps share one.
    for (prompt, end) in prompts.iter().enumerate() {
        // The graph holds each layer's attention weights once; in passing there are four of them.
        let weights = end.tokens() * heads_bytes(model);
        let logits = 3 * spec.vocabulary * spec.kind.elt_size_in_bytes();
        for layer in layers.clone() {
            let above = (spec.layers - layer) * (graph_bytes(spec) + weights);
            for &point in points {
                rows.push(StepRow { layer, prompt, point });
                costs.push(above + 4 * weights + logits);
            }
        }
    }
    let shape = [prompts.len() as i64, layers.len() as i64, spec.d_ff as i64];
    let scores = Tensor::zeros(shape, (Kind::Float, spec.device));
    in_pieces(&costs, budget, |piece: Range<usize>| {
        let mut groups: Vec<RowGroup<'_>> = rows[piece]
            .chunk_by(|a, b| (a.layer, a.prompt) == (b.layer, b.prompt))
            .map(|rows| RowGroup { layer: rows[0].layer, prompt: rows[0].prompt, rows })
            .collect();
        groups.sort_by_key(|group| group.layer);
        let gradients = climb(model, &prompts, &groups, wanted);
        for (group, gradient) in groups.iter().zip(gradients) {
            let active = prompts[group.prompt].post_activation(group.layer);
            let score = (active * gradient.sum_dim_intlist([0_i64].as_slice(), true, None))
                .to_kind(Kind::Float);
            let layer = (group.layer - layers.start) as i64;
            let mut place = scores.select(0, group.prompt as i64).narrow(0, layer, 1);
            let _ = place.g_add_(&score);
        }
    });
    scores
}

/// Runs all groups, lower layers first, to the last layer and back; for each, the weighted
/// gradients `[rows, F]`.
fn climb(
    model: &dyn CausalLm,
    prompts: &[&PromptEnd],
    groups: &[RowGroup<'_>],
    wanted: Quantity,
) -> Vec<Tensor> {
    let device = model.spec().device;
    let mut leaves: Vec<Tensor> = Vec::with_capacity(groups.len());
    // The batch, prompt by prompt: rows of one prompt stand together.
    let mut batch: Vec<Vec<Tensor>> = prompts.iter().map(|_| Vec::new()).collect();
    let mut values: Vec<Vec<(f64, u32)>> = prompts.iter().map(|_| Vec::new()).collect();
    let mut waiting = groups.iter().peekable();
    for layer in groups[0].layer..model.spec().layers {
        if batch.iter().any(|rows| !rows.is_empty()) {
            let own: Vec<Tensor> =
                batch.iter().filter(|rows| !rows.is_empty()).map(|r| Tensor::cat(r, 0)).collect();
            let counts: Vec<i64> = own.iter().map(|rows| rows.size()[0]).collect();
            let present = (0..prompts.len()).filter(|&prompt| !batch[prompt].is_empty());
            let present: Vec<usize> = present.collect();
            let after: Vec<(i64, &KeysValues)> = present
                .iter()
                .zip(&counts)
                .map(|(&prompt, &count)| (count, prompts[prompt].past(layer)))
                .collect();
            let residual = Tensor::cat(&own, 0);
            let input = model.attention_input(layer, &residual);
            let attention = model.attention(layer).after(&after, &input);
            let edit = prompts[present[0]].edit(); // one model, one edit
            let output = feed_forward(model, layer, &residual, &input, &attention, edit).output;
            for (&prompt, rows) in present.iter().zip(output.split_with_sizes(&counts, 0)) {
                batch[prompt] = vec![rows];
            }
        }
        while let Some(group) = waiting.next_if(|group| group.layer == layer) {
            let alphas: Vec<f32> = group.rows.iter().map(|row| row.point.alpha as f32).collect();
            let prompt = prompts[group.prompt];
            let active = prompt.post_activation(layer);
            let alphas = Tensor::from_slice(&alphas).unsqueeze(1).to_device(device);
            let leaf = (active * alphas.to_kind(active.kind())).set_requires_grad(true);
            batch[group.prompt].push(enter(model, prompt, layer, &leaf));
            let weights = group.rows.iter().map(|row| (row.point.weight, prompt.target));
            values[group.prompt].extend(weights);
            leaves.push(leaf);
        }
    }
    let finals = Tensor::cat(&batch.into_iter().flatten().collect::<Vec<_>>(), 0);
    let logits = model.head(&model.final_norm(&finals));
    let (weights, targets): (Vec<f32>, Vec<i64>) = values
        .into_iter()
        .flatten()
        .map(|(weight, target)| (weight as f32, i64::from(target)))
        .unzip();
    let targets = Tensor::from_slice(&targets).to_device(device);
    let weights = Tensor::from_slice(&weights).to_device(device);
    let value = (quantity(wanted, &logits, &targets) * weights).sum(Kind::Float);
    Tensor::run_backward(&[value], &leaves, false, false)
}

/// The residual `[n,D]` leaving `layer` at the end of the prompt, with the activations there
/// replaced by each row of `scaled` `[n,F]`. The matrix product is of the difference, so that biases
/// need no care; where the FFN output is normed, it is computed as a whole, as a norm of what is nearly zero
/// would show the rounding of a difference.
fn enter(model: &dyn CausalLm, prompt: &PromptEnd, layer: usize, scaled: &Tensor) -> Tensor {
    let active = prompt.post_activation(layer);
    let exit = model.ffn_exit(layer);
    if !exit.is_linear() {
        let output = |states: &Tensor| exit.apply(ffn_output(model, layer, states, prompt.edit()));
        return prompt.leaving(layer) + (output(scaled) - output(active));
    }
    let change = scaled - active;
    let mut added = change.linear(model.ffn_output_matrix(layer), None::<&Tensor>);
    if let Some(edited) = prompt.edit().contribution(layer, &change) {
        added += edited;
    }
    prompt.leaving(layer) + exit.apply(added)
}

/// Bytes of one attention weight of every head.
fn heads_bytes(model: &dyn CausalLm) -> usize {
    model.attention(0).heads() * model.spec().kind.elt_size_in_bytes()
}
