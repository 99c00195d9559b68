//! `[[fine_tuning]]` and `[[lora]]`: methods that descend the gradient of the target's probability.

use super::layers::LayerPlace;
use super::value::{Coefficient, Positive};
use serde::{Deserialize, Serialize};

/// `[[fine_tuning]]`: Adam on one FFN output matrix until the target is the argmax, each entry within a bound of
/// its original value (FT-L of Zhu et al. 2020 and of Meng et al. 2022, whose settings are the defaults but for
/// the layer, which `configs/calibration-editors.toml` chose).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FineTuningConfig {
    /// Row label in the tables; must be unique.
    pub label: String,
    /// The layer whose FFN output matrix is trained.
    pub place: LayerPlace,
    /// Steps at most.
    pub steps: Positive,
    /// Learning rate.
    pub rate: Coefficient,
    /// Change of an entry at most; 0 for no bound.
    pub bound: f64,
}

impl Default for FineTuningConfig {
    fn default() -> Self {
        Self {
            label: "FT-L".into(),
            place: LayerPlace::at(1.0),
            steps: Positive(25),
            rate: Coefficient(5e-4),
            bound: 5e-4,
        }
    }
}

impl FineTuningConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        if self.bound.is_finite() && self.bound >= 0.0 {
            return Ok(());
        }
        Err(format!("`{}`: bound = {} must be 0 (none) or above", self.label, self.bound))
    }
}

/// `[[lora]]`: low-rank adaptation (Hu et al. 2022) of the FFN output matrices of all layers, trained by Adam until
/// the target is the argmax, and merged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoraConfig {
    /// Row label in the tables; must be unique.
    pub label: String,
    /// Rank of the change of each matrix.
    pub rank: Positive,
    /// The product of the factors is multiplied by alpha / rank.
    pub alpha: Coefficient,
    /// Steps at most.
    pub steps: Positive,
    /// Learning rate.
    pub rate: Coefficient,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self {
            label: "LoRA".into(),
            rank: Positive(8),
            alpha: Coefficient(32.0),
            steps: Positive(25),
            rate: Coefficient(5e-4),
        }
    }
}

impl LoraConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        Ok(())
    }
}
