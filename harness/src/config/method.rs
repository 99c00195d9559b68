//! The methods of a config: one list, whatever their kind. In TOML each kind has an array of its own.

use super::{KnConfig, MentConfig, NoEditConfig};
use serde::Serialize;

/// A kind of method. A new one is a variant here and one of [`MethodConfig`]; the compiler names what is
/// missing then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MethodKind {
    /// The control, which edits nothing.
    NoEdit,
    /// Knowledge Neurons.
    Kn,
    /// MENT and its variants.
    Ment,
}

/// The settings of a method: one row of the tables.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum MethodConfig {
    /// `[[no_edit]]`
    NoEdit(NoEditConfig),
    /// `[[kn]]`
    Kn(KnConfig),
    /// `[[ment]]`
    Ment(MentConfig),
}

impl MethodKind {
    /// Every kind, in the order of the tables.
    pub const ALL: [Self; 3] = [Self::NoEdit, Self::Kn, Self::Ment];

    /// The key of its array in a config.
    pub fn key(self) -> &'static str {
        match self {
            Self::NoEdit => "no_edit",
            Self::Kn => "kn",
            Self::Ment => "ment",
        }
    }

    /// The kind whose key is `key`.
    pub fn of_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.key() == key)
    }

    /// True if it attributes on prompts that are parallel to that of the error.
    pub fn needs_parallel_prompts(self) -> bool {
        match self {
            Self::NoEdit | Self::Ment => false,
            Self::Kn => true,
        }
    }
}

impl MethodConfig {
    /// Kind of the method.
    pub fn kind(&self) -> MethodKind {
        match self {
            Self::NoEdit(_) => MethodKind::NoEdit,
            Self::Kn(_) => MethodKind::Kn,
            Self::Ment(_) => MethodKind::Ment,
        }
    }

    /// Row label in the tables.
    pub fn label(&self) -> &String {
        match self {
            Self::NoEdit(config) => &config.label,
            Self::Kn(config) => &config.label,
            Self::Ment(config) => &config.label,
        }
    }

    /// Rejects contradictory keys.
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self::NoEdit(_) => Ok(()),
            Self::Kn(config) => config.check(),
            Self::Ment(config) => config.check(),
        }
    }
}
