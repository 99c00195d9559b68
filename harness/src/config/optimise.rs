//! `value`: how ROME, MEMIT and AlphaEdit optimise the value that they store. Keys that are left out are those of the
//! method's original.

use super::value::{Coefficient, Positive};
use serde::{Deserialize, Deserializer, Serialize};

/// Optimisation of the value that makes the model predict the target.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueConfig {
    /// Steps of Adam at most.
    pub steps: Positive,
    /// Learning rate.
    pub rate: Coefficient,
    /// Factor on the norm of the change over the squared norm of the original.
    pub decay: f64,
    /// Norm of the change at most, in norms of the original.
    pub clamp: Coefficient,
    /// Factor on the divergence of what the model says of the subject ("… is a").
    pub divergence: f64,
    /// Prompts with another beginning that the value must serve as well; half of them have 5 tokens more, half
    /// have 10.
    pub prefixes: usize,
}

impl ValueConfig {
    /// The settings of ROME for GPT-J.
    pub(super) const ROME: Self = Self {
        steps: Positive(20),
        rate: Coefficient(0.5),
        decay: 0.5,
        clamp: Coefficient(4.0),
        divergence: 0.0625,
        prefixes: 20,
    };
    /// The settings of MEMIT for GPT-J.
    pub(super) const MEMIT: Self =
        Self { steps: Positive(25), clamp: Coefficient(0.75), ..Self::ROME };
    /// The settings of AlphaEdit for Llama 3.
    pub(super) const ALPHA_EDIT: Self = Self { rate: Coefficient(0.1), ..Self::MEMIT };

    pub(super) fn check(&self, label: &str) -> Result<(), String> {
        let wrong = |value: f64| !value.is_finite() || value < 0.0;
        if wrong(self.decay) || wrong(self.divergence) {
            return Err(format!("`{label}`: value.decay and value.divergence must be 0 or above"));
        }
        Ok(())
    }
}

/// The keys as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    steps: Option<Positive>,
    rate: Option<Coefficient>,
    decay: Option<f64>,
    clamp: Option<Coefficient>,
    divergence: Option<f64>,
    prefixes: Option<usize>,
}

fn read<'de, D: Deserializer<'de>>(from: D, rest: ValueConfig) -> Result<ValueConfig, D::Error> {
    let written = Written::deserialize(from)?;
    Ok(ValueConfig {
        steps: written.steps.unwrap_or(rest.steps),
        rate: written.rate.unwrap_or(rest.rate),
        decay: written.decay.unwrap_or(rest.decay),
        clamp: written.clamp.unwrap_or(rest.clamp),
        divergence: written.divergence.unwrap_or(rest.divergence),
        prefixes: written.prefixes.unwrap_or(rest.prefixes),
    })
}

/// Reads the settings of ROME.
pub(super) fn of_rome<'de, D: Deserializer<'de>>(from: D) -> Result<ValueConfig, D::Error> {
    read(from, ValueConfig::ROME)
}

/// Reads the settings of MEMIT.
pub(super) fn of_memit<'de, D: Deserializer<'de>>(from: D) -> Result<ValueConfig, D::Error> {
    read(from, ValueConfig::MEMIT)
}

/// Reads the settings of AlphaEdit.
pub(super) fn of_alpha_edit<'de, D: Deserializer<'de>>(from: D) -> Result<ValueConfig, D::Error> {
    read(from, ValueConfig::ALPHA_EDIT)
}
