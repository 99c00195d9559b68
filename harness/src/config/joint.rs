//! `[[joint]]`: the settings of joint neuron repair.

use super::layers::LayerPlace;
use super::memory::KeysConfig;
use super::value::{Coefficient, Positive, Share};
use serde::{Deserialize, Deserializer, Serialize};
use std::path::PathBuf;

/// `[[joint]]`: for each wanted token a neuron that hardly does anything reads a direction that recognises the prompts of a
/// request from then on, and has a vector; the vectors of all requests are solved together. A method of this project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JointConfig {
    /// Row label in the tables; must be unique.
    pub label: String,
    /// The layer that is edited.
    pub place: LayerPlace,
    /// Response, as a share of that after the prompts, below which a neuron is silent.
    pub threshold: Share,
    /// Slope of the projection before the activation function: the larger it is, the sharper the threshold.
    pub slope: Coefficient,
    /// Share of its response that a neuron gives while the vectors are solved: below 1 a weaker response is enough.
    pub margin: Share,
    /// Weight of the prompts of a request in its direction, beside 1 of the text.
    pub pull: Coefficient,
    /// Weight of the predictions that a request wants to stay, after its prompts in `keep`.
    pub keep: f64,
    /// Weight of the prompts of all other requests.
    pub others: f64,
    /// Share of the mean square of an entry of the FFN input on the text that is added to that of each entry.
    pub ridge: Coefficient,
    /// Steps of Adam at most.
    pub steps: Positive,
    /// Learning rate.
    pub rate: Coefficient,
    /// Probability of a wanted token from which it is not pushed further.
    pub enough: Share,
    /// The text on which neurons should not respond.
    #[serde(deserialize_with = "of_joint")]
    pub keys: KeysConfig,
}

/// Tokens of the text, unless others are given.
const TOKENS: Positive = Positive(65_536);

/// Reads `keys`: what is left out is as in [`JointConfig::default`].
fn of_joint<'de, D: Deserializer<'de>>(from: D) -> Result<KeysConfig, D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Written {
        from: Option<PathBuf>,
        tokens: Option<Positive>,
    }
    let Written { from, tokens } = Written::deserialize(from)?;
    Ok(KeysConfig { from, tokens: tokens.unwrap_or(TOKENS) })
}

impl Default for JointConfig {
    fn default() -> Self {
        Self {
            label: "Joint".into(),
            place: LayerPlace::at(0.75),
            threshold: Share(0.4),
            slope: Coefficient(16.0),
            margin: Share(0.7),
            pull: Coefficient(20.0),
            keep: 1.0,
            others: 1.5,
            ridge: Coefficient(0.01),
            steps: Positive(40),
            rate: Coefficient(0.1),
            enough: Share(0.9),
            keys: KeysConfig { tokens: TOKENS, ..KeysConfig::default() },
        }
    }
}

impl JointConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        let wrong = |value: f64| !value.is_finite() || value < 0.0;
        if [self.keep, self.others].into_iter().any(wrong) {
            return Err(format!("`{}`: keep and others must be 0 or above", self.label));
        }
        if self.threshold.0 >= 1.0 {
            return Err(format!(
                "`{}`: threshold must be below 1, the response after the prompts",
                self.label
            ));
        }
        Ok(())
    }
}
