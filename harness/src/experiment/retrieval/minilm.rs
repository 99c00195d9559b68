//! all-MiniLM-L6-v2: a BERT encoder, mean pooling over tokens, unit length.
//! Fields are named as in the checkpoint; equal to `sentence-transformers` (a golden test).

use crate::error::InputError;
use crate::model::{Checkpoint, LayerNorm, Linear, Tensors, tokenizer};
use anyhow::{Result, anyhow};
use serde::Deserialize;
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Texts run at once; all of one length, so that nothing is padded.
const BATCH: usize = 64;

#[derive(Debug, Deserialize)]
struct Config {
    model_type: String,
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    type_vocab_size: usize,
    layer_norm_eps: f64,
    hidden_act: String,
}

impl Config {
    fn tensors(&self) -> Tensors {
        let (d, f) = (self.hidden_size, self.intermediate_size);
        let mut tensors = Tensors::default();
        for (part, rows) in [
            ("word", self.vocab_size),
            ("position", self.max_position_embeddings),
            ("token_type", self.type_vocab_size),
        ] {
            tensors.add(format!("embeddings.{part}_embeddings.weight"), &[rows, d]);
        }
        tensors.norm("embeddings.LayerNorm", d, true);
        for layer in (0..self.num_hidden_layers).map(|index| format!("encoder.layer.{index}")) {
            for part in ["self.query", "self.key", "self.value", "output.dense"] {
                tensors.linear(&format!("{layer}.attention.{part}"), [d, d], true);
            }
            tensors.linear(&format!("{layer}.intermediate.dense"), [f, d], true);
            tensors.linear(&format!("{layer}.output.dense"), [d, f], true);
            tensors.norm(&format!("{layer}.attention.output.LayerNorm"), d, true);
            tensors.norm(&format!("{layer}.output.LayerNorm"), d, true);
        }
        tensors
    }
}

#[derive(Debug, Deserialize)]
struct SentenceConfig {
    max_seq_length: usize,
}

#[derive(Debug)]
struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attention_output: Linear,
    attention_norm: LayerNorm,
    intermediate: Linear,
    output: Linear,
    output_norm: LayerNorm,
}

impl Layer {
    fn load(from: &mut Checkpoint, name: &str, eps: f64) -> Result<Self> {
        let mut linear = |part| Linear::load(from, &format!("{name}.{part}"), true);
        Ok(Self {
            query: linear("attention.self.query")?,
            key: linear("attention.self.key")?,
            value: linear("attention.self.value")?,
            attention_output: linear("attention.output.dense")?,
            intermediate: linear("intermediate.dense")?,
            output: linear("output.dense")?,
            attention_norm: LayerNorm::load(
                from,
                &format!("{name}.attention.output.LayerNorm"),
                eps,
            )?,
            output_norm: LayerNorm::load(from, &format!("{name}.output.LayerNorm"), eps)?,
        })
    }

    /// `[B,T,D]` to `[B,T,D]`, every token sees every other.
    fn forward(&self, x: &Tensor, heads: i64) -> Tensor {
        let (batch, tokens, width) = x.size3().expect("x is [B,T,D]");
        let split = |linear: &Linear| {
            linear.forward(x).view([batch, tokens, heads, width / heads]).transpose(1, 2)
        };
        let mixed = Tensor::scaled_dot_product_attention(
            &split(&self.query),
            &split(&self.key),
            &split(&self.value),
            None::<Tensor>,
            0.0,
            false,
            None,
            false,
        );
        let mixed = mixed.transpose(1, 2).reshape([batch, tokens, width]);
        let x = self.attention_norm.forward(&(self.attention_output.forward(&mixed) + x));
        let inner = self.intermediate.forward(&x).gelu("none");
        self.output_norm.forward(&(self.output.forward(&inner) + &x))
    }
}

/// A sentence encoder.
pub struct MiniLm {
    tokenizer: tokenizers::Tokenizer,
    word_embeddings: Tensor,
    position_embeddings: Tensor,
    token_type_embeddings: Tensor,
    norm: LayerNorm,
    layers: Vec<Layer>,
    heads: i64,
    device: Device,
    /// SHA-256 of configs, tokenizer and weights, 64 hex digits.
    pub sha256: String,
}

/// Files besides the weights that determine an embedding.
const SHAPING: [&str; 3] = ["config.json", "sentence_bert_config.json", "tokenizer.json"];

/// The hash of [`MiniLm::sha256`] of what is in the folder `path` now.
///
/// # Errors
/// If a file is missing or broken.
pub(crate) fn checksum(path: &Path) -> Result<String> {
    Checkpoint::open(path, Device::Cpu, Kind::Float)?.sha256(&SHAPING)
}

/// Finds out from configs and the headers of the weights whether the folder `path` can be loaded.
///
/// # Errors
/// If a file is missing or broken, or the encoder is not computed.
pub(crate) fn check(path: &Path) -> Result<()> {
    open(path, Device::Cpu).map(drop)
}

/// The configs of the folder `path`, and its weights, whose headers fit them.
fn open(path: &Path, device: Device) -> Result<(Config, SentenceConfig, Checkpoint)> {
    let config: Config = read(path, "config.json")?;
    let sentence: SentenceConfig = read(path, "sentence_bert_config.json")?;
    if config.model_type != "bert" || config.hidden_act != "gelu" {
        return Err(InputError::new(format!(
            "{}: the sentence encoder must be a BERT with gelu, not {} with {}",
            path.display(),
            config.model_type,
            config.hidden_act
        )));
    }
    let mut from = Checkpoint::open(path, device, Kind::Float)?;
    from.ignore(|name| name == "embeddings.position_ids" || name.starts_with("pooler."));
    from.expect(&config.tensors())?;
    Ok((config, sentence, from))
}

impl MiniLm {
    /// Loads a `sentence-transformers` folder.
    pub fn load(path: &Path, device: Device) -> Result<Self> {
        let (config, sentence, mut from) = open(path, device)?;
        let sha256 = from.sha256(&SHAPING)?;
        let mut embedding = |part: &str| from.take(&format!("embeddings.{part}_embeddings.weight"));
        let word_embeddings = embedding("word")?;
        let position_embeddings = embedding("position")?;
        let token_type_embeddings = embedding("token_type")?;
        let eps = config.layer_norm_eps;
        let norm = LayerNorm::load(&mut from, "embeddings.LayerNorm", eps)?;
        let layers = (0..config.num_hidden_layers)
            .map(|index| Layer::load(&mut from, &format!("encoder.layer.{index}"), eps))
            .collect::<Result<_>>()?;
        Ok(Self {
            tokenizer: tokenizer::truncating(path, sentence.max_seq_length)?,
            word_embeddings,
            position_embeddings,
            token_type_embeddings,
            norm,
            layers,
            heads: config.num_attention_heads as i64,
            device,
            sha256,
        })
    }

    /// Token ids of `text`, `[CLS]` and `[SEP]` included, cut at the encoder's longest input.
    pub fn ids(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.tokenizer.encode_fast(text, true).map_err(|error| anyhow!(error))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Unit-length embeddings `[N, width]` on the CPU; `progress` receives the number of texts done, and an
    /// error from it ends the work.
    pub fn embed(&self, texts: &[&str], progress: &dyn Fn(u64) -> Result<()>) -> Result<Tensor> {
        let ids = texts.iter().map(|text| self.ids(text)).collect::<Result<Vec<_>>>()?;
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|&index| ids[index].len());
        let mut rows: Vec<Tensor> = Vec::new();
        for group in order.chunk_by(|&a, &b| ids[a].len() == ids[b].len()) {
            for batch in group.chunks(BATCH) {
                let flat: Vec<i64> =
                    batch.iter().flat_map(|&i| ids[i].iter().map(|&id| i64::from(id))).collect();
                let batch_ids = Tensor::from_slice(&flat).view([batch.len() as i64, -1]);
                rows.push(self.forward(&batch_ids.to_device(self.device)).to_device(Device::Cpu));
                progress(batch.len() as u64)?;
            }
        }
        let mut back = vec![0_i64; order.len()];
        for (row, &index) in order.iter().enumerate() {
            back[index] = row as i64;
        }
        Ok(Tensor::cat(&rows, 0).index_select(0, &Tensor::from_slice(&back)))
    }

    /// Ids `[B,T]` without padding to unit-length embeddings `[B, width]`.
    fn forward(&self, ids: &Tensor) -> Tensor {
        let tokens = ids.size()[1];
        let words = Tensor::embedding(&self.word_embeddings, ids, -1, false, false);
        let positions = self.position_embeddings.narrow(0, 0, tokens);
        let mut x = self.norm.forward(&(words + positions + self.token_type_embeddings.get(0)));
        for layer in &self.layers {
            x = layer.forward(&x, self.heads);
        }
        let mean = x.mean_dim([1_i64].as_slice(), false, Kind::Float);
        let norm = mean.square().sum_dim_intlist([-1_i64].as_slice(), true, Kind::Float).sqrt();
        mean / norm.clamp_min(1e-12)
    }
}

fn read<T: serde::de::DeserializeOwned>(folder: &Path, name: &str) -> Result<T> {
    let path = folder.join(name);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        InputError::new(format!(
            "{}: cannot be read ({error}). `python3 scripts/setup.py` makes the sentence encoder",
            path.display()
        ))
    })?;
    serde_json::from_str(&text)
        .map_err(|error| InputError::new(format!("{}: {error}", path.display())))
}
