//! Prompts that an edit should leave alone: the perplexity of their texts, and the token that is
//! predicted at each of their positions, before and after.

use super::repair::argmaxes;
use crate::edit::Edit;
use crate::engine::forward;
use crate::error::{InputError, NonFinite};
use crate::model::Loaded;
use crate::system::signal;
use anyhow::Result;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::path::Path;
use tch::{Kind, Tensor};

/// Short texts of many kinds, written for this project.
const DEFAULT: &str = include_str!("kept.txt");

/// A line that parts two texts.
const RULE: &str = "---";

/// Texts as ids, of at least two tokens each.
pub struct KeptTexts {
    texts: Vec<Vec<u32>>,
}

/// Predictions of a model on the texts.
#[derive(Clone, Debug)]
pub struct KeptReading {
    /// Mean of -ln P of every token but the first of each text.
    nll: f64,
    /// The most probable next token at every position; `None` where logits are not finite.
    argmaxes: Vec<Option<u32>>,
}

/// Two readings compared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Drift {
    /// exp of the mean negative log-probability of a token, before.
    pub perplexity_before: f64,
    /// And after.
    pub perplexity_after: f64,
    /// Positions at which another token is predicted.
    pub changed: usize,
    /// All positions.
    pub positions: usize,
}

impl KeptTexts {
    /// Reads the texts of the file `path`, separated by lines `---`; without a path, those of this project.
    ///
    /// # Errors
    /// If the file cannot be read, or one of its texts has fewer than two tokens, or more than the
    /// model's context.
    pub fn read(path: Option<&Path>, loaded: &Loaded) -> Result<Self> {
        let name = path.map_or("the default kept texts".into(), |path| path.display().to_string());
        let text = text(path)?;
        let wrong = |what: String| InputError::new(format!("{name}: {what}"));
        let mut texts = Vec::new();
        for (place, text) in split(&text).into_iter().enumerate() {
            let ids = loaded.tokenizer.encode(&text)?;
            let (tokens, context) = (ids.len(), loaded.model.spec().context);
            if !(2..=context).contains(&tokens) {
                return Err(wrong(format!(
                    "text {} has {tokens} tokens; 2 to {context} can be read",
                    place + 1
                )));
            }
            texts.push(ids);
        }
        if texts.is_empty() {
            return Err(wrong("no text in it; texts are parted by lines `---`".into()));
        }
        Ok(Self { texts })
    }

    /// Number of texts.
    pub fn count(&self) -> usize {
        self.texts.len()
    }

    /// Predictions of the model on the texts under `edit`.
    ///
    /// # Errors
    /// If the user stops.
    pub fn under(&self, loaded: &Loaded, edit: &Edit) -> Result<KeptReading> {
        let (mut sum, mut tokens, mut said) = (0.0, 0, Vec::new());
        for text in &self.texts {
            signal::check()?;
            tokens += text.len() - 1;
            let ids: Vec<i64> = text.iter().map(|&id| i64::from(id)).collect();
            let ids = Tensor::from_slice(&ids).to_device(loaded.model.spec().device);
            let logits = forward::logits(loaded.model.as_ref(), &ids.unsqueeze(0), edit);
            let logits = logits.squeeze_dim(0).to_kind(Kind::Float);
            match argmaxes(&logits) {
                Ok(argmaxes) => said.extend(argmaxes.into_iter().map(Some)),
                Err(error) if error.is::<NonFinite>() => {
                    said.extend(std::iter::repeat_n(None, text.len()));
                    sum = f64::INFINITY;
                    continue;
                }
                Err(error) => return Err(error),
            }
            let next = ids.narrow(0, 1, text.len() as i64 - 1).unsqueeze(-1);
            let all = logits.narrow(0, 0, text.len() as i64 - 1).log_softmax(-1, Kind::Float);
            sum -= f64::try_from(all.gather(-1, &next, false).sum(Kind::Double))?;
        }
        Ok(KeptReading { nll: sum / tokens as f64, argmaxes: said })
    }
}

impl KeptReading {
    /// exp of the mean, at most e^700, which is what a model has whose logits are not finite.
    fn perplexity(&self) -> f64 {
        self.nll.min(700.0).exp()
    }
}

impl Drift {
    /// From one reading to another.
    pub fn between(before: &KeptReading, after: &KeptReading) -> Self {
        let pairs = before.argmaxes.iter().zip(&after.argmaxes);
        Self {
            perplexity_before: before.perplexity(),
            perplexity_after: after.perplexity(),
            changed: pairs.filter(|(before, after)| after.is_none() || before != after).count(),
            positions: before.argmaxes.len(),
        }
    }
}

fn text(path: Option<&Path>) -> Result<String> {
    path.map_or_else(|| Ok(DEFAULT.to_string()), super::read)
}

/// Finds out whether the texts of the file `path` can be read: before a model is loaded.
///
/// # Errors
/// If they cannot.
pub fn check(path: Option<&Path>) -> Result<()> {
    text(path).map(drop)
}

/// SHA-256 of the texts of the file `path`, or of those of this project, 64 hex digits.
///
/// # Errors
/// If the file cannot be read.
pub fn sha256(path: Option<&Path>) -> Result<String> {
    Ok(format!("{:x}", Sha256::digest(text(path)?)))
}

/// The texts between lines `---`, without line ends around them; none that is empty.
fn split(text: &str) -> Vec<String> {
    let mut texts = vec![Vec::new()];
    for line in text.lines() {
        if line.trim_end() == RULE {
            texts.push(Vec::new());
        } else {
            texts.last_mut().expect("there is one").push(line);
        }
    }
    let texts = texts.into_iter().map(|lines| lines.join("\n").trim_matches('\n').to_string());
    texts.filter(|text| !text.trim().is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT, split};

    #[test]
    fn texts_are_parted_by_rules() {
        assert_eq!(split("\na\n\nb\n---\n---  \n\n  c\n"), ["a\n\nb", "  c"]);
        assert!(split("---\n\n").is_empty());
    }

    #[test]
    fn there_are_default_texts_and_none_twice() {
        let mut texts = split(DEFAULT);
        assert!(texts.len() >= 20);
        texts.sort();
        let count = texts.len();
        texts.dedup();
        assert_eq!(texts.len(), count);
    }
}
