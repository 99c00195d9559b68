//! `[[in_context]]`: the baseline that changes no weight.

use serde::{Deserialize, Serialize};

/// `[[in_context]]`: the datum with its right answer as one more demonstration before every prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InContextConfig {
    /// Row label in the tables; must be unique.
    pub label: String,
}

impl Default for InContextConfig {
    fn default() -> Self {
        Self { label: "in-context".into() }
    }
}

impl InContextConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        Ok(())
    }
}
