//! `[[kn]]`: the settings of Knowledge Neurons.

use super::Quantity;
use super::value::{Positive, Share};
use serde::{Deserialize, Serialize};

/// `[[kn]]`: one setting of Knowledge Neurons (Dai et al. 2022), adapted to a generative model: its
/// prompts are parallel ones, retrieved, that go on with the same token. The paper under study says
/// little about the adaptation; each choice is a key here. The defaults are the original's code, where
/// it has the setting, except the share: `configs/calibration-kn.toml` compares them with others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KnConfig {
    /// Row label in the tables; must be unique.
    pub label: String,
    /// Neurons that may be doubled for one error before it is skipped (paper, III-F: 10).
    pub quota: Positive,
    /// Steps of the integral (paper, III-B: 20, and 1 for a faster version).
    pub steps: Positive,
    /// Positions of the steps on the path.
    pub quadrature: Quadrature,
    /// Function of the target's logit that is differentiated.
    pub quantity: Quantity,
    /// The prompts that neurons are attributed on.
    pub parallel: Parallel,
    /// Neurons count in a prompt that score at least this share of its highest score (original:
    /// 0.2).
    pub threshold: Share,
    /// Neurons are kept that count in at least this share of the prompts. The original begins at 0.7
    /// and lowers it until some are left; here 0.7 leaves too few for the quota, and 0.3 makes the
    /// baseline as good as any share and threshold that was tried.
    pub share: Share,
    /// Positions at which an activation is doubled.
    #[serde(skip_serializing_if = "DoubledPositions::is_all")]
    pub positions: DoubledPositions,
}

impl Default for KnConfig {
    fn default() -> Self {
        Self {
            label: "KN (step=20)".into(),
            quota: Positive(10),
            steps: Positive(20),
            quadrature: Quadrature::default(),
            quantity: Quantity::default(),
            parallel: Parallel::default(),
            threshold: Share(0.2),
            share: Share(0.3),
            positions: DoubledPositions::default(),
        }
    }
}

impl KnConfig {
    /// Rejects contradictory keys.
    pub(super) fn check(&self) -> Result<(), String> {
        let named = self.label.split_once("step=").map(|(_, rest)| rest.trim_end_matches(')'));
        let steps = self.steps.0;
        if let Some(named) = named.filter(|named| *named != steps.to_string()) {
            return Err(format!(
                "label `{}` says step={named}, but steps = {steps}; change the label",
                self.label
            ));
        }
        let Parallel { prompts, at_least, own, .. } = self.parallel;
        if at_least.0 > prompts.0 + usize::from(own) {
            return Err(format!(
                "`{}`: parallel.at_least = {} can never be met with parallel.prompts = {}",
                self.label, at_least.0, prompts.0
            ));
        }
        Ok(())
    }
}

/// Positions at which a knowledge neuron's activation is doubled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoubledPositions {
    /// The last position of each prompt, as in the original's code. Such an edit is no change of the
    /// weights, so it cannot be kept as a patch.
    #[default]
    Last,
    /// Every position: the column is added to itself. The only choice before this key existed.
    All,
}

impl DoubledPositions {
    /// True for [`DoubledPositions::All`], which manifests leave out.
    fn is_all(&self) -> bool {
        *self == Self::All
    }
}

/// `parallel.*`: prompts that go on with the target of the error. A pair of the retrieval division
/// gives one if its output holds the target: its input, and the output before the target's first
/// place. Nearest inputs come first; the pair at hand is never among them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parallel {
    /// Number of parallel prompts (paper, III-F: 10). If fewer are found, those are used.
    pub prompts: Positive,
    /// With fewer than this, the error is skipped.
    pub at_least: Positive,
    /// True if each parallel prompt has demonstrations of its own, as the prompt at hand has.
    pub demonstrations: bool,
    /// True if the prompt at hand is used as one more parallel prompt.
    pub own: bool,
}

impl Default for Parallel {
    fn default() -> Self {
        Self { prompts: Positive(10), at_least: Positive(1), demonstrations: true, own: false }
    }
}

/// Points between 0 and the activation at which the m gradients of the integral are taken; each weighs 1/m.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quadrature {
    /// i/m for i = 0 … m−1, as in the code of Knowledge Neurons. With one step: at 0.
    #[default]
    Left,
    /// m points from 0 to 1, both included. With one step: at 0.
    Inclusive,
    /// (i+½)/m for i = 0 … m−1.
    Midpoint,
}

impl Quadrature {
    /// The `steps` places between 0 and 1.
    pub fn places(self, steps: usize) -> Vec<f64> {
        let m = steps as f64;
        let place = |i: f64| match self {
            Self::Left => i / m,
            Self::Inclusive if steps == 1 => 0.0,
            Self::Inclusive => i / (m - 1.0),
            Self::Midpoint => (i + 0.5) / m,
        };
        (0..steps).map(|i| place(i as f64)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Quadrature::{Inclusive, Left, Midpoint};

    #[test]
    fn places_of_each_rule() {
        assert_eq!(Left.places(4), [0.0, 0.25, 0.5, 0.75]);
        assert_eq!(Inclusive.places(5), [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert_eq!(Midpoint.places(2), [0.25, 0.75]);
        assert_eq!([Left, Inclusive, Midpoint].map(|rule| rule.places(1)[0]), [0.0, 0.0, 0.5]);
    }
}
