//! `[[rome]]`, `[[memit]]` and `[[alpha_edit]]`: methods that store a new value under a key, an FFN output matrix
//! read as a memory.

use super::layers::{LayerPlace, LayerSpan};
use super::optimise::{ValueConfig, of_alpha_edit, of_memit, of_rome};
use super::value::{Coefficient, Positive};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The text that keys (post-activations) are estimated on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeysConfig {
    /// A text file; Python code and English prose that the harness brings, where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,
    /// Tokens of it that are read (the originals read 100,000 Wikipedia articles).
    pub tokens: Positive,
}

impl Default for KeysConfig {
    fn default() -> Self {
        Self { from: None, tokens: Positive(32_768) }
    }
}

/// `[[rome]]`: rank-one model editing (Meng et al. 2022), in the form that averages the key on both sides of the
/// update (Gupta et al. 2024). The defaults are those of the original for GPT-J, but for the layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RomeConfig {
    /// Row label in the tables; must be unique.
    pub label: String,
    /// The layer that is edited.
    pub place: LayerPlace,
    /// Optimisation of the value.
    #[serde(deserialize_with = "of_rome")]
    pub value: ValueConfig,
    /// The text that keys are estimated on.
    pub keys: KeysConfig,
}

impl Default for RomeConfig {
    fn default() -> Self {
        let (value, keys) = (ValueConfig::ROME, KeysConfig::default());
        Self { label: "ROME".into(), place: LayerPlace::at(0.75), value, keys }
    }
}

impl RomeConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        self.value.check(&self.label)
    }
}

/// `[[memit]]`: mass editing memory in a transformer (Meng et al. 2023), with one edit. The defaults are those of
/// the original for GPT-J, but for the layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MemitConfig {
    /// Row label in the tables; must be unique.
    pub label: String,
    /// The layers that share the edit.
    pub layers: LayerSpan,
    /// Optimisation of the residual stream leaving the last of them.
    #[serde(deserialize_with = "of_memit")]
    pub value: ValueConfig,
    /// Weight of the keys of the corpus beside that of the edit.
    pub weight: Coefficient,
    /// The text that keys are estimated on.
    pub keys: KeysConfig,
}

impl Default for MemitConfig {
    fn default() -> Self {
        Self {
            label: "MEMIT".into(),
            layers: LayerSpan::up_to(0.5, 5),
            value: ValueConfig::MEMIT,
            weight: Coefficient(15_000.0),
            keys: KeysConfig::default(),
        }
    }
}

impl MemitConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        self.layers.check(&self.label)?;
        self.value.check(&self.label)
    }
}

/// `[[alpha_edit]]`: AlphaEdit (Fang et al. 2025), MEMIT whose updates leave the outputs at the keys of the corpus
/// as they are. The defaults are those of the original for Llama 3, but for the layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlphaEditConfig {
    /// Row label in the tables; must be unique.
    pub label: String,
    /// The layers that share the edit.
    pub layers: LayerSpan,
    /// Optimisation of the residual stream leaving the last of them.
    #[serde(deserialize_with = "of_alpha_edit")]
    pub value: ValueConfig,
    /// Eigenvalue of the keys' second moment below which a direction is free.
    pub threshold: Coefficient,
    /// Factor on the squared norm of the update.
    pub ridge: Coefficient,
    /// The text that keys are estimated on.
    pub keys: KeysConfig,
}

impl Default for AlphaEditConfig {
    fn default() -> Self {
        Self {
            label: "AlphaEdit".into(),
            layers: LayerSpan::up_to(0.5, 5),
            value: ValueConfig::ALPHA_EDIT,
            threshold: Coefficient(0.02),
            ridge: Coefficient(10.0),
            keys: KeysConfig::default(),
        }
    }
}

impl AlphaEditConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        self.layers.check(&self.label)?;
        self.value.check(&self.label)
    }
}
