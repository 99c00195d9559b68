//! `tokenizer_config.json`: what it says of the ids that a text becomes, held against `tokenizer.json`.
//!
//! Versions of `transformers` differ here. Before version 5, `add_bos_token` of this file decides for
//! several classes whether a text begins with the begin-of-sequence token; since then the template in
//! `tokenizer.json` does. Where the two disagree, it is unknown which ids the model was trained on,
//! and the folder is refused.

use crate::error::InputError;
use anyhow::Result;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const FILE: &str = "tokenizer_config.json";

/// The keys that change ids.
#[derive(Debug, Default, Deserialize)]
pub(super) struct TokenizerConfig {
    add_bos_token: Option<bool>,
    bos_token: Option<TokenField>,
    add_prefix_space: Option<bool>,
    /// True where special tokens in a text are tokenized as ordinary text.
    #[serde(default)]
    pub(super) split_special_tokens: bool,
    #[serde(default)]
    added_tokens_decoder: BTreeMap<u32, TokenField>,
    #[serde(default)]
    auto_map: serde_json::Value,
    #[serde(flatten)]
    named: Named,
    #[serde(default)]
    additional_special_tokens: Option<Vec<TokenField>>,
}

/// Special tokens that have keys of their own.
#[derive(Debug, Default, Deserialize)]
struct Named {
    eos_token: Option<TokenField>,
    unk_token: Option<TokenField>,
    pad_token: Option<TokenField>,
    sep_token: Option<TokenField>,
    cls_token: Option<TokenField>,
    mask_token: Option<TokenField>,
}

/// A token, as a text or as an object with more about it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum TokenField {
    Text(String),
    Object { content: String },
}

impl TokenField {
    fn text(&self) -> &str {
        let (Self::Text(text) | Self::Object { content: text }) = self;
        text
    }
}

/// The tokenizer of `tokenizer.json` by itself.
pub(super) struct Template<'t> {
    pub(super) tokenizer: &'t tokenizers::Tokenizer,
    /// Ids that it puts before a text.
    pub(super) prefix: &'t [u32],
}

impl TokenizerConfig {
    /// Reads the file in `folder`; without one, nothing is said.
    ///
    /// # Errors
    /// If it is no JSON, or a key of it has another type than `transformers` writes.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        if !path.is_file() {
            return Ok(Self::default());
        }
        let wrong =
            |error: &dyn std::fmt::Display| InputError::new(format!("{}: {error}", path.display()));
        let text = std::fs::read_to_string(&path).map_err(|error| wrong(&error))?;
        serde_json::from_str(&text).map_err(|error| wrong(&error))
    }

    /// The Python code that cuts texts instead of `tokenizer.json`, if the folder brings some.
    pub(super) fn own_code(&self) -> Option<String> {
        let code = &self.auto_map["AutoTokenizer"];
        (!code.is_null()).then(|| format!("{FILE}: auto_map: {code}"))
    }

    /// Returns how this file and `template` give a text different ids; `None` where they agree.
    pub(super) fn disagreement(&self, template: &Template<'_>) -> Option<String> {
        let disagreement = self
            .begin_of_sequence(template)
            .or_else(|| self.prefix_space(template.tokenizer))
            .or_else(|| self.renamed_token(template.tokenizer))?;
        Some(format!("{FILE} and tokenizer.json disagree: {disagreement}"))
    }

    fn begin_of_sequence(&self, Template { tokenizer, prefix }: &Template<'_>) -> Option<String> {
        let wanted = self.add_bos_token?;
        let token = self.bos_token.as_ref().map(TokenField::text);
        let id = token.and_then(|token| tokenizer.token_to_id(token));
        let is_added = match id {
            Some(id) => prefix.contains(&id),
            None => !prefix.is_empty(),
        };
        if wanted == is_added {
            return None;
        }
        let token = token.map_or("a begin-of-sequence token".into(), |token| format!("{token:?}"));
        let (does, remedy) = if wanted {
            ("adds no", "add it to the template (post_processor) of tokenizer.json")
        } else {
            ("adds", "set add_bos_token to true")
        };
        Some(format!(
            "add_bos_token is {wanted}, and the template of tokenizer.json {does} {token} before a text. \
             transformers 4 and 5 give such a folder different ids. If the model was trained with the \
             token, {remedy}; if not, {}",
            if wanted { "set add_bos_token to false" } else { "remove it from the template" }
        ))
    }

    /// `add_prefix_space`, where a byte-level pre-tokenizer has the setting too.
    fn prefix_space(&self, tokenizer: &tokenizers::Tokenizer) -> Option<String> {
        use tokenizers::PreTokenizerWrapper::{ByteLevel, Sequence};
        let wanted = self.add_prefix_space?;
        let own = match tokenizer.get_pre_tokenizer()? {
            ByteLevel(own) => own.add_prefix_space,
            Sequence(several) => several.as_ref().iter().find_map(|one| match one {
                ByteLevel(own) => Some(own.add_prefix_space),
                _ => None,
            })?,
            _ => return None,
        };
        (own != wanted).then(|| {
            format!("add_prefix_space is {wanted} and {own}; set both to what the model was trained with")
        })
    }

    /// A token that the files give different ids, or whose id they give different tokens.
    fn renamed_token(&self, tokenizer: &tokenizers::Tokenizer) -> Option<String> {
        self.added_tokens_decoder.iter().find_map(|(id, token)| {
            let (token, own) = (token.text(), tokenizer.id_to_token(*id));
            let other = tokenizer.token_to_id(token).filter(|other| other != id);
            if let Some(other) = other {
                return Some(format!("token {token:?} has id {id} and id {other}"));
            }
            let own = own.filter(|own| own != token)?;
            Some(format!("id {id} is token {token:?} and token {own:?}"))
        })
    }

    /// The tokens that only this file has: `transformers` adds them, and a text that holds one has other ids
    /// there.
    pub(super) fn unknown_tokens(&self, tokenizer: &tokenizers::Tokenizer) -> Vec<String> {
        let Named { eos_token, unk_token, pad_token, sep_token, cls_token, mask_token } =
            &self.named;
        let named =
            [&self.bos_token, eos_token, unk_token, pad_token, sep_token, cls_token, mask_token];
        let tokens = self.added_tokens_decoder.values().chain(named.into_iter().flatten());
        let tokens =
            tokens.chain(self.additional_special_tokens.iter().flatten()).map(TokenField::text);
        let unknown = tokens.filter(|token| tokenizer.token_to_id(token).is_none());
        let unknown: BTreeSet<&str> = unknown.filter(|token| !token.is_empty()).collect();
        unknown.into_iter().map(String::from).collect()
    }
}
