//! The requests as a model reads them, and their repair.

use super::line::RequestLine;
use crate::config::Config;
use crate::edit::Edit;
use crate::error::InputError;
use crate::method::{Method, Request, WantedToken};
use crate::model::Loaded;
use crate::own_model::patch::file::{Card, Patch};
use crate::own_model::patch::repair::{Task, TaskOutcome};
use anyhow::{Context, Result};
use std::path::Path;

/// A request, its prompts as tasks.
pub struct RequestTasks {
    /// As it is written.
    pub line: RequestLine,
    /// The target after each prompt.
    pub prompts: Vec<Task>,
    /// The target after each rephrasing.
    pub rephrasings: Vec<Task>,
    /// Ids of the prompts to keep.
    pub keep: Vec<Vec<u32>>,
    /// Ids of the unrelated prompts.
    pub unrelated: Vec<Vec<u32>>,
}

impl RequestTasks {
    /// `line` as `loaded` reads it.
    ///
    /// # Errors
    /// If a prompt is too long, or target and prompt meet where the tokenizer cannot part them.
    pub fn new(line: RequestLine, loaded: &Loaded) -> Result<Self> {
        let task = |prompt: &String| Task::new(loaded, &loaded.tokenizer, prompt, &line.target);
        let ids = |prompt: &String| {
            let ids = loaded.tokenizer.encode(prompt)?;
            let (tokens, context) = (ids.len(), loaded.model.spec().context);
            if tokens == 0 || tokens >= context {
                return Err(InputError::new(format!(
                    "a prompt has {tokens} tokens; 1 to {} can be read",
                    context - 1
                )));
            }
            Ok(ids)
        };
        let named = |field: &'static str| {
            let name = line.name.clone();
            move || format!("{name}: `{field}`")
        };
        let all = |field: &'static str, prompts: &[String]| -> Result<Vec<Task>> {
            prompts.iter().map(task).collect::<Result<_>>().with_context(named(field))
        };
        let texts = |field: &'static str, prompts: &[String]| -> Result<Vec<Vec<u32>>> {
            prompts.iter().map(ids).collect::<Result<_>>().with_context(named(field))
        };
        Ok(Self {
            prompts: all("prompts", &line.prompts)?,
            rephrasings: all("rephrasings", &line.rephrasings)?,
            keep: texts("keep", &line.keep)?,
            unrelated: texts("unrelated", &line.unrelated)?,
            line,
        })
    }

    /// Request to a method: every token of the target after every prompt, right or wrong.
    fn request(&self) -> Request {
        let wanted = self.prompts.iter().flat_map(|task| {
            let (prompt, gold) = (&task.ids.prompt, &task.ids.gold);
            (0..gold.len()).map(move |place| WantedToken {
                ids: [prompt, &gold[..place]].concat(),
                target: gold[place],
                subject: None,
            })
        });
        Request { wanted: wanted.collect(), keep: self.keep.clone() }
    }

    /// Writes `edit`, made for this request by the method of `config`, as a patch below `folder`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(
        &self,
        edit: &Edit,
        (config, loaded): (&Config, &Loaded),
        folder: &Path,
    ) -> Result<()> {
        let outcome = TaskOutcome { done: Vec::new(), edit: edit.clone(), failed: None };
        let method = config.methods[0].label();
        let card = Card::new(config, loaded, method, &self.prompts[0], &outcome, Vec::new());
        let path = folder.join(format!("{}.safetensors", self.line.name));
        Patch::new(card, edit)?.write_again(&path)?;
        Ok(())
    }
}

/// The edits of all `requests` by `method`, one a request, which act together.
///
/// # Errors
/// If the method repairs one error at a time, or the user stops.
pub fn repair(
    loaded: &Loaded,
    method: &dyn Method,
    requests: &[RequestTasks],
) -> Result<Vec<Edit>> {
    let together = method.together().context("the method repairs one error at a time")?;
    let wanted: Vec<Request> = requests.iter().map(RequestTasks::request).collect();
    together.edits(loaded.model.as_ref(), &Edit::none(), &wanted)
}
