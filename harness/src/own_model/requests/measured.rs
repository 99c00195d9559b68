//! Measures of requests from outside: what the model writes under all edits.

use super::said::said;
use super::set::RequestTasks;
use crate::edit::Edit;
use crate::method::HeldText;
use crate::model::Loaded;
use crate::model::tokenizer::Joint;
use crate::own_model::generate::{GenerateSettings, Sampling, Stops, generate};
use crate::own_model::patch::repair::Task;
use anyhow::Result;
use serde::Serialize;
use std::ops::AddAssign;

/// A share of prompts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Of {
    /// Number of them that it is true of.
    pub count: usize,
    /// All.
    pub of: usize,
}

/// A request under the edits of all requests. Greedy generation writes a text if each of its tokens is the most probable
/// one after those before it; that is how it is measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RequestMeasured {
    /// Name of the request.
    pub name: String,
    /// Prompts after which the unedited model writes the target already.
    pub before: Of,
    /// Prompts after which the edited model writes the target.
    pub prompts: Of,
    /// Rephrasings after which it does.
    pub rephrasings: Of,
    /// Prompts to keep after which it writes the same 8 tokens as before.
    pub keep: Of,
    /// Unrelated prompts after which it does.
    pub unrelated: Of,
    /// Number of neurons whose columns change.
    pub neurons: usize,
    /// Numbers that describe the edit.
    pub parameters: usize,
    /// Prompts of all kinds that the counts leave out.
    pub failing: Vec<Failing>,
}

/// A prompt after which the edited model does not write what it should.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failing {
    /// Kind of the prompt.
    pub kind: Kind,
    /// The prompt.
    pub prompt: String,
    /// The text that it should write.
    pub wanted: String,
    /// The text that it writes, as many tokens.
    pub writes: String,
    /// Requests each of whose edits, taken out alone, brings the wanted text: with a prompt or a rephrasing, those that
    /// its own request conflicts with.
    pub because_of: Vec<String>,
}

/// Kinds of prompts of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A prompt to repair.
    Prompt,
    /// A rephrasing.
    Rephrasing,
    /// A prompt to keep.
    Keep,
    /// An unrelated prompt.
    Unrelated,
}

impl AddAssign for Of {
    fn add_assign(&mut self, more: Self) {
        self.count += more.count;
        self.of += more.of;
    }
}

impl Of {
    /// The sum of several.
    pub fn sum(all: impl Iterator<Item = Self>) -> Self {
        all.fold(Self::default(), |mut sum, own| {
            sum += own;
            sum
        })
    }

    /// The share; `None` of nothing.
    pub fn share(self) -> Option<f64> {
        (self.of > 0).then(|| self.count as f64 / self.of as f64)
    }
}

/// A text that should be written after a prompt of a request.
struct Text<'r> {
    /// Place of the request.
    request: usize,
    kind: Kind,
    prompt: &'r str,
    ids: Vec<u32>,
    /// Number of ids of the prompt.
    from: usize,
}

/// All texts of `requests`. Where the unedited model writes nothing there is nothing to compare.
fn texts(requests: &[RequestTasks]) -> Vec<Text<'_>> {
    let mut texts = Vec::new();
    for (place, request) in requests.iter().enumerate() {
        for (kind, tasks) in
            [(Kind::Prompt, &request.prompts), (Kind::Rephrasing, &request.rephrasings)]
        {
            texts.extend(tasks.iter().map(
                |Task { prompt, ids: Joint { prompt: ids, gold }, .. }| {
                    let from = ids.len();
                    Text { request: place, kind, prompt, ids: [&ids[..], gold].concat(), from }
                },
            ));
        }
        let line = &request.line;
        for (kind, prompts, held) in [
            (Kind::Keep, &line.keep, &request.keep),
            (Kind::Unrelated, &line.unrelated, &request.unrelated),
        ] {
            let written = prompts.iter().zip(held).filter(|(_, own)| own.ids.len() > own.from);
            texts.extend(written.map(|(prompt, HeldText { ids, from })| Text {
                request: place,
                kind,
                prompt,
                ids: ids.clone(),
                from: *from,
            }));
        }
    }
    texts
}

/// Measures every request under `edits`, one a request, which act together.
///
/// # Errors
/// If the user stops.
pub fn measure(
    loaded: &Loaded,
    requests: &[RequestTasks],
    edits: &[Edit],
) -> Result<Vec<RequestMeasured>> {
    let texts = texts(requests);
    let one = |(request, edit): (&RequestTasks, &Edit)| {
        let of_updates: usize = edit.updates.iter().map(|own| own.change.parameters()).sum();
        RequestMeasured {
            name: request.line.name.clone(),
            neurons: edit.neurons(),
            parameters: edit.columns.len() * loaded.model.spec().d_model + of_updates,
            ..RequestMeasured::default()
        }
    };
    let mut measured: Vec<RequestMeasured> = requests.iter().zip(edits).map(one).collect();
    let whole = together(edits, None);
    let all: Vec<(&[u32], usize)> = texts.iter().map(|own| (&own.ids[..], own.from)).collect();
    let mut both = said(loaded, &[&Edit::none(), &whole], &all)?;
    let (after, before) = (both.remove(1), both.remove(0));
    for (own, (before, said)) in texts.iter().zip(before.into_iter().zip(after)) {
        if own.kind == Kind::Prompt {
            measured[own.request].before += Of { count: usize::from(before), of: 1 };
        }
        let request = &mut measured[own.request];
        let count = match own.kind {
            Kind::Prompt => &mut request.prompts,
            Kind::Rephrasing => &mut request.rephrasings,
            Kind::Keep => &mut request.keep,
            Kind::Unrelated => &mut request.unrelated,
        };
        *count += Of { count: usize::from(said), of: 1 };
        if !said {
            let settings = GenerateSettings {
                tokens: own.ids.len() - own.from,
                sampling: Sampling::GREEDY,
                stops: Stops::default(),
            };
            let (prompt, wanted) = own.ids.split_at(own.from);
            let writes = generate(loaded, prompt, &whole, &settings, |_| {})?.ids;
            let tokenizer = &loaded.tokenizer;
            request.failing.push(Failing {
                kind: own.kind,
                prompt: own.prompt.into(),
                wanted: tokenizer.continuation(prompt, wanted)?,
                writes: tokenizer.continuation(prompt, &writes)?,
                because_of: Vec::new(),
            });
        }
    }
    explain(loaded, (&texts, edits), &mut measured)?;
    Ok(measured)
}

/// Names, for each failing prompt, the requests whose edits cause it.
fn explain(
    loaded: &Loaded,
    (texts, edits): (&[Text<'_>], &[Edit]),
    measured: &mut [RequestMeasured],
) -> Result<()> {
    let names: Vec<String> = measured.iter().map(|own| own.name.clone()).collect();
    let failing: Vec<&Text<'_>> = texts
        .iter()
        .filter(|text| {
            let of = &measured[text.request].failing;
            of.iter().any(|own| own.kind == text.kind && own.prompt == text.prompt)
        })
        .collect();
    if failing.is_empty() || edits.len() < 2 {
        return Ok(());
    }
    let all: Vec<(&[u32], usize)> = failing.iter().map(|own| (&own.ids[..], own.from)).collect();
    let without: Vec<Edit> = (0..edits.len()).map(|place| together(edits, Some(place))).collect();
    let said = said(loaded, &without.iter().collect::<Vec<_>>(), &all)?;
    for (name, said) in names.iter().zip(said) {
        for (text, _) in failing.iter().zip(said).filter(|(_, said)| *said) {
            let of = &mut measured[text.request].failing;
            let own = of.iter_mut().find(|own| own.kind == text.kind && own.prompt == text.prompt);
            own.expect("it fails").because_of.push(name.clone());
        }
    }
    Ok(())
}

/// All `edits` as one, or all but one.
fn together(edits: &[Edit], without: Option<usize>) -> Edit {
    let edits = edits.iter().enumerate().filter(|(place, _)| Some(*place) != without);
    edits.fold(Edit::none(), |sum, (_, own)| sum.and(own)).merged()
}
