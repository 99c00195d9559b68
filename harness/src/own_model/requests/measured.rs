//! Measures of requests from outside: what the model writes under all edits.

use super::set::RequestTasks;
use crate::edit::Edit;
use crate::model::Loaded;
use crate::model::tokenizer::Joint;
use crate::own_model::generate::{GenerateSettings, Sampling, Stops, generate};
use crate::own_model::patch::repair::Task;
use crate::system::{progress, signal};
use anyhow::Result;
use serde::Serialize;

/// Tokens that are written after an unrelated prompt.
const WRITTEN: usize = 8;

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
#[derive(Clone, Debug, PartialEq, Serialize)]
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
    /// Neurons whose columns are patched, as `layer.index`.
    pub neurons: Vec<String>,
    /// Numbers that describe the edit.
    pub parameters: usize,
}

impl Of {
    /// The sum of several.
    pub fn sum(all: impl Iterator<Item = Self>) -> Self {
        all.fold(Self::default(), |sum, own| Self {
            count: sum.count + own.count,
            of: sum.of + own.of,
        })
    }

    /// The share; `None` of nothing.
    pub fn share(self) -> Option<f64> {
        (self.of > 0).then(|| self.count as f64 / self.of as f64)
    }
}

/// Texts that the unedited model writes after the prompts to keep and the unrelated ones of a request, as tasks.
struct Written {
    keep: Vec<Task>,
    unrelated: Vec<Task>,
}

impl Written {
    fn new(loaded: &Loaded, request: &RequestTasks) -> Result<Self> {
        let settings = GenerateSettings {
            tokens: WRITTEN,
            sampling: Sampling::GREEDY,
            stops: Stops::default(),
        };
        let written = |prompt: &Vec<u32>| -> Result<Task> {
            let gold = generate(loaded, prompt, &Edit::none(), &settings, |_| {})?.ids;
            let ids = Joint { prompt: prompt.clone(), gold };
            let text = String::new();
            Ok(Task { prompt: text.clone(), target: text, ids, border: None, subject: None })
        };
        Ok(Self {
            keep: request.keep.iter().map(written).collect::<Result<_>>()?,
            unrelated: request.unrelated.iter().map(written).collect::<Result<_>>()?,
        })
    }
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
    let whole = edits.iter().fold(Edit::none(), |sum, own| sum.and(own)).merged();
    let bar = progress::bar("measured", requests.len());
    let one = |(request, edit): (&RequestTasks, &Edit)| {
        signal::check()?;
        let said = |tasks: &[Task], edit: &Edit| -> Result<Of> {
            // Where the unedited model writes nothing there is nothing to compare.
            let tasks: Vec<&Task> = tasks.iter().filter(|task| !task.ids.gold.is_empty()).collect();
            let mut count = 0;
            for task in &tasks {
                count += usize::from(task.said(loaded, edit)? == task.ids.gold);
            }
            Ok(Of { count, of: tasks.len() })
        };
        let written = Written::new(loaded, request)?;
        let neurons = edit.columns.iter().map(|own| own.neuron);
        let of_updates: usize = edit.updates.iter().map(|own| own.change.parameters()).sum();
        let measured = RequestMeasured {
            name: request.line.name.clone(),
            before: said(&request.prompts, &Edit::none())?,
            prompts: said(&request.prompts, &whole)?,
            rephrasings: said(&request.rephrasings, &whole)?,
            keep: said(&written.keep, &whole)?,
            unrelated: said(&written.unrelated, &whole)?,
            neurons: neurons.map(|own| format!("{}.{}", own.layer, own.index)).collect(),
            parameters: edit.columns.len() * loaded.model.spec().d_model + of_updates,
        };
        bar.inc(1);
        Ok(measured)
    };
    let all = requests.iter().zip(edits).map(one).collect();
    bar.finish_and_clear();
    all
}
