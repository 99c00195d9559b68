//! A run from config to records. The only place that sees data, retrieval, model and methods.

mod deviations;
mod parallel;
mod patching;
mod prepare;
mod resume;

use self::parallel::Corpus;
use self::patching::Patching;
use crate::config::Config;
use crate::dataset::Dataset;
use crate::manifest::{Environment, Identity, Manifest};
use crate::method::{self, Method};
use crate::model::{self, Loaded};
use crate::plan::{Shard, plan};
use crate::record::FORMAT;
use crate::store::Store;
use crate::{check, device, signal};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use tch::Tensor;

/// How a run is carried out; no part of what it is.
#[derive(Debug)]
pub struct Place<'a> {
    /// `cpu` or `cuda:N`.
    pub device: &'a str,
    /// Threads of one tensor operation.
    pub threads: Option<NonZeroUsize>,
    /// The part of the run that this process does; all of it, where there is none.
    pub shard: Option<Shard>,
    /// The folder of the run.
    pub out: &'a Path,
}

/// Runs `config` at `place`, or continues what is there.
///
/// # Errors
/// If the input is at fault ([`crate::error::InputError`]), the user stops the run
/// ([`crate::error::Interrupted`]), or writing fails. Records written so far are kept.
pub fn run(config: &Config, place: &Place<'_>) -> Result<()> {
    let out = place.out;
    let device = device::open(place.device)?;
    device::set_up_cpu(place.threads);
    device::set_tf32(config.execution.tf32);
    if let Some(warning) = device::warning(device, config.model.dtype) {
        eprintln!("note: {warning}");
    }
    let datasets = check::datasets(config)?;
    let planned = plan(config, &datasets);
    let prepare::Retrieved { demonstrations, embeddings, encoder } =
        prepare::retrieve(config, &datasets, &planned, device)?;
    signal::check()?;
    let loaded = model::load(&config.model.path, device, device::kind(config.model.dtype))
        .with_context(|| format!("model `{}` cannot be loaded", config.model.label))?;
    let prompts = prepare::prompts(config, &datasets, &planned, demonstrations, &loaded)?;
    let queries: Vec<Tensor> = embeddings.iter().map(|of| of.queries.shallow_clone()).collect();
    let corpora = corpora(config, &datasets, embeddings, &loaded)?;
    let methods = method::all(config, &loaded);
    let manifest = manifest(config, &datasets, &loaded, encoder, &methods, &prompts);
    let (store, records) = Store::open(out, &manifest, place.shard)?;
    let own: Vec<&prepare::Prompt<'_>> = prompts
        .iter()
        .filter(|prompt| place.shard.is_none_or(|shard| shard.takes(&prompt.planned)))
        .collect();

    let spec = loaded.model.spec();
    eprintln!(
        "{} ({}, {} layers of {} neurons) on {}, {} threads: {} prompts → {}{}",
        config.model.label,
        spec.family,
        spec.layers,
        spec.d_ff,
        device::family(device),
        tch::get_num_threads(),
        own.len(),
        out.display(),
        if records.is_empty() { "" } else { " (continued)" },
    );
    let done = resume::Done::new(records);
    let (loaded, methods, prompts) = (&loaded, &methods, &prompts);
    let identity = &manifest.identity;
    let parallel = patching::Parallel { corpora: &corpora, queries };
    Patching { config, loaded, methods, prompts, own, identity, parallel, store, done }.run()
}

/// What parallel prompts are made of, where a method asks for them: one a data set.
fn corpora<'a>(
    config: &'a Config,
    datasets: &'a [Dataset],
    embeddings: Vec<prepare::Embeddings>,
    loaded: &'a Loaded,
) -> Result<Vec<Corpus<'a>>> {
    if !config.needs_parallel_prompts() {
        return Ok(Vec::new());
    }
    let of_datasets = datasets.iter().zip(embeddings).enumerate();
    of_datasets
        .map(|(index, (dataset, of))| Corpus::new(config, index, dataset, of.corpus, loaded))
        .collect()
}

fn manifest(
    config: &Config,
    datasets: &[Dataset],
    loaded: &Loaded,
    encoder: Option<String>,
    methods: &[Box<dyn Method>],
    prompts: &[prepare::Prompt<'_>],
) -> Manifest {
    let mut contents = BTreeMap::from([
        ("model".to_string(), loaded.sha256.clone()),
        ("tokenizer".to_string(), loaded.tokenizer.sha256.clone()),
    ]);
    for dataset in datasets {
        let files = dataset.files.iter();
        contents.extend(
            files.map(|file| (format!("{}/{}", dataset.name, file.name), file.sha256.clone())),
        );
    }
    let spec = loaded.model.spec();
    let device = device::family(spec.device);
    let identity = Identity::new(config, device, contents, encoder.as_deref());
    Manifest {
        format: FORMAT,
        run: identity.hash(),
        identity,
        deviations: deviations::list(config, datasets, loaded, prompts),
        method_deviations: methods
            .iter()
            .map(|method| (method.label().to_string(), method.deviations()))
            .collect(),
        environment: Environment {
            harness: env!("CARGO_PKG_VERSION").into(),
            commit: env!("MENT_COMMIT").into(),
            libtorch: device::TORCH_VERSION.into(),
            threads: usize::try_from(tch::get_num_threads()).unwrap_or(0),
            tf32: device::tf32(),
            memory_mib: config.execution.memory_mib.0,
            platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
            processor: crate::device::processor(),
        },
        added_in: BTreeMap::new(),
    }
}
