//! A run from config to records. The only place that sees data, retrieval, model and methods.

mod deviations;
mod failed;
mod forecast;
mod ids;
mod parallel;
mod patching;
mod prepare;
mod probing;
mod resume;
mod strict;

pub use self::probing::{Baseline, Case, baselines, describe_baselines};

pub(crate) use self::failed::FailedTrials;
use self::forecast::Forecast;
use self::parallel::Corpus;
use self::patching::Patching;
use self::probing::{Probing, Surroundings};
use self::resume::Done;
use self::strict::Weights;
use crate::config::{Config, ProbingConfig, Shard};
use crate::data::dataset::{Dataset, SourceFile};
use crate::engine::device;
use crate::experiment::check;
use crate::experiment::plan::{Planned, cases, plan};
use crate::method::{self, Method};
use crate::model::{self, Loaded};
use crate::records::manifest::{self, Environment, Identity, Manifest, ProbingReading};
use crate::records::store::Store;
use crate::records::{FORMAT, view};
use crate::system::{process, signal};
use crate::table::Table;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroUsize;
use std::path::Path;
use tch::{Device, Tensor};
use tempfile::TempDir;

/// Options of carrying out a run; not part of its identity.
#[derive(Debug)]
pub struct RunOptions<'a> {
    /// `cpu` or `cuda:N`.
    pub device: &'a str,
    /// Threads of one tensor operation.
    pub threads: Option<NonZeroUsize>,
    /// The part of the run that this process does; `None` for all of it.
    pub shard: Option<Shard>,
    /// The folder of the run.
    pub out: &'a Path,
    /// The config file as it is written, for the manifest.
    pub written: &'a str,
    /// Names of the only data and cases to run, as `view::about` gives them.
    pub only: Option<&'a HashSet<String>>,
}

/// Runs `config` at `place`, or continues what is there.
///
/// # Errors
/// If the input is at fault ([`crate::error::InputError`]), the user stops the run
/// ([`crate::error::Interrupted`]), or writing fails. Records written so far are kept.
pub fn run(config: &Config, place: &RunOptions<'_>) -> Result<()> {
    experiment(config, place, Purpose::Run).map(drop)
}

/// Forecasts the remaining work of the run of `config` at `place`, from its records and a short probe. Writes
/// nothing.
///
/// # Errors
/// As [`run`].
pub fn dry_run(config: &Config, place: &RunOptions<'_>) -> Result<Table> {
    let forecast = experiment(config, place, Purpose::Forecast)?.expect("it was asked for");
    Ok(forecast.table(process::resident("VmHWM").ok()))
}

/// Purpose that an experiment is prepared for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Run,
    Forecast,
}

/// A [`Forecast`], if it is prepared for one.
fn experiment(
    config: &Config,
    place: &RunOptions<'_>,
    purpose: Purpose,
) -> Result<Option<Forecast>> {
    let device = device::open(place.device)?;
    // Errors that config and headers show come before data are read and embedded.
    check::loadable(config, device)?.fit()?;
    if config.needs_encoder() {
        check::encoder(&config.retrieval.encoder)?;
    }
    device::set_up_cpu(place.threads);
    device::set_tf32(config.execution.tf32);
    if let Some(warning) = device::warning(device, config.model.dtype) {
        tracing::warn!("{warning}");
    }
    match &config.probing {
        None => patch(config, device, place, purpose),
        Some(settings) => probe(config, settings, device, place, purpose),
    }
}

/// The patching experiment.
fn patch(
    config: &Config,
    device: Device,
    place: &RunOptions<'_>,
    purpose: Purpose,
) -> Result<Option<Forecast>> {
    let datasets = check::datasets(config)?;
    let planned = plan(config, &datasets);
    let loaded = load(config, device)?;
    signal::check()?;
    let prepare::Retrieved { demonstrations, embeddings, encoder } =
        prepare::retrieve(config, &datasets, &planned, device)?;
    signal::check()?;
    let prompts = prepare::prompts(config, &datasets, &planned, demonstrations, &loaded)?;
    let queries: Vec<Tensor> = embeddings.iter().map(|of| of.queries.shallow_clone()).collect();
    let corpora = corpora(config, &datasets, embeddings, &loaded)?;
    let methods = method::all(config, &loaded)?;
    let deviations = deviations::of_patching(config, &datasets, &loaded, &prompts);
    let files = files(&datasets);
    let of = (place, &datasets[..]);
    let manifest = manifest(config, of, files, deviations, &loaded, encoder, &methods)?;
    let own: Vec<&prepare::PreparedPrompt<'_>> = prompts
        .iter()
        .filter(|prompt| place.shard.is_none_or(|shard| shard.takes(prompt.planned.place)))
        .filter(|prompt| {
            let Planned { dataset, datum, .. } = prompt.planned;
            let about = || view::about_datum(config.dataset[dataset].name, datum);
            place.only.is_none_or(|only| only.contains(&about()))
        })
        .collect();
    let OpenRun { store, done, rehearsal } = OpenRun::new(place, &manifest, purpose)?;
    let is_new = rehearsal.as_ref().map_or(&done, |rehearsal| &rehearsal.there).is_empty();
    announce(config, &loaded, &format!("{} prompts", own.len()), place.out, is_new);
    let (loaded, methods, prompts) = (&loaded, &methods, &prompts);
    let hashes = manifest.identity.settings();
    let parallel = patching::ParallelData { corpora: &corpora, queries };
    let weights = Weights::of(config, loaded.model.as_ref())?;
    let failed = FailedTrials::default();
    let patching = Patching {
        config,
        loaded,
        methods,
        prompts,
        own,
        hashes,
        headings: datasets.iter().map(Dataset::heading).collect(),
        parallel,
        weights,
        store,
        done,
        failed,
    };
    match rehearsal {
        None => patching.run().map(|()| None),
        Some(rehearsal) => patching.forecast(&rehearsal.there).map(Some),
    }
}

/// The probing experiment.
fn probe(
    config: &Config,
    settings: &ProbingConfig,
    device: Device,
    place: &RunOptions<'_>,
    purpose: Purpose,
) -> Result<Option<Forecast>> {
    let benchmark = check::probed(settings)?;
    let datasets = check::datasets(config)?;
    let loaded = load(config, device)?;
    let (surroundings, encoder) = if config.needs_parallel_prompts() {
        let (found, encoder) = Surroundings::new(config, &benchmark, &datasets, &loaded)?;
        (found, Some(encoder))
    } else {
        (Surroundings::default(), None)
    };
    signal::check()?;
    let methods = method::all(config, &loaded)?;
    let deviations = deviations::of_probing(config, settings, &benchmark, &datasets, &loaded);
    let mut files = files(&datasets);
    let own = benchmark.files.iter();
    files.extend(own.map(|file| (format!("benchmark/{}", file.name), file.sha256.clone())));
    let of = (place, &datasets[..]);
    let mut manifest = manifest(config, of, files, deviations, &loaded, encoder, &methods)?;
    let rank_cap = u32::try_from(settings.rank_cap.0).unwrap_or(u32::MAX);
    manifest.probing = Some(ProbingReading {
        cases: benchmark.cases(),
        rank_cap,
        rank_rule: settings.rank_rule,
        // Of rows, no unrelated prompt is of another row.
        subtypes: if benchmark.rows.is_none() { benchmark.names() } else { Vec::new() },
        rows: benchmark.rows.map(|rows| format!("{}: {rows}", benchmark.name)),
    });
    let OpenRun { store, done, rehearsal } = OpenRun::new(place, &manifest, purpose)?;
    let is_new = rehearsal.as_ref().map_or(&done, |rehearsal| &rehearsal.there).is_empty();
    let cases = cases(&benchmark, settings.cases).len();
    announce(config, &loaded, &format!("{cases} cases"), place.out, is_new);
    let (benchmark, loaded, methods) = (&benchmark, &loaded, &methods);
    let (hashes, shard, only) = (manifest.identity.settings(), place.shard, place.only);
    let weights = Weights::of(config, loaded.model.as_ref())?;
    let probing = Probing {
        config,
        settings,
        benchmark,
        loaded,
        methods,
        hashes,
        surroundings,
        shard,
        only,
        weights,
        store,
        done,
        failed: FailedTrials::default(),
    };
    match rehearsal {
        None => probing.run().map(|()| None),
        Some(rehearsal) => probing.forecast(&rehearsal.there).map(Some),
    }
}

/// Store of a run that is open for writing.
struct OpenRun {
    store: Store,
    /// Content of its records.
    done: Done,
    rehearsal: Option<Rehearsal>,
}

/// A run that is only forecast writes to a folder that is thrown away.
struct Rehearsal {
    /// Content of the run's own records, in a rehearsal.
    there: Done,
    _folder: TempDir,
}

impl OpenRun {
    fn new(place: &RunOptions<'_>, manifest: &Manifest, purpose: Purpose) -> Result<Self> {
        match purpose {
            Purpose::Run => {
                let (store, records) = Store::open(place.out, manifest, place.shard)?;
                Ok(Self { store, done: Done::new(records), rehearsal: None })
            }
            Purpose::Forecast => {
                let there = Done::new(Store::look(place.out, manifest)?);
                let folder = TempDir::new().context("no folder for temporary files")?;
                let store = Store::scratch(folder.path(), manifest)?;
                let rehearsal = Some(Rehearsal { there, _folder: folder });
                Ok(Self { store, done: Done::default(), rehearsal })
            }
        }
    }
}

fn load(config: &Config, device: Device) -> Result<Loaded> {
    model::load(&config.model.path, device::options(config, device))
        .with_context(|| format!("model `{}` cannot be loaded", config.model.label))
}

/// One line on what begins.
fn announce(config: &Config, loaded: &Loaded, work: &str, out: &Path, is_new: bool) {
    let spec = loaded.model.spec();
    tracing::info!(
        "{} ({}, {} layers of {} neurons) on {}, {} threads: {work} → {}{}",
        config.model.label,
        spec.family,
        spec.layers,
        spec.d_ff,
        device::family(spec.device),
        tch::get_num_threads(),
        out.display(),
        if is_new { "" } else { " (continued)" },
    );
}

/// Pairs that parallel prompts are made of, one list per data set; empty if no method needs them.
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

/// Pairs of the retrieval division of each data set.
fn pairs(datasets: &[Dataset]) -> BTreeMap<String, usize> {
    datasets.iter().map(|dataset| (dataset.name.to_string(), dataset.retrieval.len())).collect()
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
    (place, datasets): (&RunOptions<'_>, &[Dataset]),
    mut contents: BTreeMap<String, String>,
    deviations: Vec<String>,
    loaded: &Loaded,
    encoder: Option<String>,
    methods: &[Box<dyn Method>],
) -> Result<Manifest> {
    contents.insert("model".into(), loaded.sha256.clone());
    contents.insert("tokenizer".into(), loaded.tokenizer.sha256.clone());
    if let Some(chat) = &loaded.chat {
        contents.insert(manifest::CHAT_TEMPLATE.into(), chat.sha256.clone());
    }
    let device = device::family(loaded.model.spec().device);
    let mut identity = Identity::new(config, device, contents, encoder.as_deref());
    identity.add_corpora(config)?;
    Ok(Manifest {
        format: FORMAT,
        run: identity.hash(),
        identity,
        deviations,
        method_deviations: methods
            .iter()
            .map(|method| (method.label().to_string(), method.deviations()))
            .collect(),
        places: manifest::places(config),
        config: place.written.into(),
        pairs: pairs(datasets),
        probing: None,
        environment: environment(config, loaded),
        added_in: BTreeMap::new(),
        sessions: Vec::new(),
    })
}

/// This process, as a manifest has it.
pub(crate) fn environment(config: &Config, loaded: &Loaded) -> Environment {
    Environment {
        harness: env!("CARGO_PKG_VERSION").into(),
        commit: env!("MENT_COMMIT").into(),
        libtorch: device::TORCH_VERSION.into(),
        threads: usize::try_from(tch::get_num_threads()).unwrap_or(0),
        tf32: device::tf32(),
        memory_mib: config.execution.memory_mib.0,
        platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
        processor: device::processor(),
        accelerator: device::accelerator(loaded.model.spec().device),
    }
}
