//! All that is known of a repaired set, as a file.

use super::held::Refused;
use super::measured::{Kind, RequestMeasured};
use crate::own_model::kept::change::SetChange;
use serde::{Deserialize, Serialize};

/// A set as it was asked for: a repair goes on only with the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// SHA-256 of the file of requests.
    pub requests_sha256: String,
    /// Name of the model.
    pub model: String,
    /// SHA-256 of its weights.
    pub base: String,
    /// The method and its settings.
    pub method: serde_json::Value,
}

/// A repaired set.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version and commit of the harness.
    pub harness: String,
    /// The set.
    #[serde(flatten)]
    pub asked: Asked,
    /// Seconds that the edits took; `None` where a former process made them.
    pub seconds: Option<f64>,
    /// Its requests.
    pub requests: Vec<RequestMeasured>,
    /// Edits that were refused.
    pub refused: Vec<Refused>,
    /// Changes on kept texts.
    pub kept: Vec<SetChange>,
    /// Id of the patch of each request: the beginning of its SHA-256; `none` where there is none.
    pub patches: Vec<String>,
}

impl Report {
    /// True if the edit of the request `name` was refused.
    pub fn is_refused(&self, name: &str) -> bool {
        self.refused.iter().any(|own| own.name == name)
    }

    /// Pairs of requests of which the second keeps the first from its target after some prompts, and the number of these.
    pub fn conflicts(&self) -> Vec<(&str, &str, usize)> {
        let mut pairs: Vec<(&str, &str, usize)> = Vec::new();
        for request in &self.requests {
            let own = request.failing.iter().filter(|own| own.kind == Kind::Prompt);
            for other in own.flat_map(|own| &own.because_of).filter(|name| **name != request.name) {
                match pairs.iter_mut().find(|(a, b, _)| *a == request.name && b == other) {
                    Some((_, _, count)) => *count += 1,
                    None => pairs.push((&request.name, other, 1)),
                }
            }
        }
        pairs
    }
}
