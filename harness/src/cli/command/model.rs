//! `ment predict`, `ment generate`, `ment patch`, `ment apply`: a model of one's own.

use super::text::text;
use crate::cli::{ApplyArgs, ChatArgs, GenerateArgs, ModelArgs, PatchArgs, PredictArgs};
use crate::config::Config;
use crate::data::model_folder;
use crate::edit::Edit;
use crate::engine::device;
use crate::error::InputError;
use crate::method;
use crate::model::chat::{ChatTemplate, Message};
use crate::model::tokenizer::Tokenizer;
use crate::model::{self, Loaded};
use crate::own_model::generate::{GenerateSettings, Generated, Sampling, Stops};
use crate::own_model::kept::{self, Drift, KeptReading, KeptTexts};
use crate::own_model::patch::advice::{advice, on_side_effects};
use crate::own_model::patch::checkpoint::{self, Origin, WrittenCheckpoint};
use crate::own_model::patch::file::{self, Card, Patch, PatchFile};
use crate::own_model::patch::free::{self, Free};
use crate::own_model::patch::repair::{self, PatchTest, Task, TaskOutcome};
use crate::own_model::patch::stack::{Stack, short};
use crate::own_model::patch::{methods, render};
use crate::own_model::predict;
use crate::own_model::token_diff::{self, token_diff};
use anyhow::{Context, Result};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// A model with the patches that are in its weights.
pub(super) struct OpenModel {
    pub(super) folder: PathBuf,
    pub(super) loaded: Loaded,
    pub(super) origin: Origin,
}

/// A prompt as the model is given it.
struct Prompt {
    text: String,
    /// True if the text is that of a chat template, before which a tokenizer puts nothing.
    is_chat: bool,
}

impl Prompt {
    /// The prompt that was `given`, within the model's chat template if that is asked for. Read before the
    /// model is loaded, which takes longer.
    fn new(given: &str, args: &ModelArgs, chat: &ChatArgs) -> Result<Self> {
        let text = text(given)?;
        if !chat.chat {
            return Ok(Self { text, is_chat: false });
        }
        let template = ChatTemplate::read(&model_folder::find_or_fetch(&args.model)?)?;
        let system = chat.system.as_deref().map(Message::system);
        let messages: Vec<Message> = system.into_iter().chain([Message::user(text)]).collect();
        Ok(Self { text: template.render(&messages)?, is_chat: true })
    }

    /// The tokenizer that cuts it.
    fn tokenizer(&self, loaded: &Loaded) -> Tokenizer {
        if self.is_chat { loaded.tokenizer.bare() } else { loaded.tokenizer.clone() }
    }

    fn ids(&self, loaded: &Loaded) -> Result<Vec<u32>> {
        self.tokenizer(loaded).encode(&self.text)
    }
}

/// Refuses layers that the model does not have, as its headers tell.
pub(super) fn check_layers(config: &Config, args: &ModelArgs) -> Result<()> {
    let headers = model::check(&model_folder::find_or_fetch(&args.model)?, options(args)?)?;
    let spec = &headers.spec;
    let methods = &config.methods;
    let wrong = methods.iter().try_for_each(|own| own.check_model(spec.layers, spec.d_ff));
    wrong.map_err(InputError::new)
}

fn options(args: &ModelArgs) -> Result<model::Options> {
    Ok(model::Options {
        device: device::open(&args.device)?,
        kind: tch::Kind::Float,
        plain_architecture: args.plain_architecture,
        chat: false,
    })
}

pub(super) fn open(args: &ModelArgs) -> Result<OpenModel> {
    let options = options(args)?;
    device::set_up_cpu(args.threads);
    let folder = model_folder::find_or_fetch(&args.model)?;
    let loaded = model::load(&folder, options)?;
    let origin = Origin::of(&folder, &loaded.sha256)?;
    Ok(OpenModel { folder, loaded, origin })
}

/// Reads patch files: before a model is loaded, which takes longer.
fn read(files: &[PathBuf]) -> Result<Vec<PatchFile>> {
    files.iter().map(|file| PatchFile::read(file)).collect()
}

impl OpenModel {
    /// The patches in the weights and then those `added`, and what the latter change on top of the
    /// weights. Where two meet is said.
    fn with(&self, added: Vec<PatchFile>) -> Result<(Stack, Edit)> {
        let all = [&self.origin.stack.files[..], &added].concat();
        let stack = Stack::new(&self.origin.base, all)?;
        let edit = Stack { files: added }.edit(self.loaded.model.as_ref())?;
        stack.conflicts().iter().for_each(|conflict| tracing::warn!("{conflict}"));
        Ok((stack, edit))
    }

    /// Reads `kept` without any patch, also without those in the weights.
    fn base(&self, kept: &KeptTexts) -> Result<KeptReading> {
        kept.under(&self.loaded, &self.origin.undo(self.loaded.model.as_ref()))
    }
}

/// `ment predict`
pub fn predict(args: &PredictArgs) -> Result<()> {
    let given = args.input.prompt.as_deref();
    if given.is_none() && args.chat.chat {
        return Err(InputError::new("--chat needs --prompt: ids are given as the model sees them"));
    }
    let prompt = given.map(|given| Prompt::new(given, &args.model, &args.chat)).transpose()?;
    let patches = read(&args.patch)?;
    let opened = open(&args.model)?;
    let (_, edit) = opened.with(patches)?;
    let loaded = &opened.loaded;
    let ids = match prompt {
        Some(prompt) => prompt.ids(loaded)?,
        None => args.input.ids.clone().unwrap_or_default(),
    };
    let tokens = predict::next_tokens(loaded, &ids, &edit, args.top.get())?;
    if args.json {
        println!("{}", serde_json::json!({ "ids": ids, "next": tokens }));
    } else {
        print!("{}", predict::render(&tokens));
    }
    Ok(())
}

/// `ment generate`
pub fn generate(args: &GenerateArgs) -> Result<()> {
    let GenerateArgs { temperature, top_p, seed, .. } = *args;
    let sampling = Sampling { temperature, top_p, seed };
    sampling.check()?;
    let stops = args.stop.iter().map(|stop| stop.replace("\\n", "\n")).collect();
    let settings =
        GenerateSettings { tokens: args.tokens.get(), sampling, stops: Stops::new(stops) };
    let prompt = Prompt::new(&args.prompt, &args.model, &args.chat)?;
    let patches = read(&args.patch)?;
    let opened = open(&args.model)?;
    let (_, edit) = opened.with(patches)?;
    let loaded = &opened.loaded;
    let ids = prompt.ids(loaded)?;
    let write = |edit: &Edit, say: &mut dyn FnMut(&str)| {
        crate::own_model::generate::generate(loaded, &ids, edit, &settings, say)
    };
    if args.compare {
        let (before, after) = (write(&Edit::none(), &mut |_| {})?, write(&edit, &mut |_| {})?);
        let tokens = |text: &Generated| loaded.tokenizer.pieces(&ids, &text.ids, &text.text);
        let pieces = token_diff(&tokens(&before)?, &tokens(&after)?);
        println!("{}", token_diff::render(&pieces, std::io::stdout().is_terminal()));
    } else if args.json {
        println!("{}", serde_json::to_string(&write(&edit, &mut |_| {})?)?);
    } else {
        write(&edit, &mut |text| {
            print!("{text}");
            let _ = std::io::stdout().flush(); // a pipe that has closed is noticed by the next print
        })?;
        println!();
    }
    Ok(())
}

/// `ment patch`
pub fn patch(args: &PatchArgs) -> Result<()> {
    args.out.as_deref().map_or(Ok(()), check_new)?;
    if let (Some(revert), Some(out)) = (&args.revert, &args.out) {
        return self::revert(args, revert, out);
    }
    let target = text(args.target.as_deref().unwrap_or_default())?;
    if target.is_empty() {
        return Err(InputError::new(repair::NO_TARGET));
    }
    let prompt = Prompt::new(args.prompt.as_deref().unwrap_or_default(), &args.model, &args.chat)?;
    let config = methods::one(&args.method, &args.set)?;
    if args.subject.is_some() && !config.methods[0].reads_subject() {
        return Err(InputError::new(format!(
            "--subject: `{}` does not read it; rome, memit and alpha-edit do",
            args.method
        )));
    }
    let patches = read(&args.patch)?;
    kept::check(args.keep.as_deref())?;
    check_layers(&config, &args.model)?;
    let opened = open(&args.model)?;
    let (stack, standing) = opened.with(patches)?;
    let loaded = &opened.loaded;
    let mut task = Task::new(loaded, &prompt.tokenizer(loaded), &prompt.text, &target)?;
    if let Some(span) = &args.subject {
        task = task.about(span, loaded)?;
    }
    let kept = KeptTexts::read(args.keep.as_deref(), loaded)?;
    let methods = method::all(&config, loaded)?;
    let repairs = repair::repair(loaded, &config, methods[0].as_ref(), &task, &standing)?;
    let made = match &repairs.failed {
        Some(_) => None,
        None => Some(Effects::new(&opened, (&task, &kept), (&stack, &standing), &repairs.edit)?),
    };
    let is_good = made.as_ref().is_some_and(|made| made.free.says_target);
    let id = match &args.out {
        Some(out) if is_good => {
            let card = Card {
                base: opened.origin.base.clone(),
                model: model_folder::name(&opened.folder),
                ..Card::new(&config, loaded, &args.method, &task, &repairs, stack.ids())
            };
            Some(Patch::new(card, &repairs.edit)?.write(out)?)
        }
        _ => None,
    };
    if args.json {
        let TaskOutcome { done, failed, edit } = &repairs;
        let said = serde_json::json!({
            "solved": is_good, "patches": edit.columns.len(), "repairs": done, "failed": failed,
            "border": task.border, "written": made.as_ref().map(|made| &made.free),
            "kept": made.as_ref().map(|made| made.drift),
            "kept_below": made.as_ref().and_then(|made| made.below),
            "below": made.as_ref().map(|made| &made.held), "file": id,
        });
        println!("{said}");
    } else {
        println!("model    {} ({}…)", model_folder::name(&opened.folder), short(&loaded.sha256));
        if !stack.files.is_empty() {
            println!("patches  {} in place", stack.files.len());
        }
        print!("{}", render::task(loaded, &task)?);
        let advice = repairs.failed.as_ref().map(|failed| advice(&config, failed.cause));
        let free = made.as_ref().map(|made| &made.free);
        print!("{}", render::repairs(&task, &repairs, free, &advice.unwrap_or_default()));
        if let Some(made) = &made {
            made.print(&task, &stack, kept.count());
            if let Some(advice) = on_side_effects(&config).filter(|_| render::is_large(&made.drift))
            {
                println!("         {advice}");
            }
        }
        match (&args.out, &id) {
            (Some(out), Some(id)) => println!("patch    {} ({}…)", out.display(), short(id)),
            _ => println!("nothing on disk was changed"),
        }
    }
    let unwritten = args.out.as_ref().map_or("", |_| "; no patch was written");
    if let Some(failed) = &repairs.failed {
        let (token, tokens) = (failed.tried.repaired.position + 1, task.ids.gold.len());
        let reason = &failed.reason;
        anyhow::bail!("token {token} of {tokens} could not be repaired: {reason}{unwritten}");
    }
    anyhow::ensure!(
        is_good,
        "after the prompt alone the model does not write the target{unwritten}"
    );
    Ok(())
}

/// The effects of a repair that reached the end of its target.
struct Effects {
    free: Free,
    /// Against the model without any patch.
    drift: Drift,
    /// The same of the patches that were in place before, if there are some.
    below: Option<Drift>,
    /// The state of those patches now.
    held: Vec<PatchTest>,
}

impl Effects {
    fn new(
        opened: &OpenModel,
        (task, kept): (&Task, &KeptTexts),
        (stack, standing): (&Stack, &Edit),
        edit: &Edit,
    ) -> Result<Self> {
        let (loaded, whole) = (&opened.loaded, standing.and(edit));
        let base = opened.base(kept)?;
        let below = (!stack.files.is_empty()).then(|| kept.under(loaded, standing)).transpose()?;
        let held = stack.files.iter().map(|file| PatchTest::new(loaded, &file.patch.card, &whole));
        Ok(Self {
            free: free::write(loaded, task, &whole)?,
            drift: Drift::between(&base, &kept.under(loaded, &whole)?),
            below: below.map(|below| Drift::between(&base, &below)),
            held: held.collect::<Result<_>>()?,
        })
    }

    fn print(&self, task: &Task, stack: &Stack, texts: usize) {
        print!("{}", render::free(task, &self.free));
        print!("{}", render::drift(&self.drift, texts));
        if let Some(Drift { perplexity_before, perplexity_after, .. }) = self.below {
            println!(
                "         (with the patches that were in place, and not this one: {perplexity_before:.3} → \
                 {perplexity_after:.3})"
            );
        }
        for (file, held) in stack.files.iter().zip(&self.held) {
            print!("before   {}", render::held(file, held));
        }
        let lost = self.held.iter().filter(|held| !held.holds).count();
        if lost > 0 {
            println!(
                "warning  {lost} of the patches that were in place do not hold under the new one"
            );
        }
    }
}

/// Refuses a place to write to, before any work is done, where something is, or that is in no folder.
pub(super) fn check_new(out: &Path) -> Result<()> {
    if std::fs::symlink_metadata(out).is_ok() {
        return Err(file::is_there(out));
    }
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => {
            Err(InputError::new(format!("{}: there is no such folder", folder.display())))
        }
        _ => Ok(()),
    }
}

/// `ment patch --revert`
fn revert(args: &PatchArgs, file: &Path, out: &Path) -> Result<()> {
    crate::system::signal::listen()?; // so that nothing half-written is left behind
    let opened = open(&args.model)?;
    let own = &opened.origin.stack.files;
    let gone = PatchFile::read(file)?;
    let mut left = own.clone();
    left.retain(|own| own.id != gone.id);
    if left.len() == own.len() {
        return Err(InputError::new(format!(
            "{}: not one of the {} patches of {}",
            file.display(),
            left.len(),
            opened.folder.display()
        )));
    }
    let needed: Vec<String> = left
        .iter()
        .filter(|own| own.patch.card.after.contains(&gone.id))
        .map(PatchFile::name)
        .collect();
    if !needed.is_empty() {
        return Err(InputError::new(format!(
            "{}: {} was made on top of it; remove that one first",
            file.display(),
            needed.join(", ")
        )));
    }
    let stack = Stack::new(&opened.origin.base, left)?;
    let is_base = stack.files.is_empty();
    let base = short(&opened.origin.base).to_string();
    write(opened, stack, None, out)?;
    if is_base {
        println!(
            "{}: no patch is left, and the weights equal the base ({base}…) bit for bit",
            out.display()
        );
    }
    Ok(())
}

/// `ment apply`
pub fn apply(args: &ApplyArgs) -> Result<()> {
    check_new(&args.out)?;
    crate::system::signal::listen()?; // so that nothing half-written is left behind
    let patches = read(&args.patch)?;
    kept::check(args.keep.as_deref())?;
    let opened = open(&args.model)?;
    let (stack, _) = opened.with(patches)?;
    write(opened, stack, args.keep.as_deref(), &args.out)
}

/// Writes the checkpoint of `opened` with `stack` to `out`, and says what is there: what the prompts of its
/// patches bring about now, and side effects against the model without any patch.
///
/// # Errors
/// If it cannot be written; or if a patch does not hold: the folder is there, and not what was wished for.
fn write(opened: OpenModel, stack: Stack, keep: Option<&Path>, out: &Path) -> Result<()> {
    let kept = KeptTexts::read(keep, &opened.loaded)?;
    let base = (!stack.files.is_empty()).then(|| opened.base(&kept)).transpose()?;
    let OpenModel { folder, loaded, origin } = opened;
    let WrittenCheckpoint { loaded, stack, left_out } =
        checkpoint::write(&folder, loaded, &origin, stack, out)?;
    let is_written = || format!("{} is written, but its test was interrupted", out.display());
    let mut lost = 0;
    for file in &stack.files {
        let held =
            PatchTest::new(&loaded, &file.patch.card, &Edit::none()).with_context(is_written)?;
        lost += usize::from(!held.holds);
        print!("{}", render::held(file, &held));
    }
    if let Some(base) = base {
        let now = kept.under(&loaded, &Edit::none()).with_context(is_written)?;
        print!("{}", render::drift(&Drift::between(&base, &now), kept.count()));
    }
    if !left_out.is_empty() {
        println!("not copied, as no patch reaches them: {}", left_out.join(", "));
    }
    println!("{} ({}…)", out.display(), short(&loaded.sha256));
    anyhow::ensure!(
        lost == 0,
        "{lost} of {} patches do not hold in this folder, which is written all the same; repair them on \
         top of it, or apply fewer",
        stack.files.len()
    );
    Ok(())
}
