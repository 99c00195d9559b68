//! `ment repair`: many requests to a model of one's own, repaired together.

use super::model::{check_layers, check_new, open};
use crate::cli::RepairArgs;
use crate::config::Config;
use crate::data::model_folder;
use crate::edit::Edit;
use crate::engine::device::Clock;
use crate::error::InputError;
use crate::method;
use crate::model::Loaded;
use crate::own_model::kept;
use crate::own_model::patch::file::PatchFile;
use crate::own_model::patch::{methods, read};
use crate::own_model::requests::held::{NamedTexts, hold};
use crate::own_model::requests::line::RequestLine;
use crate::own_model::requests::measured::{Of, measure};
use crate::own_model::requests::page;
use crate::own_model::requests::report::{Asked, Report};
use crate::own_model::requests::set::{self, RequestTasks};
use crate::own_model::requests::table::{kept_table, table};
use crate::system::files;
use crate::table::export;
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::path::Path;

/// Measures of the whole set, written last; its absence marks a set that was not finished.
const REPORT: &str = "repair.json";

/// Description of the set as it was asked for, written first.
const ASKED: &str = "asked.json";

/// `ment repair`
pub fn repair(args: &RepairArgs) -> Result<()> {
    crate::system::signal::listen()?;
    let lines = RequestLine::read(&args.requests)?;
    let config = methods::one(&args.method, &args.set)?;
    let goes_on = args.out.join(ASKED).is_file() && !args.out.join(REPORT).exists();
    if !goes_on {
        check_new(&args.out)?;
    }
    check(args, &config, &lines)?;
    let opened = open(&args.model)?;
    if !opened.origin.stack.files.is_empty() {
        return Err(InputError::new(format!(
            "{}: has patches in its weights; requests are repaired on a model without patches",
            opened.folder.display()
        )));
    }
    let loaded = &opened.loaded;
    let asked = Asked {
        requests_sha256: format!("{:x}", Sha256::digest(read(&args.requests)?)),
        model: model_folder::name(&opened.folder),
        base: loaded.sha256.clone(),
        method: serde_json::to_value(&config.methods[0])?,
    };
    if goes_on {
        check_same(&args.out, &asked)?;
    }
    let kept = if args.no_keep { Vec::new() } else { NamedTexts::read(&args.keep, loaded)? };
    let requests = requests(args, lines, loaded)?;
    let (mut edits, seconds) = edits(args, (&config, loaded), &requests, &asked)?;
    let names: Vec<&str> = requests.iter().map(|own| own.line.name.as_str()).collect();
    let (kept, refused) = hold(loaded, &kept, (&names, &mut edits), args.bound)?;
    let patches = args.out.join("patches");
    let measured = measure(loaded, &requests, &edits)?;
    let id = |request: &RequestTasks| -> Result<String> {
        let path = request.patch(&patches);
        let is_refused = refused.iter().any(|own| own.name == request.line.name);
        if is_refused || !path.is_file() {
            return Ok("none".into());
        }
        Ok(PatchFile::read(&path)?.id[..12].to_string())
    };
    let ids = requests.iter().map(id).collect::<Result<_>>()?;
    let report = Report {
        harness: format!("ment {}, commit {}", env!("CARGO_PKG_VERSION"), env!("MENT_COMMIT")),
        asked,
        seconds,
        requests: measured,
        refused,
        kept,
        patches: ids,
    };
    let mut tables = vec![table(&report.asked.model, &args.method, &report.requests, &report.kept)];
    if !report.kept.is_empty() {
        tables.push(kept_table(&report.kept));
    }
    tables.iter().try_for_each(|table| export::write(table, &args.out).map(drop))?;
    page::write(&report, &tables, &args.out)?;
    // Last, so that a set that is interrupted before goes on with all of its patches.
    for request in requests.iter().filter(|own| report.is_refused(&own.line.name)) {
        let path = request.patch(&patches);
        if path.is_file() {
            std::fs::remove_file(&path).with_context(|| path.display().to_string())?;
        }
    }
    files::write(&args.out.join(REPORT), serde_json::to_string_pretty(&report)? + "\n")?;
    print!("{}", tables[0].terminal(super::terminal_width(), false));
    say(&report, &args.out);
    let said = Of::sum(report.requests.iter().map(|own| own.prompts));
    anyhow::ensure!(
        said.count == said.of,
        "{} of {} prompts do not bring about their target",
        said.of - said.count,
        said.of
    );
    Ok(())
}

/// Refuses what can be refused before the model is opened.
fn check(args: &RepairArgs, config: &Config, lines: &[RequestLine]) -> Result<()> {
    let kind = config.methods[0].kind();
    if !kind.repairs_together() {
        return Err(InputError::new(format!(
            "--method: `{}` repairs one error at a time; joint, memit and alpha-edit repair many together",
            args.method
        )));
    }
    if !kind.holds_prompts() && lines.iter().any(|line| !line.keep.is_empty()) {
        tracing::warn!(
            "`{}` takes no notice of `keep` in the requests: these prompts are only measured",
            args.method
        );
    }
    if !(0.0..=1.0).contains(&args.bound) {
        return Err(InputError::new(format!("--bound {}: a share is from 0 to 1", args.bound)));
    }
    if args.keep.is_empty() && !args.no_keep {
        kept::check(None)?;
    }
    args.keep.iter().try_for_each(|named| kept::check(Some(named)))?;
    check_layers(config, &args.model)
}

/// Refuses to go on in a folder in which something else was asked for.
fn check_same(out: &Path, asked: &Asked) -> Result<()> {
    let path = out.join(ASKED);
    let before: Asked = serde_json::from_str(&read(&path)?)
        .with_context(|| format!("{}: cannot be read", path.display()))?;
    if before == *asked {
        return Ok(());
    }
    Err(InputError::new(format!(
        "{}: was begun with other requests, another model or another method; give another --out",
        out.display()
    )))
}

/// The requests as `loaded` reads them.
fn requests(
    args: &RepairArgs,
    lines: Vec<RequestLine>,
    loaded: &Loaded,
) -> Result<Vec<RequestTasks>> {
    let read = lines.into_iter().map(|line| RequestTasks::new(line, loaded)).collect();
    let read: Result<Vec<RequestTasks>> = read;
    let mut requests = read.with_context(|| args.requests.display().to_string())?;
    RequestTasks::write_on(&mut requests, loaded)?;
    Ok(requests)
}

/// The edits of all `requests`, and the seconds that they took; those that a former process wrote.
fn edits(
    args: &RepairArgs,
    (config, loaded): (&Config, &Loaded),
    requests: &[RequestTasks],
    asked: &Asked,
) -> Result<(Vec<Edit>, Option<f64>)> {
    let patches = args.out.join("patches");
    if patches.is_dir() {
        let edits = requests.iter().map(|own| own.read(loaded, &patches)).collect::<Result<_>>()?;
        println!("solved   before: the patches in {} are measured", patches.display());
        return Ok((edits, None));
    }
    let method = method::all(config, loaded)?.remove(0);
    std::fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    files::write(&args.out.join(ASKED), serde_json::to_string_pretty(asked)? + "\n")?;
    let clock = Clock::start(loaded.model.spec().device);
    let edits = set::repair(loaded, method.as_ref(), requests)?;
    let seconds = clock.seconds();
    // All at once, so that a folder of patches is a whole one.
    let partial = args.out.join("patches.partial");
    for (request, edit) in requests.iter().zip(&edits) {
        request.write(edit, (config, loaded), &partial)?;
    }
    std::fs::create_dir_all(&partial).with_context(|| partial.display().to_string())?;
    std::fs::rename(&partial, &patches).with_context(|| patches.display().to_string())?;
    println!(
        "solved   {} requests in {seconds:.1} s ({:.1} s each)",
        requests.len(),
        seconds / requests.len() as f64
    );
    Ok((edits, Some(seconds)))
}

/// Prints what a table does not say.
fn say(report: &Report, out: &Path) {
    for refused in &report.refused {
        println!(
            "refused  {}: its edit changes {:.1} % of the predictions on {} alone (see --bound)",
            refused.name,
            100.0 * refused.changed,
            refused.set
        );
    }
    for (name, other, count) in report.conflicts() {
        println!(
            "conflict {name}: {count} of its prompts bring their target without {other}, and not with it"
        );
    }
    let out = out.display();
    if report.patches.iter().any(|id| id != "none") {
        println!(
            "patches  {out}/patches (one a request; `ment apply --patch {out}/patches/*` puts them into a copy)"
        );
    }
    println!("page     {out}/report.html");
}
