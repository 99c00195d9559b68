//! Edits as the page's browser reads them: JSON.

use crate::edit::{EditSize, Observation, Outcome, Patched, Phases};
use crate::records::Record;
use crate::records::manifest::Identity;
use crate::records::view::{self, Prompts, TrialView};
use serde::Serialize;
use std::collections::HashMap;
use std::ops::Range;

/// Edits that a page holds at most: browsers stay fluid, and files small. The rest is for `ment show`.
const MOST: usize = 20_000;

/// Names of the phases of an edit.
const PHASES: [&str; 5] = ["trace", "locate", "estimate", "plan", "apply"];

/// All that the browser shows.
#[derive(Default, Serialize)]
pub(crate) struct PageEdits<'r> {
    prompts: Vec<PagePrompt<'r>>,
    pub(crate) methods: Vec<&'r str>,
    edits: Vec<PageEdit<'r>>,
    phases: [&'static str; 5],
    /// One more than the largest layer and the largest neuron of all edits: the extent of their map.
    extent: [usize; 2],
    #[serde(skip)]
    pub(crate) scopes: Vec<&'r str>,
    /// Number of edits of the run.
    #[serde(skip)]
    pub(crate) all: usize,
}

/// Prompt, shared by methods.
#[derive(Serialize)]
struct PagePrompt<'r> {
    scope: &'r str,
    place: String,
    prompt: &'r str,
    /// Text that should follow.
    gold: &'r str,
}

#[derive(Serialize)]
struct PageEdit<'r> {
    id: String,
    prompt: usize,
    method: usize,
    outcome: Outcome,
    target: PageToken<'r>,
    /// Place of the target in the gold text, in UTF-16 units, if it is certain.
    at: Option<[usize; 2]>,
    before: State<'r>,
    after: State<'r>,
    /// Layer, index, place in the attribution from 1, gains in rank and log-ratio.
    neurons: Vec<(usize, usize, usize, i64, f64)>,
    /// Size of an edit that is no patches of neurons.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<String>,
    elsewhere: String,
    /// Seconds of the phases, in the order of [`PHASES`].
    seconds: [f64; 5],
}

/// The size of an edit of matrices, as a heading.
fn described(size: EditSize) -> String {
    let EditSize { parameters, norm, relative } = size;
    let share = relative * 100.0;
    format!("Matrices changed by {parameters} numbers, ‖ΔW‖ = {norm:.3}, {share:.2} % of ‖W‖")
}

/// A token: its text, or its id where the record (of format 1) has none.
#[derive(Serialize)]
#[serde(untagged)]
enum PageToken<'r> {
    Text(&'r str),
    Id(u32),
}

/// The most probable token and its probability, rank and probability of the target.
#[derive(Serialize)]
struct State<'r>(PageToken<'r>, f64, u32, f64);

impl<'r> State<'r> {
    fn of(seen: &Observation, argmax: &'r str) -> Self {
        Self(
            token(argmax, seen.argmax),
            rounded(seen.argmax_probability),
            seen.target_rank,
            rounded(seen.target_probability),
        )
    }
}

/// To the digits that are shown.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

fn token(text: &str, id: u32) -> PageToken<'_> {
    if text.is_empty() { PageToken::Id(id) } else { PageToken::Text(text) }
}

impl<'r> PageEdits<'r> {
    /// The edits in `records`, under the headings of `identity`.
    pub(crate) fn of(records: &'r [Record], identity: &Identity) -> Self {
        let headings = identity.headings();
        let known = Prompts::of(records);
        let mut own = Self { phases: PHASES, ..Self::default() };
        let mut places: HashMap<String, usize> = HashMap::new();
        for view in records.iter().filter_map(TrialView::of) {
            let trial = view.trial();
            own.all += 1;
            let method = index(&mut own.methods, &trial.method);
            let scope = headings.of(view.scope()).unwrap_or(view.scope());
            index(&mut own.scopes, scope);
            if own.edits.len() == MOST {
                continue;
            }
            let Some(prompt) = known.get(&view) else { continue };
            let view::PromptView { text, gold, at, .. } = prompt;
            let prompts = &mut own.prompts;
            let prompt = *places.entry(view.place()).or_insert_with_key(|place| {
                let place = place.clone();
                prompts.push(PagePrompt { scope, place, prompt: text, gold });
                prompts.len() - 1
            });
            let neuron = |patched: &Patched| {
                let (layer, index) = (patched.neuron.layer, patched.neuron.index);
                let gain = rounded(patched.log_ratio_gain);
                (layer, index, patched.candidate + 1, patched.rank_gain, gain)
            };
            for Patched { neuron, .. } in &trial.neurons {
                own.extent[0] = own.extent[0].max(neuron.layer + 1);
                own.extent[1] = own.extent[1].max(neuron.index + 1);
            }
            own.edits.push(PageEdit {
                id: trial.id.to_string(),
                prompt,
                method,
                outcome: trial.outcome,
                target: token(&trial.texts.target, trial.target),
                at: at.map(|at| utf16(gold, at)),
                before: State::of(&trial.before, &trial.texts.before),
                after: State::of(&trial.after, &trial.texts.after),
                neurons: trial.neurons.iter().map(neuron).collect(),
                size: trial.size.filter(|_| trial.neurons.is_empty()).map(described),
                elsewhere: view.elsewhere().join("; "),
                seconds: {
                    let Phases { trace, locate, estimate, plan, apply } = trial.seconds;
                    [trace, locate, estimate, plan, apply].map(rounded)
                },
            });
        }
        own
    }

    /// Number of edits on the page.
    pub(crate) fn held(&self) -> usize {
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

/// A range of bytes as one of UTF-16 units, which are what JavaScript counts in.
fn utf16(text: &str, bytes: Range<usize>) -> [usize; 2] {
    let units = |end: usize| text.get(..end).unwrap_or(text).encode_utf16().count();
    [units(bytes.start), units(bytes.end)]
}

#[cfg(test)]
mod tests {
    use super::utf16;

    #[test]
    fn places_are_counted_as_javascript_does() {
        assert_eq!(utf16("aäa(a)", 5..6), [4, 5]);
        assert_eq!(utf16("😀b", 4..5), [2, 3]);
    }
}
