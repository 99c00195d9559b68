//! The samples of one type as the model meets them: every prompt traced once.

use super::row_cases::RowCases;
use super::{Case, text};
use crate::config::ProbingConfig;
use crate::data::benchmark::{Benchmark, Place};
use crate::edit::{Edit, Observation};
use crate::engine::probe::Probes;
use crate::method::observe_each;
use crate::model::Loaded;
use crate::records::{Change, Probed};
use anyhow::Result;
use std::collections::HashMap;
use tch::Tensor;

/// All cases of a type.
pub(super) struct TypeProbes<'m> {
    cases: HashMap<(Place, usize), Case>,
    /// Row of each prompt in `probes`: targets of a sample mostly share one.
    rows: HashMap<Vec<u32>, usize>,
    probes: Probes<'m>,
    /// Number of related prompts of a row whose output lacks its target token.
    pub(super) unplaced: usize,
}

impl<'m> TypeProbes<'m> {
    /// Tokenizes and traces the samples of the `of`-th type, in `memory` bytes.
    ///
    /// # Errors
    /// If for this tokenizer a symbol begins with its rival, or a prompt does not fit the model.
    pub(super) fn new(
        benchmark: &Benchmark,
        of: usize,
        settings: &ProbingConfig,
        loaded: &'m Loaded,
        memory: usize,
    ) -> Result<Self> {
        let mut unplaced = 0;
        let cases = if benchmark.rows.is_some() {
            let found = RowCases::new(benchmark, of, settings, loaded)?;
            unplaced = found.unplaced;
            found.cases.into_iter().map(|(place, case)| ((place, 0), case)).collect()
        } else {
            declared(benchmark, of, settings, loaded)?
        };
        let mut rows = HashMap::new();
        let mut prompts = Vec::new();
        let mut places: Vec<&(Place, usize)> = cases.keys().collect();
        places.sort();
        for place in places {
            let prompt = &cases[place].prompt;
            rows.entry(prompt.clone()).or_insert_with(|| {
                prompts.push(prompt.clone());
                prompts.len() - 1
            });
        }
        let probes = Probes::new(loaded.model.as_ref(), &prompts, memory);
        Ok(Self { cases, rows, probes, unplaced })
    }

    pub(super) fn case(&self, place: Place, target: usize) -> &Case {
        &self.cases[&(place, target)]
    }

    /// Observations of each of `tokens` after the prompt of `case`, under the unedited model.
    pub(super) fn before(&self, case: &Case, tokens: &[u32]) -> Result<Vec<Observation>> {
        let rows = vec![self.rows[&case.prompt]; tokens.len()];
        observe_rows(self.probes.before(), &rows, tokens)
    }

    /// Logits after every prompt under `edit`, for [`TypeProbes::probe`].
    pub(super) fn logits(&self, edit: &Edit) -> Tensor {
        self.probes.after(edit)
    }

    /// The case at `place` with its `target`-th target, which `edit` patches: what the samples of
    /// `benchmark` beside it make of the edit, where the logits were those of `before`. A related sample is
    /// asked for the target after its own prompt for it; an unrelated one after its prompt for its own first
    /// target, and of rows for that one ([`RowCases::new`]).
    pub(super) fn probe(
        &self,
        benchmark: &Benchmark,
        (place, target): (Place, usize),
        before: &Tensor,
        edit: &Edit,
    ) -> Result<Probed> {
        let (mut rows, mut tokens) = (Vec::new(), Vec::new());
        for related in benchmark.related(place) {
            let case = self.case(related, target);
            rows.push(self.rows[&case.prompt]);
            tokens.push(case.target);
        }
        let related = rows.len();
        for unrelated in benchmark.unrelated(place) {
            let own = self.case(unrelated, 0);
            rows.push(self.rows[&own.prompt]);
            let asked = if benchmark.rows.is_some() { own } else { self.case(place, target) };
            tokens.push(asked.target);
        }
        let after = self.logits(edit);
        let target_before = observe_rows(before, &rows, &tokens)?;
        let target_after = observe_rows(&after, &rows, &tokens)?;
        let argmax: Vec<u32> = target_before.iter().map(|seen| seen.argmax).collect();
        let now: Vec<u32> = target_after.iter().map(|seen| seen.argmax).collect();
        let of = |tokens: &[u32]| -> Result<Change> {
            let before = observe_rows(before, &rows, tokens)?;
            Ok(change(&before, &observe_rows(&after, &rows, tokens)?))
        };
        Ok(Probed {
            related,
            target: change(&target_before, &target_after),
            argmax_is: of(&argmax)?,
            argmax,
            now_is: of(&now)?,
            now,
        })
    }
}

/// The cases of a type whose subtypes declare their tokens.
fn declared(
    benchmark: &Benchmark,
    of: usize,
    settings: &ProbingConfig,
    loaded: &Loaded,
) -> Result<HashMap<(Place, usize), Case>> {
    let mut cases = HashMap::new();
    for place in benchmark.of_type(of) {
        let text = text(benchmark, place, settings);
        let subtype = &benchmark.subtypes[place.subtype];
        for (index, target) in subtype.targets.iter().enumerate() {
            cases.insert((place, index), Case::of(subtype, target, &text, loaded)?);
        }
    }
    Ok(cases)
}

/// Observations of `logits` `[n,V]`: of each of `rows`, for the token beside it.
fn observe_rows(logits: &Tensor, rows: &[usize], tokens: &[u32]) -> Result<Vec<Observation>> {
    let whole = |values: Vec<i64>| Tensor::from_slice(&values).to_device(logits.device());
    let rows = whole(rows.iter().map(|&row| row as i64).collect());
    let tokens = whole(tokens.iter().map(|&token| i64::from(token)).collect());
    observe_each(&logits.index_select(0, &rows), &tokens)
}

fn change(before: &[Observation], after: &[Observation]) -> Change {
    let ranks = |seen: &[Observation]| seen.iter().map(|seen| seen.target_rank).collect();
    let probabilities =
        |seen: &[Observation]| seen.iter().map(|seen| seen.target_probability as f32).collect();
    Change {
        rank_before: ranks(before),
        rank_after: ranks(after),
        probability_before: probabilities(before),
        probability_after: probabilities(after),
    }
}
