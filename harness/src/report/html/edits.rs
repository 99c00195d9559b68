//! Edits as the page's browser reads them: JSON.

use crate::dataset::DatasetName;
use crate::record::{CaseName, DatumRecord, Observation, Outcome, Phases, Record};
use crate::trial::Trial;
use serde::Serialize;
use std::collections::HashMap;
use std::ops::Range;

/// Edits that a page holds at most: browsers stay fluid, and files small. The rest is for `ment show`.
const MOST: usize = 20_000;

/// All that the browser shows.
#[derive(Default, Serialize)]
pub(super) struct Edits<'r> {
    prompts: Vec<Prompt<'r>>,
    pub(super) methods: Vec<&'r str>,
    edits: Vec<Edit<'r>>,
    #[serde(skip)]
    pub(super) scopes: Vec<&'r str>,
    /// How many there are in all.
    #[serde(skip)]
    pub(super) all: usize,
}

/// What was prompted. Methods share it.
#[derive(Serialize)]
struct Prompt<'r> {
    scope: &'r str,
    place: String,
    prompt: &'r str,
    /// What should follow.
    gold: Option<&'r str>,
}

#[derive(Serialize)]
struct Edit<'r> {
    id: String,
    prompt: usize,
    method: usize,
    outcome: Outcome,
    target: String,
    /// Where the target stands in the gold, in UTF-16 units, if that is certain.
    at: Option<[usize; 2]>,
    before: State,
    after: State,
    /// Layer, index, place in the attribution from 1, gains in rank and log-ratio.
    neurons: Vec<(usize, usize, usize, i64, f64)>,
    elsewhere: String,
    seconds: &'r Phases,
}

#[derive(Serialize)]
struct State {
    argmax: String,
    argmax_probability: f64,
    rank: u32,
    probability: f64,
}

impl State {
    fn of(seen: &Observation, argmax: &str) -> Self {
        Self {
            argmax: token(argmax, seen.argmax),
            argmax_probability: rounded(seen.argmax_probability),
            rank: seen.target_rank,
            probability: rounded(seen.target_probability),
        }
    }
}

/// To the digits that are shown.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// A token, by its id where the record (of format 1) has no text.
fn token(text: &str, id: u32) -> String {
    if text.is_empty() { format!("id {id}") } else { text.to_string() }
}

impl<'r> Edits<'r> {
    pub(super) fn of(records: &'r [Record]) -> Self {
        let mut data: HashMap<(DatasetName, usize), &DatumRecord> = HashMap::new();
        let mut cases: HashMap<&CaseName, &str> = HashMap::new();
        for record in records {
            match record {
                Record::Datum(datum) => {
                    data.insert((datum.dataset, datum.datum), datum);
                }
                Record::Case(case) => {
                    cases.insert(&case.name, &case.prompt_text);
                }
                _ => {}
            }
        }
        let mut own = Self::default();
        let mut places: HashMap<String, usize> = HashMap::new();
        for trial in records.iter().filter_map(Trial::of) {
            own.all += 1;
            if own.edits.len() == MOST {
                continue;
            }
            let (prompt, gold, at) = match trial.record {
                Record::Trial(error) => {
                    let Some(&datum) = data.get(&(error.dataset, error.datum)) else { continue };
                    let at = place(datum, error.position, &trial.texts.target);
                    let gold = datum.gold_text.as_str();
                    (datum.prompt_text.as_str(), Some(gold), at.map(|at| utf16(gold, at)))
                }
                Record::Patch(case) => (cases.get(&case.name).copied().unwrap_or(""), None, None),
                _ => continue,
            };
            let method = index(&mut own.methods, trial.method);
            index(&mut own.scopes, trial.scope);
            let prompts = &mut own.prompts;
            let prompt = *places.entry(trial.place()).or_insert_with_key(|place| {
                prompts.push(Prompt { scope: trial.scope, place: place.clone(), prompt, gold });
                prompts.len() - 1
            });
            let neuron = |patched: &crate::record::Patched| {
                let (layer, index) = (patched.neuron.layer, patched.neuron.index);
                let gain = rounded(patched.log_ratio_gain);
                (layer, index, patched.candidate + 1, patched.rank_gain, gain)
            };
            own.edits.push(Edit {
                id: trial.id.to_string(),
                prompt,
                method,
                outcome: trial.outcome,
                target: token(&trial.texts.target, trial.target),
                at,
                before: State::of(trial.before, &trial.texts.before),
                after: State::of(trial.after, &trial.texts.after),
                neurons: trial.neurons.iter().map(neuron).collect(),
                elsewhere: trial.elsewhere().join("; "),
                seconds: trial.seconds,
            });
        }
        own
    }

    /// How many of them the page holds.
    pub(super) fn held(&self) -> usize {
        self.edits.len()
    }
}

/// The place of `name` among `names`; it is added where it is not there.
fn index<'n>(names: &mut Vec<&'n str>, name: &'n str) -> usize {
    names.iter().position(|known| *known == name).unwrap_or_else(|| {
        names.push(name);
        names.len() - 1
    })
}

/// Where the gold token at `position`, which is `target`, stands in the gold text, in bytes. Older
/// records do not say; there it is certain where the text occurs once.
fn place(datum: &DatumRecord, position: usize, target: &str) -> Option<Range<usize>> {
    if let Some(&end) = datum.gold_ends.get(position) {
        let start = position.checked_sub(1).map_or(0, |before| datum.gold_ends[before]);
        return Some(start..end);
    }
    let mut found = datum.gold_text.match_indices(target).filter(|_| !target.is_empty());
    match (found.next(), found.next()) {
        (Some((start, _)), None) => Some(start..start + target.len()),
        _ => None,
    }
}

/// A range of bytes as one of UTF-16 units, which are what JavaScript counts in.
fn utf16(text: &str, bytes: Range<usize>) -> [usize; 2] {
    let units = |end: usize| text.get(..end).unwrap_or(text).encode_utf16().count();
    [units(bytes.start), units(bytes.end)]
}

#[cfg(test)]
mod tests {
    use super::{place, utf16};
    use crate::dataset::DatasetName;
    use crate::record::DatumRecord;

    fn datum(gold_text: &str, gold_ends: &[usize]) -> DatumRecord {
        DatumRecord {
            dataset: DatasetName::Conala,
            datum: 0,
            demonstrations: Vec::new(),
            prompt_tokens: 1,
            prompt_text: String::new(),
            gold: Vec::new(),
            gold_text: gold_text.into(),
            gold_ends: gold_ends.to_vec(),
            argmax: Vec::new(),
            gold_rank: Vec::new(),
            gold_probability: Vec::new(),
            argmax_probability: Vec::new(),
            seconds: 0.0,
        }
    }

    #[test]
    fn the_wrong_token_is_found_where_that_is_certain() {
        let known = datum("aäa(a)", &[1, 3, 4, 5, 6, 7]);
        assert_eq!(place(&known, 0, "a"), Some(0..1));
        assert_eq!(place(&known, 4, "a"), Some(5..6));
        assert_eq!(utf16(&known.gold_text, 5..6), [4, 5]);
        let older = datum("aäa(a)", &[]);
        assert_eq!(place(&older, 4, "a"), None);
        assert_eq!(place(&older, 3, "("), Some(4..5));
        assert_eq!(place(&older, 3, ""), None);
    }
}
