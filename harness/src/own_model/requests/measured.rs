//! Measures of requests from outside: what the model writes under all edits.

use super::said::said;
use super::set::RequestTasks;
use crate::edit::Edit;
use crate::error::NonFinite;
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

/// All texts of `requests`.
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
            texts.extend(prompts.iter().zip(held).map(|(prompt, HeldText { ids, from })| Text {
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
    let one = |(request, edit): (&RequestTasks, &Edit)| RequestMeasured {
        name: request.line.name.clone(),
        neurons: edit.neurons(),
        parameters: edit.size(loaded.model.as_ref()).map_or(0, |size| size.parameters),
        ..RequestMeasured::default()
    };
    let mut measured: Vec<RequestMeasured> = requests.iter().zip(edits).map(one).collect();
    let whole = together(edits, None);
    let all: Vec<(&[u32], usize)> = texts.iter().map(|own| (&own.ids[..], own.from)).collect();
    let mut both = said(loaded, &[&Edit::none(), &whole], &all)?;
    let (after, before) = (both.remove(1), both.remove(0));
    let mut failing = Vec::new();
    for (place, (own, (before, said))) in
        texts.iter().zip(before.into_iter().zip(after)).enumerate()
    {
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
            let writes = match generate(loaded, prompt, &whole, &settings, |_| {}) {
                Ok(written) => written.ids,
                // A model that is broken writes nothing.
                Err(error) if error.is::<NonFinite>() => Vec::new(),
                Err(error) => return Err(error),
            };
            let tokenizer = &loaded.tokenizer;
            failing.push((place, request.failing.len()));
            request.failing.push(Failing {
                kind: own.kind,
                prompt: own.prompt.into(),
                wanted: tokenizer.continuation(prompt, wanted)?,
                writes: tokenizer.continuation(prompt, &writes)?,
                because_of: Vec::new(),
            });
        }
    }
    explain(loaded, (&texts, edits), &failing, &mut measured)?;
    Ok(measured)
}

/// Edits without one that are replayed at once.
const AT_ONCE: usize = 8;

/// Names, for each of the texts that fail, given by its place and its place among the failing ones of its request, the
/// requests whose edits cause it.
fn explain(
    loaded: &Loaded,
    (texts, edits): (&[Text<'_>], &[Edit]),
    failing: &[(usize, usize)],
    measured: &mut [RequestMeasured],
) -> Result<()> {
    if failing.is_empty() || edits.len() < 2 {
        return Ok(());
    }
    let text = |place: usize| (&texts[place].ids[..], texts[place].from);
    let all: Vec<(&[u32], usize)> = failing.iter().map(|(place, _)| text(*place)).collect();
    let with_edit: Vec<usize> = (0..edits.len()).filter(|&place| !edits[place].is_none()).collect();
    for places in with_edit.chunks(AT_ONCE) {
        let without: Vec<Edit> = places.iter().map(|&own| together(edits, Some(own))).collect();
        let said = said(loaded, &without.iter().collect::<Vec<_>>(), &all)?;
        for (&left_out, said) in places.iter().zip(said) {
            let name = measured[left_out].name.clone();
            for (&(place, own), _) in failing.iter().zip(said).filter(|(_, said)| *said) {
                let request = &mut measured[texts[place].request];
                request.failing[own].because_of.push(name.clone());
            }
        }
    }
    Ok(())
}

/// All `edits` as one, or all but one.
fn together(edits: &[Edit], without: Option<usize>) -> Edit {
    let edits = edits.iter().enumerate().filter(|(place, _)| Some(*place) != without);
    edits.fold(Edit::none(), |sum, (_, own)| sum.and(own)).merged()
}
