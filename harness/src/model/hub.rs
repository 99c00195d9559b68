//! A Hugging Face folder in, a [`CausalLm`] out.

use super::architectures::blueprint;
use super::blueprint::Blueprint;
use super::chat::ChatTemplate;
use super::tokenizer::Tokenizer;
use super::{CausalLm, Checkpoint, Spec, room};
use crate::error::InputError;
use anyhow::Result;
use serde_json::Value;
use std::path::Path;
use tch::{Device, Kind};

/// Options for opening a folder.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Device of the weights.
    pub device: Device,
    /// Dtype of the weights and activations.
    pub kind: Kind,
    /// Permission to compute a checkpoint that brings Python code of its own as the plain architecture that
    /// its `model_type` names. Such a checkpoint is refused otherwise.
    pub plain_architecture: bool,
    /// True if the chat template of the folder is needed.
    pub chat: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { device: Device::Cpu, kind: Kind::Float, plain_architecture: false, chat: false }
    }
}

/// A model with its tokenizer, checked against each other.
pub struct Loaded {
    /// The network.
    pub model: Box<dyn CausalLm>,
    /// Text to ids and back.
    pub tokenizer: Tokenizer,
    /// The chat template, if it was asked for.
    pub chat: Option<ChatTemplate>,
    /// SHA-256 of `config.json` and the weight files, 64 hex digits.
    pub sha256: String,
    /// Tokens that end a sequence, as `config.json` and `generation_config.json` name them.
    pub ends: Vec<u32>,
    /// Options that it was opened with.
    pub options: Options,
}

/// Loads the folder `path` (`config.json`, `tokenizer.json` and weights). What a user should know of it
/// is logged.
///
/// # Errors
/// As [`check`]; or if a weight is NaN or infinite.
pub fn load(path: &Path, options: Options) -> Result<Loaded> {
    let (loaded, notes) = read(path, options)?;
    notes.iter().for_each(|note| tracing::warn!("{note}"));
    Ok(loaded)
}

/// Loads a copy of a folder that was loaded before: does what [`load`] does, but logs nothing.
pub(crate) fn load_again(path: &Path, options: Options) -> Result<Loaded> {
    Ok(read(path, options)?.0)
}

fn read(path: &Path, options: Options) -> Result<(Loaded, Vec<String>)> {
    let network = Network::open(path, options)?;
    let words = Words::open(path, &network, options)?;
    let (model, sha256, mut notes) = network.load()?;
    let Words { tokenizer, chat, ends, notes: more } = words;
    notes.extend(more);
    Ok((Loaded { model, tokenizer, chat, sha256, ends, options }, notes))
}

/// Findings from the files of a model, before a weight is read.
#[derive(Debug)]
pub struct Headers {
    /// Sizes of the model.
    pub spec: Spec,
    /// Bytes of its weights in the dtype that it is computed in.
    pub bytes: usize,
}

impl Headers {
    /// Refuses a model for which the memory does not suffice. That of a CPU is known; of a GPU it is not.
    ///
    /// # Errors
    /// If it does not.
    pub fn fit(&self) -> Result<()> {
        match self.spec.device {
            Device::Cpu => room::check(self.bytes),
            _ => Ok(()),
        }
    }
}

/// Finds out from configs, tokenizer and the headers of the weights whether the folder `path` can be
/// loaded, and returns its sizes; reads no weight.
///
/// # Errors
/// If a file is missing or broken, the architecture or a setting of it is not computed, a tensor is
/// missing, unknown or of the wrong shape, or the tokenizer belongs to another model.
pub fn check(path: &Path, options: Options) -> Result<Headers> {
    let network = Network::open(path, options)?;
    Words::open(path, &network, options)?;
    Ok(network.headers())
}

/// Loads the network alone, and the hash of [`Loaded::sha256`].
///
/// # Errors
/// As [`load`].
pub fn load_weights(path: &Path, options: Options) -> Result<(Box<dyn CausalLm>, String)> {
    let (model, sha256, _) = Network::open(path, options)?.load()?;
    Ok((model, sha256))
}

/// A network whose config and headers fit each other.
struct Network {
    config: Value,
    blueprint: Blueprint,
    checkpoint: Checkpoint,
}

impl Network {
    /// Checks the model type first, then the rest of `config.json`, then the headers.
    fn open(path: &Path, options: Options) -> Result<Self> {
        let config = read_config(path)?;
        let wrong =
            |error: String| InputError::new(format!("{}/config.json: {error}", path.display()));
        let blueprint =
            quantised(&config).map_or_else(|| blueprint(&config), Err).map_err(wrong)?;
        if let Some(code) = own_code(&config).filter(|_| !options.plain_architecture) {
            return Err(wrong(format!(
                "auto_map names Python code of the checkpoint's own ({code}), which may compute \
                 something different from a plain {}. If you know that it does not, say --plain-architecture \
                 (model.plain_architecture = true)",
                config["model_type"]
            )));
        }
        let mut checkpoint = Checkpoint::open(path, options.device, options.kind)?;
        checkpoint.restore_prefix(blueprint.prefix, blueprint.head.name);
        let (layers, tensors) = (blueprint.layers.len(), checkpoint.tensors());
        if layers > tensors {
            return Err(wrong(format!(
                "{layers} layers, and the weights have {tensors} tensors in all"
            )));
        }
        checkpoint.expect(&blueprint.tensors())?;
        Ok(Self { config, blueprint, checkpoint })
    }

    fn headers(&self) -> Headers {
        let spec = self.blueprint.spec(self.checkpoint.placement());
        Headers { spec, bytes: self.checkpoint.bytes() }
    }

    fn load(self) -> Result<(Box<dyn CausalLm>, String, Vec<String>)> {
        self.headers().fit()?;
        let Self { blueprint, mut checkpoint, .. } = self;
        let model = blueprint.load(&mut checkpoint)?;
        let sha256 = checkpoint.sha256(&["config.json"])?;
        Ok((Box::new(model), sha256, checkpoint.notes()))
    }
}

/// A tokenizer that fits a network, and where it ends a text.
struct Words {
    tokenizer: Tokenizer,
    chat: Option<ChatTemplate>,
    ends: Vec<u32>,
    notes: Vec<String>,
}

impl Words {
    fn open(path: &Path, network: &Network, options: Options) -> Result<Self> {
        let spec = network.blueprint.spec(network.checkpoint.placement());
        let tokenizer = Tokenizer::load(path)?;
        if let Some(code) = tokenizer.own_code.as_ref().filter(|_| !options.plain_architecture) {
            return Err(InputError::new(format!(
                "{}/{code}: the checkpoint tokenizes with Python code of its own, which may differ \
                 from tokenizer.json. If you know that it does not, say --plain-architecture \
                 (model.plain_architecture = true)",
                path.display()
            )));
        }
        tokenizer.check_against(&spec, path)?;
        let chat = options.chat.then(|| ChatTemplate::read(path)).transpose()?;
        let mut ends = Vec::new();
        let mut notes = Vec::new();
        let more = path.join("generation_config.json");
        let more = if more.is_file() { read_json(&more, "")? } else { Value::Null };
        for (file, config) in [("config.json", &network.config), ("generation_config.json", &more)]
        {
            let place = path.join(file);
            let ids = self::ends(config)
                .map_err(|error| InputError::new(format!("{}: {error}", place.display())))?;
            for id in ids {
                let wrong = |what: &str| {
                    format!("{}: eos_token_id {id}, the end of sequence, {what}", place.display())
                };
                if id as usize >= spec.vocabulary {
                    return Err(InputError::new(wrong("is no token of this model")));
                }
                if !tokenizer.is_special(id) && !ends.contains(&id) {
                    let what = if tokenizer.knows(id) {
                        let token = tokenizer.token(id)?;
                        format!("is the ordinary token {token:?}: texts end before it")
                    } else {
                        "is a row of the embedding that no token has".into()
                    };
                    notes.push(wrong(&what));
                }
                ends.push(id);
            }
        }
        Ok(Self { tokenizer, chat, ends, notes })
    }
}

/// Why the weights are no plain numbers, where `config` says that they are quantised.
fn quantised(config: &Value) -> Option<String> {
    ["quantization_config", "compression_config"].iter().find_map(|key| {
        let settings = config.get(key).filter(|settings| !settings.is_null())?;
        let method = settings["quant_method"].as_str().unwrap_or("an unnamed method");
        Some(format!(
            "{key}: the weights are quantised by {method}, which is not supported; use the checkpoint that \
             was quantised, or dequantise this one"
        ))
    })
}

/// The Python code of the checkpoint's own that a causal language model of it would run.
fn own_code(config: &Value) -> Option<&Value> {
    let classes = ["AutoModelForCausalLM", "AutoModel", "AutoConfig"];
    classes.iter().map(|class| &config["auto_map"][class]).find(|code| !code.is_null())
}

/// The hashes of [`Loaded::sha256`] and of the tokenizer, of what is in the folder `path` now.
///
/// # Errors
/// If a file is missing or broken.
pub(crate) fn checksums(path: &Path) -> Result<[String; 2]> {
    let weights = Checkpoint::open(path, Device::Cpu, Kind::Float)?.sha256(&["config.json"])?;
    Ok([weights, Tokenizer::load(path)?.sha256])
}

fn read_config(path: &Path) -> Result<Value> {
    let advice = ". The model must be a Hugging Face folder; `python3 scripts/setup.py` makes the default \
                  ones under .models/";
    read_json(&path.join("config.json"), advice)
}

/// Reads a JSON file; `advice` is what to do where it cannot be read.
fn read_json(file: &Path, advice: &str) -> Result<Value> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        InputError::new(format!("{}: cannot be read ({error}){advice}", file.display()))
    })?;
    serde_json::from_str(&text)
        .map_err(|error| InputError::new(format!("{}: {error}", file.display())))
}

/// Ends of sequence, as far as `config` names them: one id, or several.
fn ends(config: &Value) -> Result<Vec<u32>, String> {
    let ids = match &config["eos_token_id"] {
        Value::Null => Vec::new(),
        Value::Array(several) => several.iter().collect(),
        one => vec![one],
    };
    let id = |id: &Value| {
        let found = id.as_u64().and_then(|id| u32::try_from(id).ok());
        found.ok_or_else(|| format!("eos_token_id {id} is no token id"))
    };
    ids.into_iter().map(id).collect()
}
