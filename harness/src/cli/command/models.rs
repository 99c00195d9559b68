//! `ment models`: the models that are fetched by name.

use crate::cli::ModelsCommand;
use crate::data::model_folder::{get, models as known, place};
use anyhow::Result;

/// `ment models`
pub fn models(what: Option<&ModelsCommand>) -> Result<()> {
    if let Some(ModelsCommand::Get { name, accept_terms }) = what {
        println!("{}", get(name, *accept_terms)?.display());
        return Ok(());
    }
    for model in known() {
        let folder = model.fetched();
        let place = folder.map_or("not fetched".into(), |folder| folder.display().to_string());
        println!("{:<18}{}\n{:<18}{place}", model.name, model.what, "");
    }
    if let Some(cache) = place() {
        println!("\ncache   {} (MENT_CACHE names another)", cache.display());
    }
    println!(
        "        `--model` also takes a folder, or an id of the Hugging Face hub such as Qwen/Qwen2.5-Coder-0.5B"
    );
    Ok(())
}
