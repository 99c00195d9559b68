//! `[[joint]]`: the settings of joint neuron repair.

use super::memory::KeysConfig;
use super::value::{Coefficient, Positive, Share};
use serde::{Deserialize, Serialize};

/// `[[joint]]`: a few neurons for each request, chosen for what they do on its prompts and do not do elsewhere, and
/// their columns solved together for all requests, with other predictions held in place. A method of this project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JointConfig {
    /// Row label in the tables; must be unique.
    pub label: String,
    /// Neurons that are patched for a request.
    pub neurons: Positive,
    /// Lowest layer whose neurons are patched, as a share of the depth; the last layer is left out.
    pub from: Share,
    /// Steps of Adam at most.
    pub steps: Positive,
    /// Learning rate.
    pub rate: Coefficient,
    /// Probability of a wanted token from which it is not pushed further.
    pub enough: Share,
    /// Mean square of a neuron on the text that is added to its own, so that neurons that never fire there do not win
    /// by that alone.
    pub floor: Coefficient,
    /// Factor on the divergence from the unedited predictions after the prompts that should be kept.
    pub keep: f64,
    /// Factor on the divergence from the unedited predictions on the text.
    pub text: f64,
    /// The text that neurons are measured on, and whose predictions are held in place.
    pub keys: KeysConfig,
}

impl Default for JointConfig {
    fn default() -> Self {
        Self {
            label: "Joint".into(),
            neurons: Positive(2),
            from: Share(0.5),
            steps: Positive(30),
            rate: Coefficient(0.1),
            enough: Share(0.9),
            floor: Coefficient(1e-3),
            keep: 1.0,
            text: 10.0,
            keys: KeysConfig { tokens: Positive(16_384), ..KeysConfig::default() },
        }
    }
}

impl JointConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        let wrong = |value: f64| !value.is_finite() || value < 0.0;
        if wrong(self.keep) || wrong(self.text) {
            return Err(format!("`{}`: keep and text must be 0 or above", self.label));
        }
        Ok(())
    }
}
