//! Cases of a row: where its output is edited, and where the edit is probed on the prompts beside it.

use super::{Case, text};
use crate::config::ProbingConfig;
use crate::data::benchmark::{Benchmark, Place};
use crate::edit::Edit;
use crate::engine::forward;
use crate::error::InputError;
use crate::method::observe_each;
use crate::model::Loaded;
use crate::model::tokenizer::Joint;
use anyhow::Result;
use std::collections::HashMap;
use tch::Tensor;

/// Cases of one row, by sample.
pub(super) struct RowCases {
    pub(super) cases: HashMap<Place, Case>,
    /// Related prompts whose output does not have the target token.
    pub(super) unplaced: usize,
}

/// A row's target, and where it stands.
struct Target<'o> {
    token: u32,
    /// Tokens of the output before it.
    before: usize,
    output: &'o str,
}

impl RowCases {
    /// The cases of the `of`-th row of `benchmark`. The target is the first token of its output that the
    /// unedited model does not predict, given those before it, and the argmax what it predicts instead; where
    /// it predicts all of them, the first. A related prompt is asked for the target where that stands first
    /// in the prompt's own output (or, if it has none, in the row's), and right behind the prompt where it does
    /// not stand there; an unrelated one right behind it, for the first token of its own output or, if
    /// it has none, for the target.
    ///
    /// # Errors
    /// If a prompt does not fit the model.
    pub(super) fn new(
        benchmark: &Benchmark,
        of: usize,
        settings: &ProbingConfig,
        loaded: &Loaded,
    ) -> Result<Self> {
        let mut places = benchmark.of_type(of);
        let row = places.next().expect("a row has its own sample");
        let output = benchmark.sample(row).output.as_deref().unwrap_or_default();
        let ids = |place: Place, output: &str| -> Result<Joint> {
            let ids = loaded.tokenizer.encode_joint(&text(benchmark, place, settings), output)?;
            let (tokens, context) =
                (ids.prompt.len() + ids.gold.len(), loaded.model.spec().context);
            if ids.prompt.is_empty() || ids.gold.is_empty() || tokens > context {
                return Err(InputError::new(format!(
                    "{}: prompt and output of {} and {} tokens, where each must hold at least one and \
                     the model's context holds {context}: {:?}",
                    benchmark.subtypes[row.subtype].name,
                    ids.prompt.len(),
                    ids.gold.len(),
                    benchmark.sample(place).intent,
                )));
            }
            Ok(ids)
        };
        let own = ids(row, output)?;
        let (before, argmax) = first_error(&own, loaded)?;
        let target = Target { token: own.gold[before], before, output };
        let mut found = Self { cases: HashMap::new(), unplaced: 0 };
        found.cases.insert(row, case(own, before, argmax, target.token));
        for place in places {
            let wanted = benchmark.sample(place).output.as_deref();
            let ids = ids(place, wanted.unwrap_or(output))?;
            let (at, token) = if place.subtype == row.subtype {
                let at = target.stands_in(&ids, wanted);
                found.unplaced += usize::from(at.is_none());
                (at.unwrap_or(0), target.token)
            } else {
                (0, wanted.map_or(target.token, |_| ids.gold[0]))
            };
            found.cases.insert(place, case(ids, at, token, token));
        }
        Ok(found)
    }
}

impl Target<'_> {
    /// Its place among the gold tokens of a related prompt whose output is `wanted`.
    fn stands_in(&self, ids: &Joint, wanted: Option<&str>) -> Option<usize> {
        let same = wanted.is_none_or(|wanted| wanted == self.output);
        let in_place = same && ids.gold.get(self.before) == Some(&self.token);
        let first = || ids.gold.iter().position(|&token| token == self.token);
        if in_place { Some(self.before) } else { first() }
    }
}

/// The case behind the prompt and the first `at` gold tokens.
fn case(ids: Joint, at: usize, argmax: u32, target: u32) -> Case {
    let Joint { mut prompt, gold } = ids;
    prompt.extend(&gold[..at]);
    Case { prompt, argmax, target }
}

/// Index of the first gold token that the unedited model does not predict, and what it predicts there; of the
/// first gold token if it predicts them all.
fn first_error(ids: &Joint, loaded: &Loaded) -> Result<(usize, u32)> {
    let model = loaded.model.as_ref();
    let Joint { prompt, gold } = ids;
    let whole = |ids: &mut dyn Iterator<Item = &u32>| {
        let ids: Vec<i64> = ids.map(|&id| i64::from(id)).collect();
        Tensor::from_slice(&ids).to_device(model.spec().device)
    };
    let sequence = whole(&mut prompt.iter().chain(&gold[..gold.len() - 1]));
    let residual = forward::residual(model, &sequence.unsqueeze(0), None, &Edit::none()).get(0);
    let states = residual.narrow(0, prompt.len() as i64 - 1, gold.len() as i64);
    let seen = observe_each(&model.head(&model.final_norm(&states)), &whole(&mut gold.iter()))?;
    let wrong = seen.iter().position(|seen| seen.target_rank > 1).unwrap_or(0);
    Ok((wrong, seen[wrong].argmax))
}
