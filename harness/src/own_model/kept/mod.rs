//! Texts that an edit should leave alone: their perplexity, and the token that is predicted at each of their
//! positions, before and after. [`source`] says where texts come from, [`change`] compares whole distributions.

pub mod change;
pub mod source;

use self::source::Source;
use super::patch::repair::argmaxes;
use crate::edit::Edit;
use crate::engine::forward;
use crate::error::{InputError, NonFinite};
use crate::model::Loaded;
use crate::system::signal;
use anyhow::Result;
use serde::Serialize;
use std::path::Path;
use tch::{Kind, Tensor};

/// Tokens of a text of a large set that are read at most.
const LONGEST: usize = 256;

/// Tokens of a large set that are read at most, spread evenly over its texts.
const MOST: usize = 8192;

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
    /// Reads the texts that `named` names (see [`source`]); without a name, those of this project.
    ///
    /// # Errors
    /// If they cannot be read, or one of the texts that are read whole has fewer than two tokens, or more than the
    /// model's context.
    pub fn read(named: Option<&Path>, loaded: &Loaded) -> Result<Self> {
        let source = Source::new(named);
        let name = source.name();
        let wrong = |what: String| InputError::new(format!("{name}: {what}"));
        let context = loaded.model.spec().context;
        let mut texts = Vec::new();
        for (place, text) in source.texts()?.into_iter().enumerate() {
            let mut ids = loaded.tokenizer.encode(&text)?;
            if source.is_cut() {
                ids.truncate(LONGEST.min(context));
                if ids.len() < 2 {
                    continue;
                }
            }
            let tokens = ids.len();
            if !(2..=context).contains(&tokens) {
                return Err(wrong(format!(
                    "text {} has {tokens} tokens; 2 to {context} can be read",
                    place + 1
                )));
            }
            texts.push(ids);
        }
        if texts.is_empty() {
            return Err(wrong("no text of two tokens or more in it".into()));
        }
        if source.is_cut() {
            texts = spread(texts, MOST);
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

/// exp of the mean negative log-probability `nll`; that of a model whose logits are not finite is e^700.
fn perplexity(nll: f64) -> f64 {
    if nll.is_nan() { 700.0_f64.exp() } else { nll.min(700.0).exp() }
}

impl KeptReading {
    /// exp of the mean, at most e^700, which is what a model has whose logits are not finite.
    fn perplexity(&self) -> f64 {
        perplexity(self.nll)
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

/// Texts of `texts`, evenly spread, of `most` tokens in all at most (or one).
fn spread(texts: Vec<Vec<u32>>, most: usize) -> Vec<Vec<u32>> {
    let tokens: usize = texts.iter().map(Vec::len).sum();
    let count = if tokens <= most { texts.len() } else { texts.len() * most / tokens };
    let (all, count) = (texts.len(), count.max(1));
    let mut left = most;
    let chosen = (0..count).map(|index| index * all / count);
    let mut texts: Vec<Option<Vec<u32>>> = texts.into_iter().map(Some).collect();
    let mut spread = Vec::new();
    for index in chosen {
        let Some(text) = texts[index].take() else { continue };
        if text.len() > left && !spread.is_empty() {
            continue;
        }
        left = left.saturating_sub(text.len());
        spread.push(text);
    }
    spread
}

/// Finds out whether the texts that `named` names can be read: before a model is loaded.
///
/// # Errors
/// If they cannot.
pub fn check(named: Option<&Path>) -> Result<()> {
    Source::new(named).texts().map(drop)
}

/// SHA-256 of the texts that `named` names, 64 hex digits.
///
/// # Errors
/// If they cannot be read.
pub fn sha256(named: Option<&Path>) -> Result<String> {
    Source::new(named).sha256()
}

#[cfg(test)]
mod tests {
    use super::spread;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn spread_texts_are_some_of_all_in_order(
            lengths in prop::collection::vec(2_usize..20, 1..30),
            most in 1_usize..200,
        ) {
            let texts: Vec<Vec<u32>> =
                lengths.iter().zip(0..).map(|(&length, id)| vec![id; length]).collect();
            let found = spread(texts.clone(), most);
            let tokens: usize = found.iter().map(Vec::len).sum();
            prop_assert!(tokens <= most || found.len() == 1);
            prop_assert!(found.is_sorted_by(|a, b| a[0] < b[0]));
            prop_assert!(found.iter().all(|text| texts.contains(text)));
            let all: usize = lengths.iter().sum();
            prop_assert!(all > most || found.len() == texts.len());
        }
    }
}
