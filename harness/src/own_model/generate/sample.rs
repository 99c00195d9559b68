//! The next token: the most probable one, or one drawn by chance.

use crate::error::InputError;
use crate::method::check_finite;
use anyhow::Result;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use tch::{Kind, Tensor};

/// Sampling of the next token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Divisor of the logits; 0 takes the most probable token.
    pub temperature: f64,
    /// The least probability that the tokens drawn from have together: the most probable ones.
    pub top_p: f64,
    /// Random seed.
    pub seed: u64,
}

impl Sampling {
    /// The most probable token, always.
    pub const GREEDY: Self = Self { temperature: 0.0, top_p: 1.0, seed: 0 };

    /// Refuses what means nothing.
    ///
    /// # Errors
    /// If the temperature is no number of at least 0, or top-p not above 0 and at most 1.
    pub fn check(&self) -> Result<()> {
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            let said = self.temperature;
            return Err(InputError::new(format!("--temperature: {said} must be 0 or more")));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            let said = self.top_p;
            return Err(InputError::new(format!("--top-p: {said} must be above 0 and at most 1")));
        }
        Ok(())
    }
}

/// Chooses one token after the other; the same ones for the same seed.
pub struct Sampler {
    sampling: Sampling,
    chance: ChaCha8Rng,
}

impl Sampler {
    /// From the beginning.
    pub fn new(sampling: Sampling) -> Self {
        Self { sampling, chance: ChaCha8Rng::seed_from_u64(sampling.seed) }
    }

    /// A token by its logits `[V]`.
    ///
    /// # Errors
    /// If a logit is NaN or infinite, or libtorch fails.
    pub fn choose(&mut self, logits: &Tensor) -> Result<u32> {
        check_finite(logits)?;
        let logits = Vec::<f64>::try_from(logits.to_kind(Kind::Double))?;
        let Sampling { temperature, top_p, .. } = self.sampling;
        if temperature == 0.0 {
            return Ok(best(&logits));
        }
        // 53 bits: every double in [0, 1) of that many.
        let point = (self.chance.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        Ok(draw(&nucleus(&logits, temperature, top_p), point))
    }
}

/// The largest logit; the first of equals, as everywhere here.
fn best(logits: &[f64]) -> u32 {
    let mut best = 0;
    for (id, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = id;
        }
    }
    best as u32
}

/// The fewest of the most probable tokens that have at least `top_p` together, with their
/// probabilities at `temperature`, most probable first (Holtzman et al. 2020).
fn nucleus(logits: &[f64], temperature: f64, top_p: f64) -> Vec<(u32, f64)> {
    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights = logits.iter().map(|logit| ((logit - highest) / temperature).exp());
    let mut tokens: Vec<(u32, f64)> = weights.enumerate().map(|(id, w)| (id as u32, w)).collect();
    let total: f64 = tokens.iter().map(|(_, weight)| weight).sum();
    tokens.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut held = 0.0;
    let enough = tokens.iter().position(|(_, weight)| {
        held += weight / total;
        held >= top_p
    });
    tokens.truncate(enough.map_or(tokens.len(), |last| last + 1));
    tokens.iter_mut().for_each(|(_, weight)| *weight /= total);
    tokens
}

/// The token that `point`, of [0, 1), falls on when `tokens` share that line by their probabilities.
fn draw(tokens: &[(u32, f64)], point: f64) -> u32 {
    let total: f64 = tokens.iter().map(|(_, probability)| probability).sum();
    let mut left = point * total;
    let fallen = tokens.iter().find(|(_, probability)| {
        left -= probability;
        left < 0.0
    });
    fallen.unwrap_or_else(|| tokens.last().expect("a vocabulary")).0
}

#[cfg(test)]
mod tests {
    use super::{Sampler, Sampling, best, draw, nucleus};
    use proptest::prelude::*;
    use tch::Tensor;

    #[test]
    fn the_nucleus_is_the_smallest_that_is_large_enough() {
        let logits: Vec<f64> = [0.5_f64, 0.1, 0.3, 0.1].map(f64::ln).to_vec();
        let ids = |p| nucleus(&logits, 1.0, p).into_iter().map(|(id, _)| id).collect::<Vec<_>>();
        assert_eq!(ids(0.5 - 1e-9), [0]);
        assert_eq!(ids(0.7), [0, 2]);
        assert_eq!(ids(0.85), [0, 2, 1]);
        assert_eq!(ids(1.0), [0, 2, 1, 3]);
        assert_eq!(draw(&nucleus(&logits, 1.0, 0.7), 0.624), 0);
        assert_eq!(draw(&nucleus(&logits, 1.0, 0.7), 0.626), 2);
    }

    /// A thousand draws come out as often as they are probable.
    #[test]
    fn draws_follow_the_distribution_and_the_seed() {
        let logits = Tensor::from_slice(&[0.6_f32, 0.3, 0.1].map(f32::ln));
        let draws = |seed| {
            let mut sampler = Sampler::new(Sampling { temperature: 1.0, top_p: 1.0, seed });
            (0..1000).map(|_| sampler.choose(&logits).unwrap()).collect::<Vec<_>>()
        };
        let drawn = draws(0);
        for (id, expected) in [600.0, 300.0, 100.0].into_iter().enumerate() {
            let count = drawn.iter().filter(|&&drawn| drawn == id as u32).count() as f64;
            // Five standard deviations of a binomial of a thousand are below 80.
            assert!((count - expected).abs() < 80.0, "{count} of {expected}");
        }
        assert_eq!(drawn, draws(0));
        assert_ne!(drawn, draws(1));
    }

    proptest! {
        #[test]
        fn a_small_nucleus_or_a_low_temperature_is_greedy(
            logits in prop::collection::vec(-20.0_f64..20.0, 1..30),
            point in 0.0_f64..1.0,
        ) {
            prop_assert_eq!(draw(&nucleus(&logits, 1.0, 1e-12), point), best(&logits));
            let cold = nucleus(&logits, 1e-9, 1.0);
            prop_assert_eq!(cold[0].0, best(&logits));
            let total: f64 = nucleus(&logits, 0.7, 1.0).iter().map(|(_, p)| p).sum();
            prop_assert!((total - 1.0).abs() < 1e-9);
        }
    }
}
