//! Logits to ranks and probabilities.

use crate::record::Observation;
use anyhow::Result;
use tch::{Kind, Tensor};

/// What the logits `[C,V]` say of `target`, one observation a row. Equal logits rank by token
/// id, so rank 1 and being the argmax are the same thing on every device.
pub fn observe(logits: &Tensor, target: u32) -> Result<Vec<Observation>> {
    let rows = logits.size()[0];
    let target = Tensor::full([rows], i64::from(target), (Kind::Int64, logits.device()));
    observe_each(logits, &target)
}

/// As [`observe`] with one target a row, `[C]`.
pub(crate) fn observe_each(logits: &Tensor, targets: &Tensor) -> Result<Vec<Observation>> {
    let (rows, vocabulary) = logits.size2()?;
    let logits = logits.detach().to_kind(Kind::Float);
    let targets = targets.unsqueeze(-1);
    let log_probability = logits.log_softmax(-1, Kind::Float);
    let own = logits.gather(-1, &targets, false);
    let ids = Tensor::arange(vocabulary, (Kind::Int64, logits.device()));
    let ahead = logits.gt_tensor(&own).logical_or(
        &logits.eq_tensor(&own).logical_and(&ids.unsqueeze(0).lt_tensor(&targets)),
    );
    let rank = ahead.sum_dim_intlist([-1_i64].as_slice(), false, Kind::Int64) + 1;
    let best = logits.max_dim(-1, true).0;
    let argmax = logits.eq_tensor(&best).to_kind(Kind::Int8).argmax(-1, true); // first of equals

    let probability = |at: &Tensor| -> Result<Vec<f64>> {
        let log = log_probability.gather(-1, at, false).to_kind(Kind::Double);
        Ok(Vec::<f64>::try_from(log.exp().flatten(0, -1))?)
    };
    let (target_probability, argmax_probability) = (probability(&targets)?, probability(&argmax)?);
    let rank = Vec::<i64>::try_from(rank)?;
    let argmax = Vec::<i64>::try_from(argmax.flatten(0, -1))?;
    Ok((0..rows as usize)
        .map(|row| Observation {
            argmax: argmax[row] as u32,
            argmax_probability: argmax_probability[row],
            target_rank: rank[row] as u32,
            target_probability: target_probability[row],
        })
        .collect())
}

/// Natural logarithm of P(a)/P(b) for each row of `logits` `[C,V]`: a difference of logits.
pub(crate) fn log_ratio(logits: &Tensor, a: u32, b: u32) -> Result<Vec<f64>> {
    let column = |token: u32| logits.select(-1, i64::from(token)).to_kind(Kind::Double);
    Ok(Vec::<f64>::try_from(column(a) - column(b))?)
}

/// Softmax probabilities in f32, `[..,V]`.
pub fn softmax(logits: &Tensor) -> Tensor {
    logits.softmax(-1, Kind::Float)
}
