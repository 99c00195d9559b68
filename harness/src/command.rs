//! The commands: arguments in, work done, results printed.

use crate::benchmark::Benchmark;
use crate::cli::{BenchArgs, ConfigArgs, PredictArgs, RunArgs};
use crate::config::{Cases, Config};
use crate::dataset::DatasetName;
use crate::error::InputError;
use crate::report::table::Table;
use anyhow::Result;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// `ment run`
pub fn run(args: RunArgs) -> Result<()> {
    let config = resolve(&args.experiment)?;
    let out = args.out.clone().unwrap_or_else(|| default_out(&args.experiment.config));
    run_config(&config, &args, &out)?;
    report(&out, &args.tables)
}

/// `ment check`: of a config, or of a benchmark's folder.
pub fn check(args: &ConfigArgs) -> Result<()> {
    if !args.config.is_dir() {
        print!("{}", crate::check::check(&resolve(args)?)?);
        return Ok(());
    }
    let benchmark = Benchmark::load(&args.config)?;
    print!("{}", crate::check::benchmark(&benchmark));
    args.model.as_deref().map_or(Ok(()), |model| fit(&benchmark, model))
}

/// How a benchmark fits a model.
#[cfg(feature = "torch")]
fn fit(benchmark: &Benchmark, model: &Path) -> Result<()> {
    crate::signal::listen()?;
    let loaded = crate::model::load(model, tch::Device::Cpu, tch::Kind::Float)?;
    let fits = crate::run::fit(benchmark, &loaded)?;
    print!("\n{}", crate::run::describe_fit(benchmark, &fits));
    Ok(())
}

#[cfg(not(feature = "torch"))]
fn fit(_: &Benchmark, _: &Path) -> Result<()> {
    Err(without_torch())
}

/// `ment show`
pub fn show(run: &Path, trial: Option<&str>) -> Result<()> {
    let text = match trial {
        Some(trial) => crate::show::trial(run, trial)?,
        None => crate::show::list(run)?,
    };
    print!("{text}");
    Ok(())
}

/// `ment report`; prints the `wanted` tables, or all.
pub fn report(folder: &Path, wanted: &[String]) -> Result<()> {
    let report = crate::report::report(folder)?;
    let printed = |table: &&Table| wanted.is_empty() || wanted.iter().any(|n| n == table.name);
    print_tables(report.tables.iter().filter(printed));
    if !report.deviations.is_empty() {
        println!("departures from the paper:");
    }
    for deviation in &report.deviations {
        println!("· {deviation}");
    }
    let list = |files: Vec<PathBuf>| files.iter().for_each(|file| println!("  {}", file.display()));
    println!("\nwritten:");
    list(report.files);
    println!("from:");
    list(crate::store::record_files(folder)?);
    Ok(())
}

/// `ment report` of two runs.
pub fn compare(runs: [&Path; 2], out: Option<&Path>) -> Result<()> {
    let (table, files) = crate::report::compare(runs, out)?;
    print_tables(std::iter::once(&table));
    for file in files {
        println!("  {}", file.display());
    }
    Ok(())
}

fn print_tables<'t>(tables: impl Iterator<Item = &'t Table>) {
    let width = terminal_width();
    for table in tables {
        println!("{}", table.terminal(width));
    }
}

/// The config as written, then what the command line says.
fn resolve(args: &ConfigArgs) -> Result<Config> {
    let mut config = Config::read(&args.config)?;
    if !args.dataset.is_empty() {
        let wanted = args
            .dataset
            .iter()
            .map(|name| name.parse::<DatasetName>())
            .collect::<Result<BTreeSet<_>>>()?;
        config.dataset.retain(|dataset| wanted.contains(&dataset.name));
        if config.dataset.len() < wanted.len() {
            return Err(InputError::new(format!(
                "--dataset: not all of these are in {}",
                args.config.display()
            )));
        }
    }
    for dataset in &mut config.dataset {
        if let Some(from) = &args.from {
            dataset.from.clone_from(from);
        }
        dataset.limit = args.limit.or(dataset.limit);
    }
    match &mut config.probing {
        Some(probing) if args.full => probing.cases = Cases::All,
        None if args.full => {
            return Err(InputError::new("--full: this config patches no benchmark's cases"));
        }
        _ => {}
    }
    if let Some(model) = &args.model {
        config.model.path.clone_from(model);
        let folder = model.canonicalize().unwrap_or_else(|_| model.clone());
        let name = folder.file_name().unwrap_or(folder.as_os_str());
        config.model.label = name.to_string_lossy().into_owned();
    }
    config.check().map_err(InputError::new)?;
    Ok(config)
}

fn default_out(config: &Path) -> PathBuf {
    Path::new("results").join(config.file_stem().unwrap_or_default())
}

/// Columns of the terminal; wide where the output goes elsewhere.
fn terminal_width() -> usize {
    use std::io::IsTerminal;
    if !std::io::stdout().is_terminal() {
        return 200;
    }
    terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0))
}

#[cfg(feature = "torch")]
fn run_config(config: &Config, args: &RunArgs, out: &Path) -> Result<()> {
    crate::signal::listen()?;
    if !config.description.is_empty() {
        eprintln!("{}", config.description);
    }
    let RunArgs { device, threads, shard, .. } = args;
    let place = crate::run::Place { device, threads: *threads, shard: *shard, out };
    crate::run::run(config, &place)
}

/// `ment predict`
#[cfg(feature = "torch")]
pub fn predict(args: PredictArgs) -> Result<()> {
    use crate::{device, model, predict};
    use tch::Kind;

    let device = device::open(&args.device)?;
    let loaded = model::load(&args.model, device, Kind::Float)?;
    let ids = match (&args.input.prompt, args.input.ids) {
        (Some(prompt), _) => loaded.tokenizer.encode(prompt)?,
        (None, ids) => ids.unwrap_or_default(),
    };
    let tokens = predict::next_tokens(&loaded, &ids, args.top.get())?;
    if args.json {
        println!("{}", serde_json::json!({ "ids": ids, "next": tokens }));
    } else {
        print!("{}", predict::render(&tokens));
    }
    Ok(())
}

/// `ment bench`
#[cfg(feature = "torch")]
pub fn bench(args: BenchArgs) -> Result<()> {
    crate::signal::listen()?;
    let shape = |layers: usize| args.shapes.join(format!("codegen-350m-{layers}"));
    let smollm2 = PathBuf::from(".models/smollm2-135m-instruct");
    let settings = crate::bench::Settings {
        models: vec![("SmolLM2-135M".into(), smollm2), ("CodeGen-350M's shape".into(), shape(20))],
        depths: [5, 10, 20].map(shape).to_vec(),
        python: args.python,
        tokens: args.tokens,
        errors: args.errors.get(),
        integrated_gradients: !args.quick,
        threads: args.threads,
        out: &args.out,
    };
    let bench = crate::bench::bench(&settings)?;
    print_tables(bench.tables.iter());
    println!("written:");
    for file in bench.files {
        println!("  {}", file.display());
    }
    anyhow::ensure!(bench.failures.is_empty(), "not counted: {}", bench.failures.join("; "));
    Ok(())
}

/// `ment bench`
#[cfg(not(feature = "torch"))]
pub fn bench(_: BenchArgs) -> Result<()> {
    Err(without_torch())
}

#[cfg(not(feature = "torch"))]
fn run_config(_: &Config, _: &RunArgs, _: &Path) -> Result<()> {
    Err(without_torch())
}

/// `ment predict`
#[cfg(not(feature = "torch"))]
pub fn predict(_: PredictArgs) -> Result<()> {
    Err(without_torch())
}

#[cfg(not(feature = "torch"))]
fn without_torch() -> anyhow::Error {
    InputError::new("this ment was built without the feature `torch` and runs no models")
}
