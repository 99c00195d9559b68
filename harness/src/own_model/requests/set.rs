//! The requests as a model reads them, and their repair.

use super::line::RequestLine;
use crate::config::Config;
use crate::edit::Edit;
use crate::engine::greedy::continuations;
use crate::error::InputError;
use crate::method::{HeldText, Method, Request, WantedToken};
use crate::model::Loaded;
use crate::own_model::patch::file::{Card, Patch, PatchFile};
use crate::own_model::patch::repair::{Task, TaskOutcome};
use crate::system::{progress, signal};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// A request, its prompts as tasks.
pub struct RequestTasks {
    /// Line of the file.
    pub line: RequestLine,
    /// The target after each prompt.
    pub prompts: Vec<Task>,
    /// The target after each rephrasing.
    pub rephrasings: Vec<Task>,
    /// The prompts to keep, with what the unedited model writes after them.
    pub keep: Vec<HeldText>,
    /// The unrelated prompts, likewise.
    pub unrelated: Vec<HeldText>,
}

/// Tokens that are written after a prompt to keep, or an unrelated one.
const WRITTEN: usize = 8;

impl RequestTasks {
    /// `line` as `loaded` reads it.
    ///
    /// # Errors
    /// If a prompt is too long, or target and prompt meet where the tokenizer cannot part them.
    pub fn new(line: RequestLine, loaded: &Loaded) -> Result<Self> {
        let task = |prompt: &String| Task::new(loaded, &loaded.tokenizer, prompt, &line.target);
        let context = loaded.model.spec().context;
        let held = |prompt: &String| {
            let ids = loaded.tokenizer.encode(prompt)?;
            let from = ids.len();
            if from == 0 || from >= context {
                return Err(InputError::new(format!(
                    "a prompt has {from} tokens; 1 to {} can be read",
                    context - 1
                )));
            }
            Ok(HeldText { ids, from })
        };
        let named = |field: &'static str| {
            let name = line.name.clone();
            move || format!("{name}: `{field}`")
        };
        let all = |field: &'static str, prompts: &[String]| -> Result<Vec<Task>> {
            prompts.iter().map(task).collect::<Result<_>>().with_context(named(field))
        };
        let texts = |field: &'static str, prompts: &[String]| -> Result<Vec<HeldText>> {
            prompts.iter().map(held).collect::<Result<_>>().with_context(named(field))
        };
        Ok(Self {
            prompts: all("prompts", &line.prompts)?,
            rephrasings: all("rephrasings", &line.rephrasings)?,
            keep: texts("keep", &line.keep)?,
            unrelated: texts("unrelated", &line.unrelated)?,
            line,
        })
    }

    /// Adds to the prompts to keep and the unrelated ones of `all` what the unedited model writes after them, up to and
    /// with the end that it gives itself.
    ///
    /// # Errors
    /// If libtorch fails, or the user stops.
    pub fn write_on(all: &mut [Self], loaded: &Loaded) -> Result<()> {
        let mut held: Vec<&mut HeldText> =
            all.iter_mut().flat_map(|own| own.keep.iter_mut().chain(&mut own.unrelated)).collect();
        let prompts: Vec<&[u32]> = held.iter().map(|own| &own.ids[..]).collect();
        let bar = progress::bar("unedited model", prompts.len());
        let context = loaded.model.spec().context;
        let mut texts = vec![Vec::new(); prompts.len()];
        for tokens in 1..=WRITTEN {
            // A prompt near the end of the context leaves room for fewer.
            let own = |place: &usize| WRITTEN.min(context - prompts[*place].len()) == tokens;
            let places: Vec<usize> = (0..prompts.len()).filter(own).collect();
            let own: Vec<&[u32]> = places.iter().map(|&place| prompts[place]).collect();
            let model = loaded.model.as_ref();
            let written = continuations(model, &own, &Edit::none(), tokens, |done| {
                bar.inc(done as u64);
                signal::check()
            })?;
            places.into_iter().zip(written).for_each(|(place, text)| texts[place] = text);
        }
        bar.finish_and_clear();
        for (own, mut text) in held.iter_mut().zip(texts) {
            let end = text.iter().position(|id| loaded.ends.contains(id));
            text.truncate(end.map_or(text.len(), |end| end + 1));
            own.ids.extend(text);
        }
        Ok(())
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

    /// The file of its patch below `folder`.
    pub fn patch(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.safetensors", self.line.name))
    }

    /// Writes `edit`, made for this request by the method of `config`, as a patch below `folder`. An edit that changes
    /// nothing is not written.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(
        &self,
        edit: &Edit,
        (config, loaded): (&Config, &Loaded),
        folder: &Path,
    ) -> Result<()> {
        if edit.is_none() {
            return Ok(());
        }
        let outcome = TaskOutcome { done: Vec::new(), edit: edit.clone(), failed: None };
        let method = config.methods[0].label();
        let card = Card::new(config, loaded, method, &self.prompts[0], &outcome, Vec::new());
        Patch::new(card, edit)?.write_again(&self.patch(folder)).map(drop)
    }

    /// Reads the edit that [`RequestTasks::write`] wrote below `folder`.
    ///
    /// # Errors
    /// If there is a damaged file.
    pub fn read(&self, loaded: &Loaded, folder: &Path) -> Result<Edit> {
        let path = self.patch(folder);
        if !path.is_file() {
            return Ok(Edit::none());
        }
        Ok(PatchFile::read(&path)?.patch.edit(loaded.model.spec()))
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
