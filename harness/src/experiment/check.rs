//! `ment check`: what a config asks for, and whether it can be had, before any model is loaded.

#[cfg(feature = "torch")]
use crate::config::Dtype;
use crate::config::{Config, KnConfig, MethodConfig, ProbingConfig, Undeclared};
use crate::data::benchmark::{Benchmark, Place};
use crate::data::dataset::{Dataset, FormatName};
use crate::data::paper;
use crate::error::InputError;
use crate::experiment::plan::{cases, plan};
#[cfg(feature = "torch")]
use anyhow::Context as _;
use anyhow::Result;
use std::fmt::Write as _;
use std::path::Path;

/// Checks data sets, plan and files of `config`, and describes them for the reader.
///
/// # Errors
/// If something is missing, or contradicts the data.
pub fn check(config: &Config) -> Result<String> {
    let folder = &config.model.path;
    let weights = model(config)?;
    let datasets = datasets(config)?;
    let probed = config
        .probing
        .as_ref()
        .map(|settings| anyhow::Ok((settings, probed(settings)?)))
        .transpose()?;
    if config.needs_encoder() {
        encoder(&config.retrieval.encoder)?;
    }
    let mut out = format!("model       {} ({})\n", config.model.label, folder.display());
    out += &weights;
    let planned = if let Some((_, benchmark)) = &probed {
        out += &self::benchmark(benchmark);
        Vec::new() // nothing but the benchmark is prompted
    } else {
        plan(config, &datasets)
    };
    for (index, dataset) in datasets.iter().enumerate() {
        let prompted = planned.iter().filter(|datum| datum.dataset == index).count();
        let _ = writeln!(
            out,
            "data        {}: {prompted} data prompted, {} pairs to retrieve from",
            dataset.heading(),
            dataset.retrieval.len()
        );
    }
    for label in config.labels() {
        let _ = writeln!(out, "method      {label}");
    }
    let methods = config.labels().count();
    let work = match &probed {
        Some((settings, benchmark)) => format!("{} cases", cases(benchmark, settings.cases).len()),
        None => format!("{} data", planned.len()),
    };
    let _ = writeln!(out, "plan        {work} × {methods} methods");
    Ok(out)
}

/// Checks that the model can be loaded, as far as its configs, its tokenizer and the headers of its weights
/// tell, and says how much memory it takes; without libtorch, checks that it is there.
fn model(config: &Config) -> Result<String> {
    let folder = &config.model.path;
    need(
        &folder.join("config.json"),
        "no model in Hugging Face layout; `just setup` makes the default",
    )?;
    need(&folder.join("tokenizer.json"), "the model has no tokenizer")?;
    #[cfg(feature = "torch")]
    return Ok(weights(&loadable(config, tch::Device::Cpu)?, config.model.dtype));
    #[cfg(not(feature = "torch"))]
    Ok(String::new())
}

/// The memory that the weights take, a line.
#[cfg(feature = "torch")]
fn weights(headers: &crate::model::Headers, dtype: Dtype) -> String {
    let mib = headers.bytes as f64 / f64::from(1 << 20);
    format!("weights     {mib:.1} MiB of memory in {}\n", format!("{dtype:?}").to_lowercase())
}

/// Checks that the model can be loaded on `device`, as far as its configs, its tokenizer and the headers of
/// its weights tell, and that it has the neurons that `config` names.
///
/// # Errors
/// If it cannot, or has not.
#[cfg(feature = "torch")]
pub(crate) fn loadable(config: &Config, device: tch::Device) -> Result<crate::model::Headers> {
    let options = crate::engine::device::options(config, device);
    let headers = crate::model::check(&config.model.path, options)
        .with_context(|| format!("model `{}` cannot be loaded", config.model.label))?;
    for method in &config.methods {
        let spec = &headers.spec;
        method.check_model(spec.layers, spec.d_ff).map_err(InputError::new)?;
    }
    Ok(headers)
}

/// The benchmark of `[probing]`, or the one that rows of a data set make.
///
/// # Errors
/// If it cannot be read, has fewer demonstrations than the config asks for, or a key is set that has no effect
/// on it.
pub(crate) fn probed(settings: &ProbingConfig) -> Result<Benchmark> {
    let of_rows =
        settings.format.is_some() || !Benchmark::is_in(&settings.from) && has_rows(settings);
    let benchmark = if of_rows { rows(settings)? } else { Benchmark::load(&settings.from)? };
    let wrong = |what: &str| InputError::new(format!("{}: {what}", settings.from.display()));
    if of_rows && settings.undeclared != Undeclared::default() {
        return Err(wrong(
            "probing.undeclared has no effect on rows of a data set: their argmax is what the model \
             predicts; remove it",
        ));
    }
    if !of_rows && settings.rows.is_some() {
        return Err(wrong(
            "probing.rows (--limit) counts rows of a data set, and this is a benchmark; its cases are \
             chosen by probing.cases (--full)",
        ));
    }
    let known = benchmark.subtypes.iter().map(|subtype| subtype.demonstrations.len()).min();
    let (known, wanted) = (known.unwrap_or(0), settings.demonstrations.unwrap_or(0));
    if wanted > known {
        return Err(InputError::new(format!(
            "probing.demonstrations = {wanted}, and the benchmark {} has {known}",
            settings.from.display()
        )));
    }
    Ok(benchmark)
}

/// True if the folder of `[probing]` has JSON Lines.
fn has_rows(settings: &ProbingConfig) -> bool {
    let entries = std::fs::read_dir(&settings.from).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.path().extension().is_some_and(|end| end == "jsonl"))
}

/// The benchmark of the rows that `[probing]` names.
fn rows(settings: &ProbingConfig) -> Result<Benchmark> {
    /// Demonstrations of the paper (III-F).
    const DEMONSTRATIONS: usize = 3;
    let format = settings.format.unwrap_or(FormatName::JSONL);
    let dataset = Dataset::of_rows(format, &settings.from)?;
    let limit = settings.rows.map_or(usize::MAX, |rows| rows.get());
    let demonstrations = settings.demonstrations.unwrap_or(DEMONSTRATIONS);
    Benchmark::of_rows(dataset, &settings.from, demonstrations, limit)
}

/// Checks that the sentence encoder can be loaded, as far as its configs and headers tell; without libtorch,
/// that it is there.
///
/// # Errors
/// If it cannot.
pub(crate) fn encoder(folder: &Path) -> Result<()> {
    need(
        &folder.join("config.json"),
        "no sentence encoder, by which demonstrations and parallel prompts are found; \
         `just setup` makes the default",
    )?;
    #[cfg(feature = "torch")]
    crate::experiment::retrieval::check(folder)?;
    Ok(())
}

/// Description of a benchmark, for the reader.
pub fn benchmark(benchmark: &Benchmark) -> String {
    if let Some(rows) = &benchmark.rows {
        return format!("rows        {}: {rows}\n", benchmark.name);
    }
    let mut out = format!("benchmark   {} {}\n", benchmark.name, benchmark.version);
    for (index, name) in benchmark.types.iter().enumerate() {
        let subtypes = benchmark.subtypes.iter().filter(|subtype| subtype.of == index);
        let names: Vec<&str> = subtypes.map(|subtype| subtype.name.as_str()).collect();
        let _ = writeln!(out, "type        {name}: {}", names.join(", "));
    }
    let (samples, targets) =
        (benchmark.subtypes[0].samples.len(), benchmark.subtypes[0].targets.len());
    let _ = writeln!(
        out,
        "cases       {} subtypes × {samples} samples × {targets} targets = {}",
        benchmark.subtypes.len(),
        benchmark.cases()
    );
    let _ = writeln!(out, "table II    {}", beside_table_two(benchmark));
    let place = Place { subtype: 0, sample: 0 };
    let _ = writeln!(
        out,
        "probe sets  |G| = {}, |S| = {}, without the patched sample",
        benchmark.related(place).count(),
        benchmark.unrelated(place).count()
    );
    out
}

/// Compares types, subtypes, argmax and target tokens with those of Table II.
fn beside_table_two(benchmark: &Benchmark) -> String {
    let trimmed = |token: &String| token.trim().to_string();
    let own = benchmark.subtypes.iter().map(|subtype| paper::PaperSubtype {
        of: benchmark.types[subtype.of].clone(),
        name: subtype.name.clone(),
        argmax: trimmed(&subtype.argmax),
        targets: subtype.targets.iter().map(trimmed).collect(),
        samples: subtype.samples.len(),
    });
    let paper = paper::benchmark();
    let found = own.filter(|own| paper.contains(own)).count();
    if found == paper.len() && found == benchmark.subtypes.len() {
        return "types, subtypes, tokens and numbers are the paper's".into();
    }
    format!(
        "{found} of its {} subtypes are among the paper's {}",
        benchmark.subtypes.len(),
        paper.len()
    )
}

/// The data sets of `config`, read and found fit for its methods.
///
/// # Errors
/// If one cannot be read, or a method needs more of it.
pub fn datasets(config: &Config) -> Result<Vec<Dataset>> {
    let datasets = config
        .dataset
        .iter()
        .map(|dataset| dataset.name.load(dataset.format, &dataset.from))
        .collect::<Result<Vec<_>>>()?;
    for dataset in &datasets {
        let mut kn = config.methods.iter().filter_map(|method| match method {
            MethodConfig::Kn(kn) => Some(kn),
            _ => None,
        });
        if let Some(kn) = kn.find(|kn| too_few(kn, dataset)) {
            return Err(InputError::new(format!(
                "{}: `{}` needs at least {} parallel prompts for each error, and there are {} pairs \
                 to make them of; lower parallel.at_least or add pairs",
                dataset.name,
                kn.label,
                kn.parallel.at_least.0,
                dataset.retrieval.len()
            )));
        }
    }
    Ok(datasets)
}

/// True if no error can ever have enough parallel prompts.
fn too_few(kn: &KnConfig, dataset: &Dataset) -> bool {
    dataset.retrieval.len() + usize::from(kn.parallel.own) < kn.parallel.at_least.0
}

fn need(path: &Path, what: &str) -> Result<()> {
    if path.is_file() {
        return Ok(());
    }
    Err(InputError::new(format!("{}: {what}", path.display())))
}
