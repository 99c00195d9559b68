//! The methods of a config: one list, whatever their kind. In TOML each kind has an array of its own.

use super::{
    AlphaEditConfig, FineTuningConfig, InContextConfig, JointConfig, KnConfig, LoraConfig,
    MemitConfig, MentConfig, NoEditConfig, RomeConfig, StarConfig,
};
use serde::Serialize;

/// Hands every kind of method to the macro `$then`, in the order of the tables: how its array is written, its
/// variant, its settings, and the key of its array. A new kind is a line here.
macro_rules! every_kind {
    ($then:ident) => {
        $then! {
            #[serde(default)]
            NoEdit(NoEditConfig) no_edit "The control, which edits nothing.",
            #[serde(default)]
            Kn(KnConfig) kn "Knowledge Neurons.",
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            InContext(InContextConfig) in_context "The right answer as one more demonstration.",
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            FineTuning(FineTuningConfig) fine_tuning "Fine-tuning of one FFN output matrix.",
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            Lora(LoraConfig) lora "Low-rank adaptation of the FFN output matrices.",
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            Rome(RomeConfig) rome "Rank-one model editing.",
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            Memit(MemitConfig) memit "Mass editing of a transformer's memory.",
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            AlphaEdit(AlphaEditConfig) alpha_edit "MEMIT within the null space of preserved keys.",
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            Star(StarConfig) star "Located neurons optimised from an analytical start.",
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            Joint(JointConfig) joint "An idle neuron reads anew for each wanted token; all are solved together.",
            #[serde(default)]
            Ment(MentConfig) ment "MENT and its variants.",
        }
    };
}
pub(super) use every_kind;

macro_rules! kinds {
    ($(#[$serde:meta] $kind:ident($config:ident) $key:ident $doc:literal,)+) => {
        /// A kind of method. A new one is a line of `every_kind`; the compiler names what is missing then.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum MethodKind {
            $(#[doc = $doc] $kind,)+
        }

        /// The settings of a method: one row of the tables.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum MethodConfig {
            $(#[doc = concat!("`[[", stringify!($key), "]]`")] $kind($config),)+
        }

        impl MethodKind {
            /// Every kind, in the order of the tables.
            pub const ALL: [Self; [$(stringify!($kind)),+].len()] = [$(Self::$kind),+];

            /// The key of its array in a config.
            pub fn key(self) -> &'static str {
                match self { $(Self::$kind => stringify!($key),)+ }
            }
        }

        impl MethodConfig {
            /// Kind of the method.
            pub fn kind(&self) -> MethodKind {
                match self { $(Self::$kind(_) => MethodKind::$kind,)+ }
            }

            /// Row label in the tables.
            pub fn label(&self) -> &String {
                match self { $(Self::$kind(config) => &config.label,)+ }
            }

            /// Rejects contradictory keys.
            pub(super) fn check(&self) -> Result<(), String> {
                match self { $(Self::$kind(config) => config.check(),)+ }
            }
        }
    };
}
every_kind!(kinds);

impl MethodKind {
    /// The kind whose key is `key`.
    pub fn of_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.key() == key)
    }

    /// True if it attributes on prompts that are parallel to that of the error.
    pub fn needs_parallel_prompts(self) -> bool {
        self == Self::Kn
    }

    /// True if its edits are patches of neurons, which can be counted.
    pub fn patches_neurons(self) -> bool {
        matches!(self, Self::NoEdit | Self::Kn | Self::Star | Self::Ment)
    }

    /// True if it can repair many errors in one go.
    pub fn repairs_together(self) -> bool {
        matches!(self, Self::Memit | Self::AlphaEdit | Self::Joint)
    }

    /// True if a request's prompts to keep are a constraint of its edits.
    pub fn holds_prompts(self) -> bool {
        self == Self::Joint
    }

    /// True if it puts a text before the prompts and changes no weight.
    pub fn is_prompt(self) -> bool {
        self == Self::InContext
    }
}

impl MethodConfig {
    /// Rejects layers and neurons that a model of `layers` layers with `d_ff` neurons each does not have.
    #[cfg(feature = "torch")]
    pub(crate) fn check_model(&self, layers: usize, d_ff: usize) -> Result<(), String> {
        let named = match self {
            Self::Ment(config) => return config.check_neurons(layers, d_ff),
            Self::FineTuning(config) => config.place.layer.into_iter().collect(),
            Self::Rome(config) => config.place.layer.into_iter().collect(),
            Self::Joint(config) => config.place.layer.into_iter().collect(),
            Self::Memit(config) => config.layers.named(),
            Self::AlphaEdit(config) => config.layers.named(),
            Self::NoEdit(_) | Self::Kn(_) | Self::InContext(_) | Self::Lora(_) | Self::Star(_) => {
                Vec::new()
            }
        };
        match named.into_iter().find(|&layer| layer >= layers) {
            Some(layer) => Err(format!(
                "`{}`: layer {layer} does not exist; the model has layers 0 to {}",
                self.label(),
                layers - 1
            )),
            None => Ok(()),
        }
    }

    /// True if it stores the wanted answer at the token that the answer is about.
    pub fn reads_subject(&self) -> bool {
        matches!(self, Self::Rome(_) | Self::Memit(_) | Self::AlphaEdit(_))
    }

    /// The text that its keys are estimated on, for a method that needs it.
    pub fn keys(&self) -> Option<&super::KeysConfig> {
        match self {
            Self::Rome(config) => Some(&config.keys),
            Self::Memit(config) => Some(&config.keys),
            Self::AlphaEdit(config) => Some(&config.keys),
            Self::Joint(config) => Some(&config.keys),
            Self::Ment(config) => config.preserve.as_ref().map(|preserve| &preserve.keys),
            _ => None,
        }
    }
}
