//! `ment init`: an example to start from.

use crate::error::InputError;
use anyhow::{Context, Result};
use std::path::Path;

/// The files of the example.
const FILES: [(&str, &str); 4] = [
    ("experiment.toml", include_str!("../init/experiment.toml")),
    ("data/README.md", include_str!("../init/README.md")),
    ("data/retrieval.jsonl", include_str!("../init/retrieval.jsonl")),
    ("data/inference.jsonl", include_str!("../init/inference.jsonl")),
];

/// `ment init`
pub fn init(folder: &Path) -> Result<()> {
    let made = || format!("{}: cannot be made", folder.display());
    if folder.exists() && std::fs::read_dir(folder).with_context(made)?.next().is_some() {
        return Err(InputError::new(format!(
            "{}: there are files already; name a new folder",
            folder.display()
        )));
    }
    std::fs::create_dir_all(folder.join("data")).with_context(made)?;
    for (name, text) in FILES {
        crate::system::files::write(&folder.join(name), text)?;
        println!("{}", folder.join(name).display());
    }
    println!("\nnext    ment models get smollm2-135m    (once: the model, 0.2 GB to download)");
    println!("        cd {} && ment run experiment.toml", folder.display());
    Ok(())
}
