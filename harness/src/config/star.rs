//! `[[star]]`: the settings of STAR.

use super::value::{Coefficient, Positive};
use serde::{Deserialize, Serialize};

/// `[[star]]`: semantic targeting for analytical repair (Gu et al., arXiv 2503.12899): neurons are located, the
/// change of their columns that steers the representation to the target by least squares is the start of an
/// optimiser, and that goes on until the target is the argmax.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StarConfig {
    /// Row label in the tables; must be unique.
    pub label: String,
    /// Neurons that are patched together; a skipped error costs one more.
    pub quota: Positive,
    /// Steps of the optimiser at most.
    pub steps: Positive,
    /// Size of a step, in norms of the analytical start.
    pub rate: Coefficient,
}

impl Default for StarConfig {
    fn default() -> Self {
        Self {
            label: "STAR".into(),
            quota: Positive(10),
            steps: Positive(10),
            rate: Coefficient(0.25),
        }
    }
}

impl StarConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        Ok(())
    }
}
