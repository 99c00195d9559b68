//! A run from config to records. The only place that sees data, retrieval, model and methods.

mod attempt;
mod deviations;
mod parallel;
mod patching;
mod prepare;
mod probing;
mod resume;

pub use self::probing::{Case, Fit, describe_fit, fit};

use self::parallel::Corpus;
use self::patching::Patching;
use self::probing::{Probing, Surroundings};
use crate::benchmark::Benchmark;
use crate::config::{Config, ProbingConfig};
use crate::dataset::{Dataset, SourceFile};
use crate::manifest::{Environment, Identity, Manifest, Reading};
use crate::method::{self, Method};
use crate::model::{self, Loaded};
use crate::plan::{Shard, cases, plan};
use crate::record::{FORMAT, Record};
use crate::store::Store;
use crate::{check, device, signal};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use tch::{Device, Tensor};

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
    let device = device::open(place.device)?;
    device::set_up_cpu(place.threads);
    device::set_tf32(config.execution.tf32);
    if let Some(warning) = device::warning(device, config.model.dtype) {
        eprintln!("note: {warning}");
    }
    match &config.probing {
        None => patch(config, device, place),
        Some(settings) => probe(config, settings, device, place),
    }
}

/// The patching experiment.
fn patch(config: &Config, device: Device, place: &Place<'_>) -> Result<()> {
    let datasets = check::datasets(config)?;
    let planned = plan(config, &datasets);
    let prepare::Retrieved { demonstrations, embeddings, encoder } =
        prepare::retrieve(config, &datasets, &planned, device)?;
    signal::check()?;
    let loaded = load(config, device)?;
    let prompts = prepare::prompts(config, &datasets, &planned, demonstrations, &loaded)?;
    let queries: Vec<Tensor> = embeddings.iter().map(|of| of.queries.shallow_clone()).collect();
    let corpora = corpora(config, &datasets, embeddings, &loaded)?;
    let methods = method::all(config, &loaded);
    let deviations = deviations::of_patching(config, &datasets, &loaded, &prompts);
    let files = files(&datasets);
    let manifest = manifest(config, files, deviations, &loaded, encoder, &methods);
    let (store, records) = Store::open(place.out, &manifest, place.shard)?;
    let own: Vec<&prepare::Prompt<'_>> = prompts
        .iter()
        .filter(|prompt| place.shard.is_none_or(|shard| shard.takes(prompt.planned.place)))
        .collect();
    announce(config, &loaded, &format!("{} prompts", own.len()), place.out, &records);
    let done = resume::Done::new(records);
    let (loaded, methods, prompts) = (&loaded, &methods, &prompts);
    let hashes = manifest.identity.settings();
    let parallel = patching::Parallel { corpora: &corpora, queries };
    Patching { config, loaded, methods, prompts, own, hashes, parallel, store, done }.run()
}

/// The probing experiment.
fn probe(
    config: &Config,
    settings: &ProbingConfig,
    device: Device,
    place: &Place<'_>,
) -> Result<()> {
    let benchmark = Benchmark::load(&settings.from)?;
    let datasets = check::datasets(config)?;
    let loaded = load(config, device)?;
    let (surroundings, encoder) = if config.needs_parallel_prompts() {
        let (found, encoder) = Surroundings::new(config, &benchmark, &datasets, &loaded)?;
        (found, Some(encoder))
    } else {
        (Surroundings::default(), None)
    };
    signal::check()?;
    let methods = method::all(config, &loaded);
    let deviations = deviations::of_probing(config, settings, &benchmark, &datasets, &loaded);
    let mut files = files(&datasets);
    let own = benchmark.files.iter();
    files.extend(own.map(|file| (format!("benchmark/{}", file.name), file.sha256.clone())));
    let mut manifest = manifest(config, files, deviations, &loaded, encoder, &methods);
    let rank_cap = u32::try_from(settings.rank_cap.0).unwrap_or(u32::MAX);
    manifest.probing = Some(Reading { cases: benchmark.cases(), rank_cap });
    let (store, records) = Store::open(place.out, &manifest, place.shard)?;
    let cases = cases(&benchmark, settings.cases).len();
    announce(config, &loaded, &format!("{cases} cases"), place.out, &records);
    let done = resume::Done::new(records);
    let (benchmark, loaded, methods) = (&benchmark, &loaded, &methods);
    let (hashes, shard) = (manifest.identity.settings(), place.shard);
    Probing {
        config,
        settings,
        benchmark,
        loaded,
        methods,
        hashes,
        surroundings,
        shard,
        store,
        done,
    }
    .run()
}

fn load(config: &Config, device: Device) -> Result<Loaded> {
    model::load(&config.model.path, device, device::kind(config.model.dtype))
        .with_context(|| format!("model `{}` cannot be loaded", config.model.label))
}

/// One line on what begins.
fn announce(config: &Config, loaded: &Loaded, work: &str, out: &Path, records: &[Record]) {
    let spec = loaded.model.spec();
    eprintln!(
        "{} ({}, {} layers of {} neurons) on {}, {} threads: {work} → {}{}",
        config.model.label,
        spec.family,
        spec.layers,
        spec.d_ff,
        device::family(spec.device),
        tch::get_num_threads(),
        out.display(),
        if records.is_empty() { "" } else { " (continued)" },
    );
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

/// Name and SHA-256 of every file of the data sets.
fn files(datasets: &[Dataset]) -> BTreeMap<String, String> {
    let of = |dataset: &Dataset| {
        let name = dataset.name;
        let file = move |file: &SourceFile| (format!("{name}/{}", file.name), file.sha256.clone());
        dataset.files.iter().map(file).collect::<Vec<_>>()
    };
    datasets.iter().flat_map(of).collect()
}

fn manifest(
    config: &Config,
    mut contents: BTreeMap<String, String>,
    deviations: Vec<String>,
    loaded: &Loaded,
    encoder: Option<String>,
    methods: &[Box<dyn Method>],
) -> Manifest {
    contents.insert("model".into(), loaded.sha256.clone());
    contents.insert("tokenizer".into(), loaded.tokenizer.sha256.clone());
    let device = device::family(loaded.model.spec().device);
    let identity = Identity::new(config, device, contents, encoder.as_deref());
    Manifest {
        format: FORMAT,
        run: identity.hash(),
        identity,
        deviations,
        method_deviations: methods
            .iter()
            .map(|method| (method.label().to_string(), method.deviations()))
            .collect(),
        probing: None,
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
