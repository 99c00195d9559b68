//! `ment repair`: many requests to a model of one's own, repaired together.

use super::model::{check_layers, check_new, open};
use crate::cli::RepairArgs;
use crate::data::model_folder;
use crate::edit::Edit;
use crate::engine::device::Clock;
use crate::error::InputError;
use crate::method;
use crate::own_model::patch::kept::{self, Drift, KeptTexts};
use crate::own_model::patch::methods;
use crate::own_model::requests::line::RequestLine;
use crate::own_model::requests::measured::{Of, measure};
use crate::own_model::requests::set::{self, RequestTasks};
use crate::own_model::requests::table::table;
use crate::system::files;
use crate::table::export;
use anyhow::{Context, Result};

/// `ment repair`
pub fn repair(args: &RepairArgs) -> Result<()> {
    crate::system::signal::listen()?;
    check_new(&args.out)?;
    let lines = RequestLine::read(&args.requests)?;
    let config = methods::one(&args.method, &args.set)?;
    if !config.methods[0].kind().repairs_together() {
        return Err(InputError::new(format!(
            "--method: `{}` repairs one error at a time; joint, memit and alpha-edit repair many together",
            args.method
        )));
    }
    let kind = config.methods[0].kind();
    if !kind.holds_prompts() && lines.iter().any(|line| !line.keep.is_empty()) {
        tracing::warn!(
            "`{}` takes no notice of `keep` in the requests: these prompts are only measured",
            args.method
        );
    }
    kept::check(args.keep.as_deref())?;
    check_layers(&config, &args.model)?;
    let opened = open(&args.model)?;
    if !opened.origin.stack.files.is_empty() {
        return Err(InputError::new(format!(
            "{}: has patches in its weights; requests are repaired on a model without patches",
            opened.folder.display()
        )));
    }
    let loaded = &opened.loaded;
    let requests: Vec<RequestTasks> = lines
        .into_iter()
        .map(|line| RequestTasks::new(line, loaded))
        .collect::<Result<_>>()
        .with_context(|| args.requests.display().to_string())?;
    let method = method::all(&config, loaded)?.remove(0);
    let clock = Clock::start(loaded.model.spec().device);
    let edits = set::repair(loaded, method.as_ref(), &requests)?;
    let seconds = clock.seconds();
    let patches = args.out.join("patches");
    for (request, edit) in requests.iter().zip(&edits) {
        request.write(edit, (&config, loaded), &patches)?;
    }
    let measured = measure(loaded, &requests, &edits)?;
    let drift = if args.no_keep {
        None
    } else {
        let kept = KeptTexts::read(args.keep.as_deref(), loaded)?;
        let whole = edits.iter().fold(Edit::none(), |sum, own| sum.and(own)).merged();
        Some(Drift::between(&kept.under(loaded, &Edit::none())?, &kept.under(loaded, &whole)?))
    };
    let model = model_folder::name(&opened.folder);
    let report = serde_json::json!({
        "model": model, "base": loaded.sha256, "method": config.methods[0], "seconds": seconds,
        "requests": measured, "kept": drift,
    });
    files::write(&args.out.join("repair.json"), serde_json::to_string_pretty(&report)? + "\n")?;
    let table = table(&model, &args.method, &measured, drift);
    export::write(&table, &args.out)?;
    print!("{}", table.terminal(super::terminal_width(), false));
    println!(
        "solved   {} requests in {seconds:.1} s ({:.1} s each)",
        requests.len(),
        seconds / requests.len() as f64
    );
    let patched = patches.display();
    println!(
        "patches  {patched} (one a request; `ment apply --patch {patched}/*` puts them into a copy of the model)"
    );
    let said = Of::sum(measured.iter().map(|own| own.prompts));
    anyhow::ensure!(
        said.count == said.of,
        "{} of {} prompts do not bring about their target",
        said.of - said.count,
        said.of
    );
    Ok(())
}
