//! Repairs a model from Rust, as `ment patch` does: `cargo run --example repair_a_model -- MODEL_FOLDER`.
//!
//! Without a folder it takes the default model that `just setup` makes.

use anyhow::Result;
use ment::edit::Edit;
use ment::method;
use ment::model;
use ment::model::Options;
use ment::own_model::patch::repair::{Task, repair};
use ment::own_model::patch::{free, methods};

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).unwrap_or(".models/smollm2-135m-instruct".into());
    let loaded = model::load(folder.as_ref(), Options::default())?;

    let prompt = "# the largest value of a list\nx = [3, 1, 2]\nprint(";
    let task = Task::new(&loaded, &loaded.tokenizer, prompt, "min(x")?;
    let unedited = free::write(&loaded, &task, &Edit::none())?;
    println!("unedited  {:?}", unedited.text);

    let config = methods::one("ment", &["ment.quota=5".into()])?;
    let ment = &method::all(&config, &loaded)?[0];
    let repairs = repair(&loaded, &config, ment.as_ref(), &task, &Edit::none())?;
    for shown in &repairs.done {
        let token = &shown.repaired;
        println!(
            "repaired  {:?} instead of {:?}: {} patches",
            token.target,
            token.was,
            token.neurons.len()
        );
    }
    if let Some(failed) = &repairs.failed {
        anyhow::bail!("not repaired: {}", failed.reason);
    }

    let edited = free::write(&loaded, &task, &repairs.edit)?;
    println!("edited    {:?}", edited.text);
    anyhow::ensure!(edited.says_target, "the model does not write the target by itself");
    Ok(())
}
