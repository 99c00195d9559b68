//! Text to ids and back, by Hugging Face `tokenizers`, as the model was trained.

use super::Spec;
use crate::error::InputError;
use anyhow::{Result, anyhow};
use sha2::{Digest, Sha256};
use std::path::Path;

/// A tokenizer that cuts every text at `max_length` ids, for sentence encoders.
pub(crate) fn truncating(path: &Path, max_length: usize) -> Result<tokenizers::Tokenizer> {
    let mut inner = Tokenizer::load(path)?.inner;
    let truncation = tokenizers::TruncationParams { max_length, ..Default::default() };
    inner.with_truncation(Some(truncation)).map_err(|error| anyhow!(error))?;
    Ok(inner)
}

/// The tokenizer of a model folder.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// SHA-256 of `tokenizer.json`, 64 hex digits.
    pub sha256: String,
}

/// A prompt and the text that should follow it, as ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joint {
    /// The prompt.
    pub prompt: Vec<u32>,
    /// What should follow; the first id is the one the model would produce.
    pub gold: Vec<u32>,
}

impl Tokenizer {
    /// Reads `tokenizer.json` of the folder `path`.
    pub fn load(path: &Path) -> Result<Self> {
        let file = path.join("tokenizer.json");
        let bytes = std::fs::read(&file).map_err(|error| {
            InputError::new(format!("{}: cannot be read ({error})", file.display()))
        })?;
        let mut inner = tokenizers::Tokenizer::from_bytes(&bytes).map_err(|error| {
            InputError::new(format!("{}: not a tokenizer ({error})", file.display()))
        })?;
        // Prompts are never cut silently.
        inner.with_truncation(None).map_err(|error| anyhow!(error))?;
        inner.with_padding(None);
        Ok(Self { inner, sha256: format!("{:x}", Sha256::digest(&bytes)) })
    }

    /// Ids of `text`, with the special tokens the tokenizer itself puts around a text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.inner.encode_fast(text, true).map_err(|error| anyhow!(error))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Text of `ids`; special tokens are kept.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, false).map_err(|error| anyhow!(error))
    }

    /// Where each of `ids` ends in the text of all of them, in bytes. Of the tokens that make up one
    /// character, the last has it.
    pub fn ends(&self, ids: &[u32]) -> Result<Vec<usize>> {
        let whole = self.decode(ids)?;
        let mut end = 0;
        (1..=ids.len())
            .map(|count| {
                let part = self.decode(&ids[..count])?;
                if whole.starts_with(&part) {
                    end = part.len();
                }
                Ok(end)
            })
            .collect()
    }

    /// The text that `ids` add to that of `prompt`.
    pub fn continuation(&self, prompt: &[u32], ids: &[u32]) -> Result<String> {
        let before = self.decode(prompt)?;
        let whole = self.decode(&[prompt, ids].concat())?;
        match whole.strip_prefix(&before) {
            Some(text) => Ok(text.to_string()),
            // A character begins in the prompt and ends behind it.
            None => self.decode(ids),
        }
    }

    /// `text`, which begins what `ids` add to `prompt`, cut where its tokens end. Of the tokens that make up
    /// one character, the last has it.
    pub fn pieces(&self, prompt: &[u32], ids: &[u32], text: &str) -> Result<Vec<String>> {
        let mut start = 0;
        let mut pieces = Vec::new();
        for count in 1..=ids.len() {
            let part = self.continuation(prompt, &ids[..count])?;
            let end = part.len().min(text.len());
            if end > start && text.starts_with(&part[..end]) {
                pieces.push(text[start..end].to_string());
                start = end;
            }
        }
        Ok(pieces)
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

    /// Refuses a tokenizer that cannot be this model's: ids beyond the embedding, or an end of
    /// sequence (`ends`, from `config.json`) that it does not know as special. The begin of
    /// sequence shows nothing: CodeGen's own config names an ordinary token.
    pub fn check_against(&self, spec: &Spec, ends: &[u32], path: &Path) -> Result<()> {
        let mismatch = |what: String| {
            Err(InputError::new(format!(
                "{}: tokenizer.json does not belong to this model: {what}",
                path.display()
            )))
        };
        if self.vocabulary() > spec.vocabulary {
            return mismatch(format!(
                "it has id {}, the embedding has {} rows",
                self.vocabulary() - 1,
                spec.vocabulary
            ));
        }
        let added = self.inner.get_added_tokens_decoder();
        for id in ends {
            if !added.get(id).is_some_and(|token| token.special) {
                return mismatch(format!(
                    "config.json names id {id} as end of sequence, which is no special token of it"
                ));
            }
        }
        Ok(())
    }
}
