//! Text to ids and back, by Hugging Face `tokenizers`, as the model was trained.

mod border;
mod config;
mod text;

pub use self::border::Border;
pub(crate) use self::border::quoted;

use self::config::{Template, TokenizerConfig};
use super::Spec;
use crate::error::InputError;
use anyhow::{Result, anyhow};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;

/// A tokenizer that cuts every text at `max_length` ids, for sentence encoders.
pub(crate) fn truncating(path: &Path, max_length: usize) -> Result<tokenizers::Tokenizer> {
    let (mut inner, _) = read(path)?;
    let truncation = tokenizers::TruncationParams { max_length, ..Default::default() };
    inner.with_truncation(Some(truncation)).map_err(|error| anyhow!(error))?;
    Ok(inner)
}

/// `tokenizer.json` of the folder `path`, and its bytes. Prompts are never cut silently.
fn read(path: &Path) -> Result<(tokenizers::Tokenizer, Vec<u8>)> {
    let file = path.join("tokenizer.json");
    let bytes = std::fs::read(&file).map_err(|error| {
        let remedy = if path.join("tokenizer.model").is_file() || path.join("vocab.json").is_file() {
            format!(
                ". The folder has the tokenizer in an older form; transformers converts it: python3 -c \
                 \"from transformers import AutoTokenizer as T; T.from_pretrained('{0}').save_pretrained('{0}')\"",
                path.display()
            )
        } else {
            String::new()
        };
        InputError::new(format!("{}: cannot be read ({error}){remedy}", file.display()))
    })?;
    let mut inner = tokenizers::Tokenizer::from_bytes(&bytes).map_err(|error| {
        InputError::new(format!("{}: not a tokenizer ({error})", file.display()))
    })?;
    inner.with_truncation(None).map_err(|error| anyhow!(error))?;
    inner.with_padding(None);
    Ok((inner, bytes))
}

/// The tokenizer of a model folder.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Arc<tokenizers::Tokenizer>,
    /// Ids that stand before every text.
    prefix: Vec<u32>,
    /// Ids of a letter: what stands before a token that is shown alone.
    anchor: Vec<u32>,
    /// Id of a byte that no character begins with, where the tokenizer has bytes.
    lone_byte: Vec<u32>,
    /// Tokens that `tokenizer.json` lacks and `tokenizer_config.json` has.
    unknown: Vec<String>,
    /// SHA-256 of `tokenizer.json`, and of what else of the folder changes ids, 64 hex digits.
    pub sha256: String,
    /// The Python code that cuts texts instead, if the folder brings some.
    pub(super) own_code: Option<String>,
}

/// A prompt and the text that should follow it, as ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joint {
    /// The prompt.
    pub prompt: Vec<u32>,
    /// The text that should follow; its first id is the one the model would produce.
    pub gold: Vec<u32>,
}

impl Tokenizer {
    /// Reads `tokenizer.json` of the folder `path`, and the additional settings of `tokenizer_config.json`.
    ///
    /// # Errors
    /// If a file is broken, or the two disagree on the ids of a text.
    pub fn load(path: &Path) -> Result<Self> {
        let (mut inner, bytes) = read(path)?;
        let config = TokenizerConfig::read(path)?;
        inner.set_encode_special_tokens(config.split_special_tokens);
        let wrong = |what: String| InputError::new(format!("{}: {what}", path.display()));
        let anchor = encode(&inner, "a", false)?;
        if anchor.is_empty() {
            return Err(wrong(
                "tokenizer.json has no token for the letter a, so it cannot tokenize texts".into(),
            ));
        }
        let (prefix, suffix) = around(&anchor, &encode(&inner, "a", true)?).ok_or_else(|| {
            wrong("the template of tokenizer.json changes the ids of a text".into())
        })?;
        if let Some(what) = config.disagreement(&Template { tokenizer: &inner, prefix: &prefix }) {
            return Err(wrong(what));
        }
        let mut hash = Sha256::new_with_prefix(&bytes);
        if config.split_special_tokens {
            hash.update("split_special_tokens");
        }
        if !suffix.is_empty() {
            hash.update("no suffix");
        }
        let sha256 = format!("{:x}", hash.finalize());
        let (own_code, unknown) = (config.own_code(), config.unknown_tokens(&inner));
        // As SentencePiece and as byte-level tokenizers write the byte 0xFF.
        let lone_byte = ["<0xFF>", "ÿ"].iter().find_map(|token| inner.token_to_id(token));
        let lone_byte = lone_byte.into_iter().collect();
        let inner = Arc::new(inner);
        Ok(Self { inner, prefix, anchor, lone_byte, unknown, sha256, own_code })
    }

    /// The same tokenizer, which puts nothing before a text: for texts of a chat template, which brings
    /// its own beginning.
    pub fn bare(&self) -> Self {
        Self { prefix: Vec::new(), ..self.clone() }
    }

    /// Ids of `text`, after those that the tokenizer puts before every text. What its template puts behind
    /// a text is left out: a model goes on from these ids, and an end of sequence would end them.
    ///
    /// # Errors
    /// If the text holds a token that the folder's files disagree on.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        if let Some(token) = self.unknown.iter().find(|token| text.contains(token.as_str())) {
            return Err(InputError::new(format!(
                "the text holds {token:?}, which is a token in tokenizer_config.json but not in \
                 tokenizer.json; add it to tokenizer.json"
            )));
        }
        Ok([&self.prefix[..], &encode(&self.inner, text, false)?].concat())
    }

    /// Text of `ids`; special tokens are kept.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, false).map_err(|error| anyhow!(error))
    }

    /// Ids of `prompt` and `gold` written one after the other. Where a token spans the border,
    /// it counts as gold: the model would have to produce it from what stands before.
    pub fn encode_joint(&self, prompt: &str, gold: &str) -> Result<Joint> {
        let alone = self.encode(prompt)?;
        let mut joint = self.encode(&format!("{prompt}{gold}"))?;
        let border = alone.iter().zip(&joint).take_while(|(a, b)| a == b).count();
        let gold = joint.split_off(border);
        Ok(Joint { prompt: joint, gold })
    }

    /// Largest id plus one, added tokens included.
    pub fn vocabulary(&self) -> usize {
        self.inner.get_vocab(true).into_values().max().map_or(0, |id| id as usize + 1)
    }

    /// Returns whether a token has the id `id`.
    pub fn knows(&self, id: u32) -> bool {
        self.inner.id_to_token(id).is_some()
    }

    /// Returns whether `id` is a special token.
    pub fn is_special(&self, id: u32) -> bool {
        self.inner.get_added_tokens_decoder().get(&id).is_some_and(|token| token.special)
    }

    /// Refuses a tokenizer that cannot be this model's: one with ids beyond the embedding.
    ///
    /// # Errors
    /// If it is such a tokenizer.
    pub fn check_against(&self, spec: &Spec, path: &Path) -> Result<()> {
        if self.vocabulary() <= spec.vocabulary {
            return Ok(());
        }
        Err(InputError::new(format!(
            "{}: tokenizer.json does not belong to this model: it has id {}, the embedding has {} rows",
            path.display(),
            self.vocabulary() - 1,
            spec.vocabulary
        )))
    }
}

fn encode(tokenizer: &tokenizers::Tokenizer, text: &str, template: bool) -> Result<Vec<u32>> {
    let encoding = tokenizer.encode_fast(text, template).map_err(|error| anyhow!(error))?;
    Ok(encoding.get_ids().to_vec())
}

/// The ids that a template puts before and behind a text with the ids `bare`, which is `whole` with them.
fn around(bare: &[u32], whole: &[u32]) -> Option<(Vec<u32>, Vec<u32>)> {
    let place = whole.windows(bare.len()).position(|window| window == bare)?;
    Some((whole[..place].to_vec(), whole[place + bare.len()..].to_vec()))
}

#[cfg(test)]
mod tests;
