//! The vectors of all groups, solved together.

use super::groups::Groups;
use super::wanted::Piece;
use crate::config::JointConfig;
use crate::method::adam::Adam;
use crate::model::CausalLm;
use crate::system::{progress, signal};
use anyhow::Result;
use tch::{Kind, Tensor};

/// Vectors `[U,D]`, f32, to add to those of `groups` `before`, so that the wanted tokens of `pieces`, which were run under
/// these, are sure enough, or the steps are spent. `moment` `[F,F]` is that of the post-activations of `layer` on the
/// text.
pub(super) fn solve(
    (model, config): (&dyn CausalLm, &JointConfig),
    (groups, before): (&Groups, &Tensor),
    pieces: &[Piece],
    (layer, moment): (usize, &Tensor),
) -> Result<Tensor> {
    let spec = model.spec();
    let size = [groups.wishes.len() as i64, spec.d_model as i64];
    let vectors = Tensor::zeros(size, (Kind::Float, spec.device)).set_requires_grad(true);
    let weights = Tensor::stack(&groups.weights, 0);
    let response = |piece: &Piece| {
        let active = piece.tails.post_activations().to_kind(Kind::Float);
        active.matmul(&weights.tr())
    };
    let responses: Vec<Tensor> = pieces.iter().map(response).collect();
    let covered = |piece: &Piece| {
        let has = piece.tokens.iter().map(|token| groups.wishes.contains(token));
        Tensor::from_slice(&has.collect::<Vec<bool>>()).to_device(spec.device)
    };
    let covered: Vec<Tensor> = pieces.iter().map(covered).collect();
    let tokens = pieces.iter().map(|piece| piece.tokens.len()).sum::<usize>() as f64;
    // Beside the mean square of the FFN output itself.
    let matrix = model.ffn_output_matrix(layer).detach().to_kind(Kind::Float);
    let usual = (matrix.matmul(moment) * &matrix).sum(Kind::Float);
    let on_text = weights.matmul(moment).matmul(&weights.tr()) * (2.0 * config.hold) / usual;
    let mut adam = Adam::new(config.rate.0, &[&vectors]);
    let bar = progress::bar("vectors", config.steps.0);
    for _ in 0..config.steps.0 {
        signal::check()?;
        let mut sum = vectors.detach().zeros_like();
        let mut left = 0;
        for ((piece, response), covered) in pieces.iter().zip(&responses).zip(&covered) {
            let added = response.matmul(&vectors).to_kind(spec.kind);
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
        if config.hold > 0.0 {
            // The gradient of the mean of ‖Σ response · vector‖².
            sum += on_text.matmul(&(before + vectors.detach()));
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
