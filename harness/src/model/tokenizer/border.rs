//! Prompts and targets that meet within a token. Tokenized together, they have other ids than the ids that
//! a model sees when it is given the prompt alone and continues it.

use super::{Joint, Tokenizer, encode};
use crate::error::InputError;
use anyhow::Result;
use serde::Serialize;

/// Tokens of each cut that are shown.
const SHOWN: usize = 4;

/// A prompt and a target that meet within a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Border {
    /// The tokens from the border on, cut together.
    pub together: Vec<String>,
    /// The same text as a model meets it that is given the prompt alone.
    pub apart: Vec<String>,
}

impl Tokenizer {
    /// Ids of `prompt` alone, and of `target` as a model would write it after them; with the border, where
    /// they are not those of both cut together.
    ///
    /// # Errors
    /// If the border lies within a token, and this tokenizer cannot tokenize the target by itself.
    pub fn encode_after(&self, prompt: &str, target: &str) -> Result<(Joint, Option<Border>)> {
        let (alone, joint) = (self.encode(prompt)?, self.encode(&format!("{prompt}{target}"))?);
        if let Some(gold) = joint.strip_prefix(&alone[..]) {
            let gold = gold.to_vec();
            return Ok((Joint { prompt: alone, gold }, None));
        }
        let common = alone.iter().zip(&joint).take_while(|(a, b)| a == b).count();
        let tokens = |ids: &[u32]| -> Result<Vec<String>> {
            ids.iter().take(SHOWN).map(|&id| self.token(id)).collect()
        };
        let together = tokens(&joint[common..])?;
        let Some(gold) = self.encode_alone(&alone, target)? else {
            return Err(InputError::new(format!(
                "the border of prompt and target lies within a token ({} together), and this \
                 tokenizer cannot tokenize the target by itself; move the border to the end of a \
                 word",
                quoted(&together)
            )));
        };
        let apart = tokens(&[&alone[common..], &gold].concat())?;
        Ok((Joint { prompt: alone, gold }, Some(Border { together, apart })))
    }

    /// Ids whose text, after that of the ids `prompt`, is `target`.
    fn encode_alone(&self, prompt: &[u32], target: &str) -> Result<Option<Vec<u32>>> {
        // As it stands, and behind another text, as some tokenizers put a space before the first word.
        let behind = encode(&self.inner, &format!("a{target}"), false)?;
        let candidates = [
            Some(encode(&self.inner, target, false)?),
            behind.strip_prefix(&self.anchor[..]).map(<[u32]>::to_vec),
        ];
        for ids in candidates.into_iter().flatten() {
            if self.continuation(prompt, &ids)? == target {
                return Ok(Some(ids));
            }
        }
        Ok(None)
    }
}

/// Tokens in quotes.
pub(crate) fn quoted(tokens: &[String]) -> String {
    tokens.iter().map(|token| format!("{token:?}")).collect::<Vec<_>>().join(" ")
}
