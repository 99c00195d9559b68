//! Distributions on kept texts, before and after edits: each text is run once, and every edit is replayed on it.

use super::KeptTexts;
use crate::edit::Edit;
use crate::engine::forward::argmax;
use crate::engine::trace::Trace;
use crate::model::{Loaded, Sequences};
use crate::system::{progress, signal};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::time::Instant;
use tch::{Kind, Tensor};

/// Most probable tokens that are compared.
const BEST: i64 = 5;

/// Positions that are shown.
const SHOWN: usize = 100;

/// Tokens before a position that are shown.
const EXCERPT: usize = 24;

/// Change of the predictions on a set of texts by one edit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Positions at which another token is the most probable one.
    pub top1_changed: usize,
    /// Mean share of the five most probable tokens that are among the five again.
    pub top5_kept: f64,
    /// Mean divergence KL(before ‖ after) of a position, in nats.
    pub divergence: f64,
    /// exp of the mean negative log-probability of a token, after; e^700 where a logit is not finite.
    pub perplexity: f64,
}

/// Changes on one set of texts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetChange {
    /// Name of the set.
    pub name: String,
    /// SHA-256 of its texts.
    pub sha256: String,
    /// Texts that were run.
    pub texts: usize,
    /// Positions in them.
    pub positions: usize,
    /// Perplexity of the unedited model.
    pub perplexity: f64,
    /// Change by all edits together.
    pub whole: Change,
    /// Positions at which each edit alone changes the most probable token.
    pub changed_by_each: Vec<usize>,
    /// Positions whose distributions all edits together change most, largest first.
    pub worst: Vec<Position>,
    /// Seconds of the pass without edits, and of one replay to its most probable tokens, in the mean.
    pub seconds: [f64; 2],
}

/// A position whose prediction changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Number of the text, from 0.
    pub text: usize,
    /// The tokens before, as text.
    pub before: String,
    /// The most probable next token without edits.
    pub was: String,
    /// The same with them.
    pub is: String,
    /// Divergence there, in nats.
    pub divergence: f64,
}

/// Sums over positions.
#[derive(Default)]
struct Sums {
    changed: usize,
    kept: f64,
    divergence: f64,
    nll: f64,
}

/// Log-probabilities `[T,V]` of a text, and what is compared of them.
struct Reading {
    log: Tensor,
    argmax: Tensor,
    best: Tensor,
    nll: f64,
}

impl Reading {
    fn new(logits: &Tensor, next: &Tensor) -> Result<Self> {
        let log = logits.log_softmax(-1, Kind::Float);
        let (_, best) = log.topk(BEST.min(log.size()[1]), -1, true, true);
        let own = log.narrow(0, 0, next.size()[0]).gather(1, &next.unsqueeze(1), false);
        let nll = -f64::try_from(own.sum(Kind::Double))?;
        Ok(Self { argmax: argmax(logits), best, nll, log })
    }

    /// Divergence of each position from `before`, `[T]`.
    fn divergence(&self, before: &Self) -> Tensor {
        let each = before.log.exp() * (&before.log - &self.log);
        let each = each.sum_dim_intlist([-1_i64].as_slice(), false, Kind::Float);
        // A distribution that is no more is as far as can be.
        each.nan_to_num(f64::INFINITY, f64::INFINITY, 0.0).clamp_min(0.0)
    }

    fn add_to(&self, sums: &mut Sums, before: &Self, divergence: &Tensor) -> Result<()> {
        let changed = self.argmax.ne_tensor(&before.argmax).sum(Kind::Int64);
        sums.changed += i64::try_from(changed)? as usize;
        let same = self.best.unsqueeze(2).eq_tensor(&before.best.unsqueeze(1));
        sums.kept += f64::try_from(same.sum(Kind::Double))? / self.best.size()[1] as f64;
        sums.divergence += f64::try_from(divergence.sum(Kind::Double))?;
        sums.nll += self.nll;
        Ok(())
    }
}

impl Sums {
    fn change(&self, positions: usize, tokens: usize) -> Change {
        Change {
            top1_changed: self.changed,
            top5_kept: self.kept / positions as f64,
            divergence: self.divergence / positions as f64,
            perplexity: super::perplexity(self.nll / tokens as f64),
        }
    }
}

impl SetChange {
    /// Measures `edits` on `texts`, all together and each alone.
    ///
    /// # Errors
    /// If libtorch fails, or the user stops.
    pub fn new(
        (name, sha256): (&str, &str),
        texts: &KeptTexts,
        loaded: &Loaded,
        edits: &[Edit],
    ) -> Result<Self> {
        let model = loaded.model.as_ref();
        let whole = edits.iter().fold(Edit::none(), |sum, own| sum.and(own)).merged();
        let mut sums = Sums::default();
        let mut changed_by_each = vec![0; edits.len()];
        let (mut nll, mut positions, mut seconds) = (0.0, 0, [0.0, 0.0]);
        let mut worst: Vec<Position> = Vec::new();
        let bar = progress::bar(&format!("kept texts: {name}"), texts.texts.len());
        for (place, ids) in texts.texts.iter().enumerate() {
            signal::check()?;
            let clock = Instant::now();
            let tensor: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
            let tensor = Tensor::from_slice(&tensor).to_device(model.spec().device);
            let next = tensor.narrow(0, 1, ids.len() as i64 - 1);
            let trace = Trace::new(model, &Sequences::one(&tensor), Edit::none());
            let before = Reading::new(&trace.logits_from(model, 0), &next)?;
            seconds[0] += clock.elapsed().as_secs_f64();
            nll += before.nll;
            positions += ids.len();
            let under = |edit: &Edit| {
                let mut trace = trace.shallow_clone();
                trace.commit(model, edit);
                trace.logits_from(model, 0)
            };
            let after = Reading::new(&under(&whole), &next)?;
            let divergence = after.divergence(&before);
            after.add_to(&mut sums, &before, &divergence)?;
            worst.extend(shown((place, ids), (&before, &after), &divergence, loaded)?);
            let clock = Instant::now();
            for (edit, changed) in edits.iter().zip(&mut changed_by_each) {
                if !edit.is_none() {
                    let now = argmax(&under(edit));
                    let count = now.ne_tensor(&before.argmax).sum(Kind::Int64);
                    *changed += i64::try_from(count)? as usize;
                }
            }
            let replays = edits.iter().filter(|edit| !edit.is_none()).count().max(1);
            seconds[1] += clock.elapsed().as_secs_f64() / replays as f64;
            bar.inc(1);
        }
        bar.finish_and_clear();
        worst.sort_by(|a, b| b.divergence.total_cmp(&a.divergence));
        worst.truncate(SHOWN);
        let tokens = positions - texts.texts.len();
        Ok(Self {
            name: name.into(),
            sha256: sha256.into(),
            texts: texts.texts.len(),
            positions,
            perplexity: super::perplexity(nll / tokens as f64),
            whole: sums.change(positions, tokens),
            changed_by_each,
            worst,
            seconds,
        })
    }
}

/// The positions of a text that changed most.
fn shown(
    (text, ids): (usize, &[u32]),
    (before, after): (&Reading, &Reading),
    divergence: &Tensor,
    loaded: &Loaded,
) -> Result<Vec<Position>> {
    let (values, places) = divergence.topk(SHOWN.min(ids.len()) as i64, 0, true, true);
    let (values, places) =
        (Vec::<f64>::try_from(values.to_kind(Kind::Double))?, Vec::<i64>::try_from(places)?);
    let token = |reading: &Reading, at: i64| {
        let id = reading.argmax.int64_value(&[at]) as u32;
        loaded.tokenizer.continuation(&ids[..=at as usize], &[id])
    };
    let position = |(divergence, at): (f64, i64)| {
        let end = at as usize + 1;
        let start = end.saturating_sub(EXCERPT);
        Ok(Position {
            text,
            before: loaded.tokenizer.decode(&ids[start..end])?,
            was: token(before, at)?,
            is: token(after, at)?,
            divergence,
        })
    };
    let changed = values.into_iter().zip(places).filter(|(divergence, _)| *divergence > 0.0);
    changed.map(position).collect()
}
