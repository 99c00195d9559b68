//! Ids back to text. The text of a sequence is not that of its parts, one after the other: a character
//! may be made of several tokens, and the first word of a text may lose its space. So a part is always
//! decoded behind what stands before it.

use super::Tokenizer;
use anyhow::Result;
use std::char::REPLACEMENT_CHARACTER;

/// Bytes of a character at most.
const BYTES: usize = 4;

/// Tokens of a prompt that a continuation is decoded behind, at least.
const TAIL: usize = 8;

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

    /// Does what [`Tokenizer::continuation`] does for ids that may end within a character: it shows as one
    /// replacement character, and the text before it stays.
    ///
    /// # Errors
    /// If the ids cannot be decoded.
    pub fn unfinished(&self, prompt: &[u32], ids: &[u32]) -> Result<String> {
        let whole = self.continuation(prompt, ids)?;
        if complete(&whole).len() == whole.len() {
            return Ok(whole);
        }
        // Decoders give up on all bytes in a row where those of the last character are missing.
        for missing in 1..BYTES.min(ids.len() + 1) {
            let part = self.continuation(prompt, &ids[..ids.len() - missing])?;
            if complete(&part).len() == part.len() {
                // The last token may hold whole characters before the one that is not.
                let longest =
                    if complete(&whole).starts_with(&part) { complete(&whole) } else { &part };
                return Ok(format!("{longest}{REPLACEMENT_CHARACTER}"));
            }
        }
        Ok(whole)
    }

    /// Number of bytes of `text`, which `ids` add to that of `prompt`, that no further token can change: the
    /// part that stays if a letter follows, and if a byte follows that begins no character.
    ///
    /// # Errors
    /// If the ids cannot be decoded.
    pub fn settled(&self, prompt: &[u32], ids: &[u32], text: &str) -> Result<usize> {
        let mut end = complete(text).len();
        for next in [&self.anchor, &self.lone_byte] {
            let more = self.continuation(prompt, &[ids, next].concat())?;
            end = end.min(common_beginning(text, &more));
        }
        Ok(end)
    }

    /// Returns the end of each of `ids` in the text that they add to that of `prompt`, in bytes. A character
    /// that several tokens make up belongs to the last of them.
    ///
    /// # Errors
    /// If the ids cannot be decoded.
    pub fn ends(&self, prompt: &[u32], ids: &[u32]) -> Result<Vec<usize>> {
        let whole = self.continuation(prompt, ids)?;
        let parts = (1..=ids.len()).map(|count| self.continuation(prompt, &ids[..count]));
        ends(&whole, parts)
    }

    /// Returns the end of `prompt` that a continuation can be decoded behind as behind all of it: a few
    /// tokens, of which the first is no part of a character.
    ///
    /// # Errors
    /// If the ids cannot be decoded.
    pub fn tail<'p>(&self, prompt: &'p [u32]) -> Result<&'p [u32]> {
        let mut start = prompt.len().saturating_sub(TAIL);
        while start > 0 {
            let token = self.inner.id_to_token(prompt[start]).unwrap_or_default();
            let is_byte = token.starts_with("<0x") && token.ends_with('>');
            if !is_byte && !self.decode(&prompt[start..=start])?.contains(REPLACEMENT_CHARACTER) {
                break;
            }
            start -= 1;
        }
        Ok(&prompt[start..])
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
fn complete(text: &str) -> &str {
    text.trim_end_matches(REPLACEMENT_CHARACTER)
}

/// Ends of `parts` in `whole`, in bytes, as far as `whole` begins with them; each part continues the one
/// before.
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

/// Number of bytes that both texts begin with, whole characters only.
fn common_beginning(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum()
}
