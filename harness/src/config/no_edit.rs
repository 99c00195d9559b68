//! `[[no_edit]]`: the control.

use super::value::Positive;
use serde::{Deserialize, Serialize};

/// `[[no_edit]]`: the control, which skips every error. Its figures are those of a method that
/// never succeeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NoEditConfig {
    /// Row label in the tables; must be unique.
    pub label: String,
    /// The quota of the methods it is compared with: a skipped error costs one neuron more.
    pub quota: Positive,
}

impl NoEditConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

impl Default for NoEditConfig {
    fn default() -> Self {
        Self { label: "no edit".into(), quota: Positive(10) }
    }
}
