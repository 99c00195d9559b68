//! Ids back to text. The text of a sequence is not that of its parts, one after the other: a character
//! may be made of several tokens, and the first word of a text may lose its space. So a part is always
//! decoded behind what stands before it.

use super::Tokenizer;
use anyhow::Result;
use std::char::REPLACEMENT_CHARACTER;

impl Tokenizer {
    /// The token `id` as it reads within a text: with its space, where it begins with one.
    ///
    /// # Errors
    /// If it cannot be decoded.
    pub fn token(&self, id: u32) -> Result<String> {
        self.continuation(&self.anchor, &[id])
    }

    /// The text that `ids` add to that of `prompt`. Where a character begins in the prompt and ends
    /// behind it, it counts as added.
    ///
    /// # Errors
    /// If the ids cannot be decoded.
    pub fn continuation(&self, prompt: &[u32], ids: &[u32]) -> Result<String> {
        let before = self.decode(prompt)?;
        let whole = self.decode(&[prompt, ids].concat())?;
        let added = whole.strip_prefix(&before).or_else(|| whole.strip_prefix(complete(&before)));
        added.map_or_else(|| self.decode(ids), |added| Ok(added.to_string()))
    }

    /// Where each of `ids` ends in the text of all of them, in bytes. Of the tokens that make up one
    /// character, the last has it.
    ///
    /// # Errors
    /// If the ids cannot be decoded.
    pub fn ends(&self, ids: &[u32]) -> Result<Vec<usize>> {
        let whole = self.decode(ids)?;
        let parts = (1..=ids.len()).map(|count| self.decode(&ids[..count]));
        ends(&whole, parts)
    }

    /// `text`, which begins what `ids` add to `prompt`, cut where its tokens end. Of the tokens that make
    /// up one character, the last has it. The pieces, one after the other, are `text`.
    ///
    /// # Errors
    /// If the ids cannot be decoded.
    pub fn pieces(&self, prompt: &[u32], ids: &[u32], text: &str) -> Result<Vec<String>> {
        let parts = (1..=ids.len()).map(|count| self.continuation(prompt, &ids[..count]));
        let mut start = 0;
        let mut pieces = Vec::new();
        for end in ends(text, parts)?.into_iter().chain([text.len()]) {
            if end > start {
                pieces.push(text[start..end].to_string());
                start = end;
            }
        }
        Ok(pieces)
    }
}

/// `text` without the bytes at its end that may be the beginning of a character; decoders show them as
/// replacement characters.
pub(crate) fn complete(text: &str) -> &str {
    text.trim_end_matches(REPLACEMENT_CHARACTER)
}

/// Up to where `whole` begins with each of `parts`, of which each goes on from the one before.
fn ends(whole: &str, parts: impl Iterator<Item = Result<String>>) -> Result<Vec<usize>> {
    let mut end = 0;
    parts
        .map(|part| {
            let part = part?;
            let part = if part == whole { &part } else { complete(&part) };
            end = end.max(common_beginning(whole, part));
            Ok(end)
        })
        .collect()
}

/// How many bytes two texts begin alike with, whole characters only.
fn common_beginning(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum()
}
