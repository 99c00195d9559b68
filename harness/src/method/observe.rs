//! Logits to ranks and probabilities.

use super::LlmError;
use crate::edit::Observation;
use crate::error::NonFinite;
use anyhow::Result;
use tch::{Kind, Tensor};

/// Observation of `target` in each row of the logits `[C,V]`. Equal logits rank by token id, so that rank 1
/// means being the argmax on every device.
///
/// # Errors
/// [`NonFinite`] if a logit is NaN or infinite.
pub fn observe(logits: &Tensor, target: u32) -> Result<Vec<Observation>> {
    let rows = logits.size()[0];
    let target = Tensor::full([rows], i64::from(target), (Kind::Int64, logits.device()));
    observe_each(logits, &target)
}

/// Does what [`observe`] does, with one target per row, `[C]`.
///
/// # Errors
/// [`NonFinite`] if a logit is NaN or infinite.
pub(crate) fn observe_each(logits: &Tensor, targets: &Tensor) -> Result<Vec<Observation>> {
    check_finite(logits)?;
    let (rows, vocabulary) = logits.size2()?;
    let logits = logits.detach().to_kind(Kind::Float);
    let targets = targets.unsqueeze(-1);
    let log_probability = logits.log_softmax(-1, Kind::Float);
    let own = logits.gather(-1, &targets, false);
    let ids = Tensor::arange(vocabulary, (Kind::Int64, logits.device()));
    let ahead = logits
        .gt_tensor(&own)
        .logical_or(&logits.eq_tensor(&own).logical_and(&ids.unsqueeze(0).lt_tensor(&targets)));
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

/// A candidate edit, simulated: the prediction under it, and ln(P target / P argmax), the argmax being that
/// before any edit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Simulated {
    pub(super) seen: Observation,
    pub(super) ratio: f64,
}

/// Candidate edits by the logits `[C,V]` under them; `None` for one that breaks the model: its logits are
/// not finite and rank nothing, so it is never taken.
pub(super) fn observe_candidates(
    logits: &Tensor,
    error: &LlmError,
) -> Result<Vec<Option<Simulated>>> {
    let finite = Vec::<bool>::try_from(logits.isfinite().all_dim(-1, false))?;
    let rows: Vec<i64> = (0..).zip(&finite).filter(|(_, ok)| **ok).map(|(row, _)| row).collect();
    let sound = logits.index_select(0, &Tensor::from_slice(&rows).to_device(logits.device()));
    let seen = observe(&sound, error.target)?;
    let ratios = log_ratio(&sound, error.target, error.argmax)?;
    let mut sound = seen.into_iter().zip(ratios).map(|(seen, ratio)| Simulated { seen, ratio });
    Ok(finite.into_iter().map(|ok| if ok { sound.next() } else { None }).collect())
}

/// Natural logarithm of P(a)/P(b) for each row of `logits` `[C,V]`: a difference of logits.
pub(crate) fn log_ratio(logits: &Tensor, a: u32, b: u32) -> Result<Vec<f64>> {
    let column = |token: u32| logits.detach().select(-1, i64::from(token)).to_kind(Kind::Double);
    Ok(Vec::<f64>::try_from(column(a) - column(b))?)
}

/// Refuses logits that rank nothing.
///
/// # Errors
/// [`NonFinite`] if one is NaN or infinite.
pub(crate) fn check_finite(logits: &Tensor) -> Result<()> {
    let finite = bool::try_from(logits.detach().isfinite().all())?;
    if finite { Ok(()) } else { Err(NonFinite.into()) }
}

/// Softmax probabilities in f32, `[..,V]`.
pub fn softmax(logits: &Tensor) -> Tensor {
    logits.softmax(-1, Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::{log_ratio, observe, observe_candidates};
    use crate::error::NonFinite;
    use crate::method::LlmError;
    use proptest::prelude::*;
    use tch::Tensor;

    #[test]
    fn ranks_and_probabilities_of_a_small_distribution() {
        let logits = Tensor::from_slice(&[1_f32, 3.0, 2.0]).unsqueeze(0);
        let seen = observe(&logits, 2).unwrap()[0];
        assert_eq!((seen.target_rank, seen.argmax), (2, 1));
        let total: f64 = [1_f64, 3.0, 2.0].iter().map(|l| l.exp()).sum();
        assert!((seen.target_probability - 2_f64.exp() / total).abs() < 1e-6);
        assert!((seen.argmax_probability - 3_f64.exp() / total).abs() < 1e-6);
        assert!((log_ratio(&logits, 2, 1).unwrap()[0] + 1.0).abs() < 1e-6);
    }

    #[test]
    fn logits_that_are_not_finite_rank_nothing() {
        for broken in [f32::NAN, f32::NEG_INFINITY, f32::INFINITY] {
            let logits = Tensor::from_slice(&[1.0, broken, 0.0]).unsqueeze(0);
            assert!(observe(&logits, 0).unwrap_err().is::<NonFinite>());
        }
        let rows = Tensor::from_slice(&[1.0_f32, 2.0, f32::NAN, 0.0, 3.0, 1.0]).view([3, 2]);
        let error = LlmError { at: 0, target: 0, argmax: 1 };
        let seen = observe_candidates(&rows, &error).unwrap();
        let ranks: Vec<Option<u32>> =
            seen.iter().map(|seen| seen.map(|seen| seen.seen.target_rank)).collect();
        assert_eq!(ranks, [Some(2), None, Some(1)]);
        let broken = Tensor::from_slice(&[f32::NAN; 2]).view([1, 2]);
        assert!(observe_candidates(&broken, &error).unwrap()[0].is_none());
    }

    proptest! {
        /// Rank 1 and being the argmax are one thing, also among equal logits.
        #[test]
        fn rank_one_is_the_argmax(
            logits in prop::collection::vec((0_u8..6).prop_map(f32::from), 1..30),
            target in any::<prop::sample::Index>(),
        ) {
            let target = target.index(logits.len());
            let seen = observe(&Tensor::from_slice(&logits).unsqueeze(0), target as u32).unwrap()[0];
            prop_assert_eq!(seen.target_rank == 1, seen.argmax == target as u32);
            let ahead = logits.iter().enumerate().filter(|&(id, &logit)| {
                logit > logits[target] || (logit == logits[target] && id < target)
            });
            prop_assert_eq!(seen.target_rank as usize, ahead.count() + 1);
        }
    }
}
