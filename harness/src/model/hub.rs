//! The registry of architectures: a Hugging Face folder in, a [`CausalLm`] out.

use super::tokenizer::Tokenizer;
use super::{CausalLm, Checkpoint, codegen, llama};
use crate::error::InputError;
use anyhow::Result;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::Path;
use tch::{Device, Kind};

/// A model with its tokenizer, checked against each other.
pub struct Loaded {
    /// The network.
    pub model: Box<dyn CausalLm>,
    /// Text to ids and back.
    pub tokenizer: Tokenizer,
    /// SHA-256 of `config.json` and the weight files, 64 hex digits.
    pub sha256: String,
    /// Tokens that end a sequence, as `config.json` and `generation_config.json` name them.
    pub ends: Vec<u32>,
}

/// Loads the folder `path` (`config.json`, `tokenizer.json` and weights).
///
/// # Errors
/// If a file is missing or broken, the architecture is unknown, a tensor is missing, unknown or
/// of the wrong shape, or the tokenizer belongs to another model.
pub fn load(path: &Path, device: Device, kind: Kind) -> Result<Loaded> {
    let config = read_config(path)?;
    let tokenizer = Tokenizer::load(path)?;
    let (model, sha256) = load_weights(path, &config, device, kind)?;
    let mut ends = ends(&config);
    tokenizer.check_against(model.spec(), &ends, path)?;
    if let Ok(text) = std::fs::read_to_string(path.join("generation_config.json")) {
        let more = serde_json::from_str(&text).map_err(|error| {
            InputError::new(format!("{}/generation_config.json: {error}", path.display()))
        })?;
        ends.extend(self::ends(&more));
    }
    Ok(Loaded { model, tokenizer, sha256, ends })
}

/// Loads the network alone.
pub fn load_weights(
    path: &Path,
    config: &Value,
    device: Device,
    kind: Kind,
) -> Result<(Box<dyn CausalLm>, String)> {
    #[derive(Deserialize)]
    struct Family {
        model_type: String,
    }
    let family: Family = parse(path, config)?;
    let mut from = Checkpoint::open(path, device, kind)?;
    let sha256 = from.sha256(&["config.json"])?;
    // One line an architecture.
    let model: Box<dyn CausalLm> = match family.model_type.as_str() {
        "llama" | "qwen2" => Box::new(llama::Llama::load(&parse(path, config)?, &mut from)?),
        "codegen" => Box::new(codegen::CodeGen::load(&parse(path, config)?, &mut from)?),
        other => {
            return Err(InputError::new(format!(
                "{}/config.json: model_type {other:?} is not supported; \
                 supported: \"llama\", \"qwen2\", \"codegen\"",
                path.display()
            )));
        }
    };
    from.finish()?;
    Ok((model, sha256))
}

/// The hashes of [`Loaded::sha256`] and of the tokenizer, of what is in the folder `path` now.
///
/// # Errors
/// If a file is missing or broken.
pub(crate) fn checksums(path: &Path) -> Result<[String; 2]> {
    let weights = Checkpoint::open(path, Device::Cpu, Kind::Float)?.sha256(&["config.json"])?;
    Ok([weights, Tokenizer::load(path)?.sha256])
}

/// Reads `config.json` of the folder `path`.
pub fn read_config(path: &Path) -> Result<Value> {
    let file = path.join("config.json");
    let text = std::fs::read_to_string(&file).map_err(|error| {
        InputError::new(format!(
            "{}: cannot be read ({error}). The model must be a Hugging Face folder; \
             `python3 scripts/setup.py` makes the default ones under .models/",
            file.display()
        ))
    })?;
    serde_json::from_str(&text)
        .map_err(|error| InputError::new(format!("{}: {error}", file.display())))
}

/// Ends of sequence, as far as `config.json` names them.
fn ends(config: &Value) -> Vec<u32> {
    let ids = match &config["eos_token_id"] {
        Value::Array(several) => several.iter().collect(),
        one => vec![one],
    };
    ids.into_iter().filter_map(|id| id.as_u64().map(|id| id as u32)).collect()
}

fn parse<T: DeserializeOwned>(path: &Path, config: &Value) -> Result<T> {
    T::deserialize(config).map_err(|error| {
        InputError::new(format!("{}: {error}", path.join("config.json").display()))
    })
}
