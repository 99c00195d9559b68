//! The vectors of all neurons, solved together.

use super::detectors::Detectors;
use super::neurons::{Given, Reading};
use super::wanted::Piece;
use crate::config::JointConfig;
use crate::method::adam::Adam;
use crate::model::CausalLm;
use crate::system::{progress, signal};
use anyhow::Result;
use tch::{Kind, Tensor};

/// Vectors `[U,D]`, f32, for the neurons `given` to `detectors`, from those `before`, so that the wanted tokens of `pieces`, which
/// were run under these, are sure enough where a neuron gives only the share `margin` of its response, or the steps are spent.
/// Neurons beyond those `before` still have their old columns in the run.
pub(super) fn solve(
    (model, config, layer): (&dyn CausalLm, &JointConfig, usize),
    (detectors, given, reading): (&Detectors, &Given, &Reading),
    before: &Tensor,
    pieces: &[Piece],
) -> Result<Tensor> {
    let spec = model.spec();
    let new = detectors.wishes.len() as i64 - before.size()[0];
    let zeros = Tensor::zeros([new, spec.d_model as i64], (Kind::Float, spec.device));
    let first = before.size()[0] as usize;
    let before = Tensor::cat(&[before, &zeros], 0);
    let vectors = before.copy().set_requires_grad(true);
    let run = |piece: &Piece| {
        let responses = reading.responses(model, layer, &piece.tails.ffn_inputs());
        let lost = given.lost(model, &piece.tails.post_activations(), first);
        // The run has what was before, at its full response.
        let has = responses.matmul(&before) + lost.to_kind(Kind::Float);
        let covered = piece.tokens.iter().map(|token| detectors.wishes.contains(token));
        let covered = Tensor::from_slice(&covered.collect::<Vec<bool>>()).to_device(spec.device);
        (responses * config.margin.0, has, covered)
    };
    let runs: Vec<_> = pieces.iter().map(run).collect();
    let tokens = pieces.iter().map(|piece| piece.tokens.len()).sum::<usize>() as f64;
    let mut adam = Adam::new(config.rate.0, &[&vectors]);
    let bar = progress::bar("vectors", config.steps.0);
    for _ in 0..config.steps.0 {
        signal::check()?;
        let mut sum = vectors.detach().zeros_like();
        let mut left = 0;
        for (piece, (responses, has, covered)) in pieces.iter().zip(&runs) {
            let added = (responses.matmul(&vectors) - has).to_kind(spec.kind);
            let logits = piece.logits(model, &added);
            let loss = loss(&logits, &piece.targets);
            let unsure = loss.detach().gt(-config.enough.0.ln()).logical_and(covered);
            let pushes = piece.wrong(&logits).logical_or(&unsure);
            let count = i64::try_from(pushes.sum(Kind::Int64))?;
            left += count;
            if count > 0 {
                let loss = (loss * pushes.to_kind(Kind::Float)).sum(Kind::Float) / tokens;
                sum += &Tensor::run_backward(&[loss], &[&vectors], false, false)[0];
            }
        }
        if left == 0 {
            break;
        }
        adam.step(&[&vectors], &[sum]);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(vectors.detach())
}

/// Negative log-probability of each of `targets` `[n]` by `logits` `[n,V]`.
fn loss(logits: &Tensor, targets: &Tensor) -> Tensor {
    let log = logits.log_softmax(-1, Kind::Float);
    -log.gather(1, &targets.unsqueeze(1), false).squeeze_dim(1)
}
