//! A study, run.

use super::{Study, StudyConfig};
use crate::data::dataset::SourceFile;
use crate::engine::device;
use crate::error::InputError;
use crate::experiment::{check, run};
use crate::method;
use crate::model::{self, Loaded};
use crate::own_model::patch::checkpoint::Origin;
use crate::records::FORMAT;
use crate::records::manifest::{self, Identity, Manifest};
use anyhow::Result;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;

/// Runs the study into `folder`, or continues it.
///
/// # Errors
/// If the input is at fault, the user stops it, or writing fails. What was measured is kept.
pub fn run(
    written: &StudyConfig,
    folder: &Path,
    (device, threads): (&str, Option<NonZeroUsize>),
) -> Result<()> {
    let StudyConfig { config, study, .. } = written;
    let device = device::open(device)?;
    device::set_up_cpu(threads);
    device::set_tf32(config.execution.tf32);
    check::datasets(config)?; // read again later, but refused before weights are read
    if config.prompt.chat {
        return Err(InputError::new("prompt.chat: a study puts its prompts in no chat template"));
    }
    let loaded = model::load(&config.model.path, device::options(config, device))?;
    if !Origin::of(&config.model.path, &loaded.sha256)?.stack.files.is_empty() {
        return Err(InputError::new(format!(
            "{}: has patches in its weights; a study needs a model without patches",
            config.model.path.display()
        )));
    }
    let manifest = manifest(written, &loaded)?;
    match study {
        Study::Chains(chains) => super::chains::run(config, chains, &loaded, &manifest, folder),
        Study::Sequence(sequence) => {
            super::sequence::run(config, sequence, &loaded, &manifest, folder)
        }
    }
}

/// Manifest of the study.
fn manifest(written: &StudyConfig, loaded: &Loaded) -> Result<Manifest> {
    let StudyConfig { config, study, text } = written;
    let mut contents = BTreeMap::from([
        ("model".to_string(), loaded.sha256.clone()),
        ("tokenizer".to_string(), loaded.tokenizer.sha256.clone()),
    ]);
    let keep = match study {
        Study::Chains(chains) => &chains.keep,
        Study::Sequence(sequence) => &sequence.keep,
    };
    contents.insert("kept".into(), crate::own_model::kept::sha256(keep.as_deref())?);
    for dataset in check::datasets(config)? {
        let file =
            |file: &SourceFile| (format!("{}/{}", dataset.name, file.name), file.sha256.clone());
        contents.extend(dataset.files.iter().map(file));
    }
    let device = device::family(loaded.model.spec().device);
    let mut identity = Identity::new(config, device, contents, None);
    identity.add_corpora(config)?;
    match study {
        Study::Chains(chains) => identity.add_study("chains", chains, &loaded.ends),
        Study::Sequence(sequence) => identity.add_study("sequence", sequence, &loaded.ends),
    }
    Ok(Manifest {
        format: FORMAT,
        run: identity.hash(),
        identity,
        deviations: Vec::new(),
        method_deviations: method::all(config, loaded)?
            .iter()
            .map(|method| (method.label().to_string(), method.deviations()))
            .collect(),
        places: manifest::places(config),
        config: text.clone(),
        pairs: BTreeMap::new(),
        probing: None,
        environment: run::environment(config, loaded),
        added_in: BTreeMap::new(),
        sessions: Vec::new(),
    })
}
