//! A config as files have it: in TOML and in manifests each kind of method has an array of its own.

use super::{
    Config, DatasetConfig, Execution, KnConfig, MentConfig, MethodConfig, ModelConfig,
    NoEditConfig, ProbingConfig, PromptConfig, RetrievalConfig,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    #[serde(default)]
    no_edit: Vec<NoEditConfig>,
    #[serde(default)]
    kn: Vec<KnConfig>,
    #[serde(default)]
    ment: Vec<MentConfig>,
    #[serde(default, skip_serializing)]
    sweep: BTreeMap<String, Vec<toml::Value>>,
}

impl From<ConfigFile> for Config {
    fn from(written: ConfigFile) -> Self {
        let ConfigFile {
            description,
            model,
            prompt,
            retrieval,
            execution,
            probing,
            dataset,
            no_edit,
            kn,
            ment,
            sweep,
        } = written;
        let methods = no_edit.into_iter().map(MethodConfig::NoEdit);
        let methods = methods.chain(kn.into_iter().map(MethodConfig::Kn));
        let methods = methods.chain(ment.into_iter().map(MethodConfig::Ment)).collect();
        Self { description, model, prompt, retrieval, execution, probing, dataset, methods, sweep }
    }
}

impl From<Config> for ConfigFile {
    fn from(config: Config) -> Self {
        let Config {
            description,
            model,
            prompt,
            retrieval,
            execution,
            probing,
            dataset,
            methods,
            sweep,
        } = config;
        let (mut no_edit, mut kn, mut ment) = (Vec::new(), Vec::new(), Vec::new());
        for method in methods {
            match method {
                MethodConfig::NoEdit(config) => no_edit.push(config),
                MethodConfig::Kn(config) => kn.push(config),
                MethodConfig::Ment(config) => ment.push(config),
            }
        }
        Self {
            description,
            model,
            prompt,
            retrieval,
            execution,
            probing,
            dataset,
            no_edit,
            kn,
            ment,
            sweep,
        }
    }
}
