//! A sample with a pair of tokens, as ids.

use crate::model::tokenizer::Tokenizer;
use anyhow::Result;

/// A prompt, and the two tokens that compete after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Ids of the prompt.
    pub prompt: Vec<u32>,
    /// First token of the argmax symbol that the target symbol does not share.
    pub argmax: u32,
    /// First token of the target symbol that the argmax symbol does not share.
    pub target: u32,
}

impl Case {
    /// The prompt `text` before the symbols `argmax` and `target`, one of which follows. What both
    /// begin with is part of the prompt, which ends before the first token that differs: a symbol of
    /// several tokens (`to_json`, `to_csv`) is edited where it is decided. Text and symbol are
    /// tokenized together, as the model would meet them. `None` where one symbol begins with the
    /// other, for this tokenizer.
    pub fn new(
        tokenizer: &Tokenizer,
        text: &str,
        argmax: &str,
        target: &str,
    ) -> Result<Option<Self>> {
        let mut prompt = tokenizer.encode(&format!("{text}{argmax}"))?;
        let other = tokenizer.encode(&format!("{text}{target}"))?;
        let shared = prompt.iter().zip(&other).take_while(|(a, b)| a == b).count();
        let (Some(&argmax), Some(&target)) = (prompt.get(shared), other.get(shared)) else {
            return Ok(None);
        };
        prompt.truncate(shared);
        Ok(Some(Self { prompt, argmax, target }))
    }
}
