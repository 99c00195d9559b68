//! `ment generate`, `ment patch`, `ment apply`: a model of one's own.

use super::folder_name;
use crate::cli::{ApplyArgs, GenerateArgs, ModelArgs, PatchArgs};
use crate::difference::{self, difference};
use crate::edit::Edit;
use crate::error::InputError;
use crate::generate::{Generated, Sampling, Settings, Stops};
use crate::model::{self, Loaded};
use crate::patch::checkpoint::{self, Origin, Written};
use crate::patch::file::{Card, Patch, PatchFile};
use crate::patch::kept::{Drift, Kept};
use crate::patch::repair::{Repairs, Task};
use crate::patch::stack::{Stack, short};
use crate::patch::{file, methods, render, repair, text_or_file};
use crate::{device, method};
use anyhow::Result;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// A model with the patches that are in its weights.
struct Opened {
    loaded: Loaded,
    origin: Origin,
}

fn open(args: &ModelArgs) -> Result<Opened> {
    device::set_up_cpu(args.threads);
    let device = device::open(&args.device)?;
    let loaded = model::load(&args.model, device, tch::Kind::Float)?;
    let origin = Origin::of(&args.model, &loaded.sha256)?;
    Ok(Opened { loaded, origin })
}

impl Opened {
    /// The patches in the weights and then those of `files`, and what the latter change on top of the
    /// weights. Where two meet is said.
    fn with(&self, files: &[PathBuf]) -> Result<(Stack, Edit)> {
        let added = files.iter().map(|file| PatchFile::read(file)).collect::<Result<Vec<_>>>()?;
        let all = [&self.origin.stack.files[..], &added].concat();
        let stack = Stack::new(&self.origin.base, all)?;
        let edit = Stack { files: added }.edit(self.loaded.model.spec())?;
        stack.conflicts().iter().for_each(|conflict| tracing::warn!("{conflict}"));
        Ok((stack, edit))
    }
}

/// `ment generate`
pub fn generate(args: &GenerateArgs) -> Result<()> {
    let GenerateArgs { temperature, top_p, seed, .. } = *args;
    let sampling = Sampling { temperature, top_p, seed };
    sampling.check()?;
    let stops = args.stop.iter().map(|stop| stop.replace("\\n", "\n")).collect();
    let settings = Settings { tokens: args.tokens.get(), sampling, stops: Stops::new(stops) };
    let prompt = text_or_file(&args.prompt)?;
    let opened = open(&args.model)?;
    let (_, edit) = opened.with(&args.patch)?;
    let loaded = &opened.loaded;
    let ids = loaded.tokenizer.encode(&prompt)?;
    let write = |edit: &Edit, say: &mut dyn FnMut(&str)| {
        crate::generate::generate(loaded, &ids, edit, &settings, say)
    };
    if args.compare {
        let (before, after) = (write(&Edit::none(), &mut |_| {})?, write(&edit, &mut |_| {})?);
        let tokens = |text: &Generated| loaded.tokenizer.pieces(&ids, &text.ids, &text.text);
        let pieces = difference(&tokens(&before)?, &tokens(&after)?);
        println!("{}", difference::render(&pieces, std::io::stdout().is_terminal()));
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
        return self::revert(&args.model, revert, out);
    }
    let text = |given: &Option<String>| text_or_file(given.as_deref().unwrap_or_default());
    let (prompt, target) = (text(&args.prompt)?, text(&args.target)?);
    let config = methods::one(&args.method, &args.set)?;
    let opened = open(&args.model)?;
    let (stack, standing) = opened.with(&args.patch)?;
    let loaded = &opened.loaded;
    let task = Task::new(loaded, &prompt, &target)?;
    let kept = Kept::read(args.keep.as_deref(), loaded)?;
    let methods = method::all(&config, loaded);
    let repairs = repair::repair(loaded, &config, methods[0].as_ref(), &task, &standing)?;
    let whole = standing.and(&repairs.edit);
    let drift = Drift::between(&kept.under(loaded, &standing)?, &kept.under(loaded, &whole)?);
    let id = match (&args.out, &repairs.failed) {
        (Some(out), None) => {
            let card = Card {
                base: opened.origin.base.clone(),
                model: folder_name(&args.model.model),
                ..Card::new(&config, loaded, &args.method, &task, &repairs, stack.ids())
            };
            Some(Patch::new(card, &repairs.edit)?.write(out)?)
        }
        _ => None,
    };
    if args.json {
        let Repairs { done, failed, edit } = &repairs;
        let said = serde_json::json!({
            "solved": failed.is_none(), "patches": edit.0.len(), "repairs": done, "failed": failed,
            "kept": drift, "file": id,
        });
        println!("{said}");
    } else {
        println!("model    {} ({}…)", folder_name(&args.model.model), short(&loaded.sha256));
        if !stack.files.is_empty() {
            println!("patches  {} in place", stack.files.len());
        }
        print!("{}", render::task(loaded, &task)?);
        print!("{}", render::repairs(&task, &repairs));
        print!("{}", render::drift(&drift, kept.count()));
        for file in &stack.files {
            let held = repair::held(loaded, &file.patch.card, &whole)?;
            print!("before   {}", render::held(file, held));
        }
        match (&args.out, &id) {
            (Some(out), Some(id)) => println!("patch    {} ({}…)", out.display(), short(id)),
            _ => println!("nothing on disk was changed"),
        }
    }
    let Some(failed) = &repairs.failed else { return Ok(()) };
    let (token, tokens) = (failed.tried.repaired.position + 1, task.ids.gold.len());
    let unwritten = args.out.as_ref().map_or("", |_| "; no patch was written");
    anyhow::bail!("token {token} of {tokens} could not be repaired: {}{unwritten}", failed.reason)
}

/// Refuses a place to write to, before any work is done, where something is, or that is in no folder.
fn check_new(out: &Path) -> Result<()> {
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
fn revert(args: &ModelArgs, file: &Path, out: &Path) -> Result<()> {
    crate::signal::listen()?; // so that nothing half-written is left behind
    let Opened { loaded, origin } = open(args)?;
    let gone = PatchFile::read(file)?;
    let mut left = origin.stack.files.clone();
    left.retain(|own| own.id != gone.id);
    if left.len() == origin.stack.files.len() {
        return Err(InputError::new(format!(
            "{}: not one of the {} patches of {}",
            file.display(),
            left.len(),
            args.model.display()
        )));
    }
    let needed: Vec<String> = left
        .iter()
        .filter(|own| own.patch.card.after.contains(&gone.id))
        .map(PatchFile::name)
        .collect();
    if !needed.is_empty() {
        return Err(InputError::new(format!(
            "{}: {} was made on top of it; take that out first",
            file.display(),
            needed.join(", ")
        )));
    }
    let stack = Stack::new(&origin.base, left)?;
    let written = checkpoint::write(&args.model, loaded, &origin, stack, out)?;
    if written.stack.files.is_empty() {
        let base = short(&origin.base);
        println!("{}: no patch is left, and it is bit for bit the base ({base}…)", out.display());
    }
    tell(&written, out)
}

/// `ment apply`
pub fn apply(args: &ApplyArgs) -> Result<()> {
    check_new(&args.out)?;
    crate::signal::listen()?; // so that nothing half-written is left behind
    let opened = open(&args.model)?;
    let (stack, _) = opened.with(&args.patch)?;
    let Opened { loaded, origin } = opened;
    let written = checkpoint::write(&args.model.model, loaded, &origin, stack, &args.out)?;
    tell(&written, &args.out)
}

/// What is in the new folder, and what its patches' prompts bring about now.
fn tell(written: &Written, out: &Path) -> Result<()> {
    let Written { loaded, stack, left_out } = written;
    for file in &stack.files {
        let held = repair::held(loaded, &file.patch.card, &Edit::none())?;
        print!("{}", render::held(file, held));
    }
    if !left_out.is_empty() {
        println!("not copied, as no patch reaches them: {}", left_out.join(", "));
    }
    println!("{} ({}…)", out.display(), short(&loaded.sha256));
    Ok(())
}
