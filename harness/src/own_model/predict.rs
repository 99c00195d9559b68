//! `ment predict`: the next tokens after a prompt, to check a model by hand.

use crate::edit::Edit;
use crate::engine::forward;
use crate::error::InputError;
use crate::method::check_finite;
use crate::model::Loaded;
use anyhow::Result;
use serde::Serialize;
use tch::{Kind, Tensor};

/// One possible next token.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NextToken {
    /// Rank, from 1.
    pub rank: usize,
    /// Token id.
    pub id: u32,
    /// The id as text.
    pub text: String,
    /// Logit.
    pub logit: f64,
    /// Softmax probability.
    pub probability: f64,
}

/// The `top` most probable tokens after `ids` under `edit`, most probable first; equal logits by id.
///
/// # Errors
/// If `ids` is empty, too long, or holds an id outside the vocabulary; or a logit is NaN or infinite.
pub fn next_tokens(
    loaded: &Loaded,
    ids: &[u32],
    edit: &Edit,
    top: usize,
) -> Result<Vec<NextToken>> {
    let spec = loaded.model.spec();
    check(ids, spec.vocabulary, spec.context)?;
    let input: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
    let input = Tensor::from_slice(&input).unsqueeze(0).to_device(spec.device);
    let logits = forward::logits(loaded.model.as_ref(), &input, edit);
    self::top(loaded, &logits.squeeze_dim(0).get(-1), top)
}

/// The `top` most probable tokens by their logits `[V]`, most probable first; equal logits by id.
///
/// # Errors
/// If a logit is NaN or infinite, or libtorch fails.
pub fn top(loaded: &Loaded, logits: &Tensor, top: usize) -> Result<Vec<NextToken>> {
    check_finite(logits)?;
    let logits = logits.to_kind(Kind::Double);
    let log_total = f64::try_from(logits.logsumexp([0_i64].as_slice(), false))?;
    let logits = Vec::<f64>::try_from(logits)?;
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
    order
        .into_iter()
        .take(top)
        .enumerate()
        .map(|(place, id)| {
            Ok(NextToken {
                rank: place + 1,
                id: id as u32,
                text: loaded.tokenizer.token(id as u32)?,
                logit: logits[id],
                probability: (logits[id] - log_total).exp(),
            })
        })
        .collect()
}

/// The tokens as a table for people.
pub fn render(tokens: &[NextToken]) -> String {
    let mut out =
        format!("{:>4} {:>7} {:>10} {:>11}  token\n", "rank", "id", "logit", "probability");
    for token in tokens {
        out += &format!(
            "{:>4} {:>7} {:>10.4} {:>11.6}  {:?}\n",
            token.rank, token.id, token.logit, token.probability, token.text
        );
    }
    out
}

/// Refuses ids that no model of that size can be run on.
pub(crate) fn check(ids: &[u32], vocabulary: usize, context: usize) -> Result<()> {
    if ids.is_empty() {
        return Err(InputError::new("the prompt is empty; a prediction needs at least one token"));
    }
    if ids.len() > context {
        return Err(InputError::new(format!(
            "the prompt has {} tokens, the model's context holds {context}",
            ids.len()
        )));
    }
    if let Some(id) = ids.iter().find(|&&id| id as usize >= vocabulary) {
        return Err(InputError::new(format!(
            "id {id} is outside the vocabulary of {vocabulary} tokens"
        )));
    }
    Ok(())
}
