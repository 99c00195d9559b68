//! A config as files have it: in TOML and in manifests each kind of method has an array of its own.

use super::method::every_kind;
use super::{
    AlphaEditConfig, Config, DatasetConfig, Execution, FineTuningConfig, InContextConfig,
    JointConfig, KnConfig, LoraConfig, MemitConfig, MentConfig, MethodConfig, ModelConfig,
    NoEditConfig, ProbingConfig, PromptConfig, RetrievalConfig, RomeConfig, StarConfig,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

macro_rules! config_file {
    ($(#[$serde:meta] $kind:ident($config:ident) $key:ident $doc:literal,)+) => {
        /// A config as TOML and manifests have it: an array for each kind of method.
        #[derive(Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct ConfigFile {
            #[serde(default)]
            description: String,
            model: ModelConfig,
            #[serde(default, skip_serializing_if = "PromptConfig::is_default")]
            prompt: PromptConfig,
            #[serde(default)]
            retrieval: RetrievalConfig,
            #[serde(default)]
            execution: Execution,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            probing: Option<ProbingConfig>,
            #[serde(default)]
            dataset: Vec<DatasetConfig>,
            $(#[$serde] $key: Vec<$config>,)+
            #[serde(default, skip_serializing)]
            sweep: BTreeMap<String, Vec<toml::Value>>,
        }

        impl From<ConfigFile> for Config {
            fn from(written: ConfigFile) -> Self {
                let mut methods = Vec::new();
                $(methods.extend(written.$key.into_iter().map(MethodConfig::$kind));)+
                Self {
                    description: written.description,
                    model: written.model,
                    prompt: written.prompt,
                    retrieval: written.retrieval,
                    execution: written.execution,
                    probing: written.probing,
                    dataset: written.dataset,
                    methods,
                    sweep: written.sweep,
                }
            }
        }

        impl From<Config> for ConfigFile {
            fn from(config: Config) -> Self {
                let mut written = Self {
                    description: config.description,
                    model: config.model,
                    prompt: config.prompt,
                    retrieval: config.retrieval,
                    execution: config.execution,
                    probing: config.probing,
                    dataset: config.dataset,
                    $($key: Vec::new(),)+
                    sweep: config.sweep,
                };
                for method in config.methods {
                    match method {
                        $(MethodConfig::$kind(own) => written.$key.push(own),)+
                    }
                }
                written
            }
        }
    };
}
every_kind!(config_file);
