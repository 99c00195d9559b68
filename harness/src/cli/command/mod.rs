//! The commands: arguments in, work done, results printed.

mod init;
#[cfg(feature = "torch")]
mod model;
mod models;
#[cfg(feature = "torch")]
mod repair;
#[cfg(feature = "torch")]
mod text;

pub use self::init::init;
#[cfg(feature = "torch")]
pub use self::model::{apply, generate, patch, predict};
pub use self::models::models;
#[cfg(feature = "torch")]
pub use self::repair::repair;

#[cfg(not(feature = "torch"))]
use crate::cli::{ApplyArgs, GenerateArgs, PatchArgs, PredictArgs, RepairArgs};
use crate::cli::{BenchArgs, CheckArgs, ConfigArgs, RunArgs, StudyArgs, VerifyArgs};
use crate::config::{Cases, Config, Experiment, check_read};
use crate::data::benchmark::Benchmark;
use crate::data::dataset::DatasetName;
use crate::data::model_folder;
use crate::error::{InputError, Interrupted};
use crate::experiment::verify::{CheckOutcome, Places};
use crate::table::Table;
use anyhow::Result;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// `ment run`
pub fn run(args: RunArgs) -> Result<()> {
    let experiment = resolve(&args.experiment, model_folder::find_or_fetch)?;
    let out = args.out.clone().unwrap_or_else(|| default_out(&args.experiment.config));
    begin()?;
    if args.dry_run {
        return dry_run(&experiment, &args, &out);
    }
    if !experiment.is_sweep {
        run_config(&the_one(&experiment)?, &experiment.text, &args, &out)?;
        return if args.no_report { Ok(()) } else { report(&out, &args.tables) };
    }
    if !args.tables.is_empty() {
        return Err(InputError::new(
            "--tables has no effect on a sweep, which prints one table; `ment report` prints those \
             of a point",
        ));
    }
    let swept = crate::experiment::sweep::run(&experiment.points, &out, |config, folder| {
        run_config(config, &experiment.text, &args, folder)?;
        if args.no_report { Ok(()) } else { crate::report::report(folder).map(drop) }
    })?;
    if !args.no_report && !swept.points.is_empty() {
        let (table, files) = crate::report::sweep(&swept.points, &swept.failed, &out)?;
        print_tables(std::iter::once(&table));
        println!("written:");
        list(&files);
    }
    let (some, all) = (swept.failed.len(), experiment.points.len());
    anyhow::ensure!(some == 0, "{some} of {all} points failed:\n{}", swept.failed.join("\n"));
    Ok(())
}

/// `ment run --dry-run`
fn dry_run(experiment: &Experiment, args: &RunArgs, out: &Path) -> Result<()> {
    each_point(experiment, out, |config, folder, settings| {
        print!("{}", crate::experiment::check::check(config)?);
        println!("folder      {}", folder.display());
        if experiment.is_sweep {
            println!("set         {settings}");
        }
        println!();
        print_tables(std::iter::once(&forecast(config, &experiment.text, args, folder)?));
        Ok(())
    })
}

/// Calls `told` with the config, its folder and its settings, for every point of a sweep. Points that fail do
/// not stop the others; they are listed with their reasons at the end.
fn each_point(
    experiment: &Experiment,
    out: &Path,
    mut told: impl FnMut(&Config, &Path, &str) -> Result<()>,
) -> Result<()> {
    if !experiment.is_sweep {
        return told(&the_one(experiment)?, out, "");
    }
    let mut wrong = Vec::new();
    let folders = crate::experiment::sweep::folders(&experiment.points, out)?;
    for (point, folder) in experiment.points.iter().zip(folders) {
        let settings = point.settings.join(", ");
        let config = point.config.clone().map_err(InputError::new);
        match config.and_then(|config| told(&config, &folder.unwrap_or_default(), &settings)) {
            Ok(()) => {}
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => wrong.push(format!("{settings}: {error:#}")),
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(InputError::new(wrong.join("\n"))) }
}

/// `ment check`: of a config, or of a benchmark's folder.
pub fn check(args: &CheckArgs) -> Result<()> {
    let CheckArgs { experiment: args, samples } = args;
    if !args.config.is_dir() {
        let experiment = resolve(args, model_folder::find)?;
        return each_point(&experiment, &default_out(&args.config), |config, folder, settings| {
            let text = crate::experiment::check::check(config)?;
            if experiment.is_sweep {
                println!("point       {settings} → {}", folder.display());
            }
            print!("{text}");
            Ok(())
        });
    }
    let benchmark = Benchmark::load(&args.config)?;
    print!("{}", crate::experiment::check::benchmark(&benchmark));
    args.model.as_deref().map_or(Ok(()), |model| baselines(&benchmark, args, model, *samples))
}

/// Predictions of a model on the samples of a benchmark, before any edit.
#[cfg(feature = "torch")]
fn baselines(benchmark: &Benchmark, args: &ConfigArgs, model: &Path, samples: bool) -> Result<()> {
    use crate::config::ProbingConfig;
    use crate::experiment::run::describe_baselines;
    use crate::model::{Options, load};

    crate::system::signal::listen()?;
    let options = Options { plain_architecture: args.plain_architecture, ..Options::default() };
    let loaded = load(model, options)?;
    let settings = ProbingConfig::new(args.config.clone());
    let baselines = crate::experiment::run::baselines(benchmark, &settings, &loaded)?;
    let cap = settings.rank_cap.0 as u32;
    print!("\n{}", describe_baselines(benchmark, &baselines, cap, samples));
    Ok(())
}

#[cfg(not(feature = "torch"))]
fn baselines(_: &Benchmark, _: &ConfigArgs, _: &Path, _: bool) -> Result<()> {
    Err(without_torch())
}

/// `ment show`
pub fn show(run: &Path, trial: Option<&str>) -> Result<()> {
    let text = match trial {
        Some(trial) => crate::cli::show::trial(run, trial)?,
        None => crate::cli::show::list(run)?,
    };
    print!("{text}");
    Ok(())
}

/// `ment study`
pub fn study(args: &StudyArgs) -> Result<()> {
    let mut written = crate::experiment::study::StudyConfig::read(&args.config, &args.set)?;
    if let Some(model) = &args.model {
        change_model(&mut written.config, model);
    }
    written.config.model.plain_architecture |= args.plain_architecture;
    written.config.model.path = model_folder::find_or_fetch(&written.config.model.path)?;
    let out = args.out.clone().unwrap_or_else(|| default_out(&args.config));
    begin()?;
    run_study(&written, &out, args)?;
    report_study(&out)
}

/// Tables of the study in `folder`, and its files.
fn report_study(folder: &Path) -> Result<()> {
    let (tables, files) = crate::experiment::study::report(folder)?;
    print_tables(tables.iter());
    print_closing(folder, &files);
    Ok(())
}

#[cfg(feature = "torch")]
fn run_study(
    written: &crate::experiment::study::StudyConfig,
    out: &Path,
    args: &StudyArgs,
) -> Result<()> {
    crate::experiment::study::run(written, out, (&args.device, args.threads))
}

#[cfg(not(feature = "torch"))]
fn run_study(_: &crate::experiment::study::StudyConfig, _: &Path, _: &StudyArgs) -> Result<()> {
    Err(without_torch())
}

/// `ment report`; prints the `wanted` tables, or all.
pub fn report(folder: &Path, wanted: &[String]) -> Result<()> {
    if crate::records::store::journal::is_study(folder) {
        if !wanted.is_empty() {
            return Err(InputError::new(
                "--tables has no effect on a study, whose tables are all printed",
            ));
        }
        return report_study(folder);
    }
    let report = crate::report::report(folder)?;
    let printed = |table: &&Table| wanted.is_empty() || wanted.iter().any(|n| n == table.name);
    print_tables(report.tables.iter().filter(printed));
    if !report.deviations.is_empty() {
        println!("departures from the paper:");
    }
    for deviation in &report.deviations {
        println!("· {deviation}");
    }
    print_closing(folder, &report.files);
    let folder = folder.display();
    println!("next    `ment verify {folder}` checks it; `ment report {folder} OTHER` compares it");
    Ok(())
}

/// The lines after the tables: where everything is, and the page to open. The files are not listed, because
/// their names would push the tables off the screen.
fn print_closing(folder: &Path, files: &[PathBuf]) {
    let folder = folder.display();
    println!("\nfolder  {folder} ({} files beside the records)", files.len());
    if let Some(page) =
        files.iter().find(|file| file.extension().is_some_and(|kind| kind == "html"))
    {
        println!("page    {}", page.display());
    }
}

fn list(files: &[PathBuf]) {
    for file in files {
        println!("  {}", file.display());
    }
}

/// `ment verify`
pub fn verify(args: VerifyArgs) -> Result<()> {
    let VerifyArgs { run: folder, again, seed, model, encoder, from, benchmark } = args;
    let places = Places { model, encoder, from, benchmark };
    let run = crate::records::store::read(&folder)?;
    let mut checks = crate::experiment::verify::verify(&run, &folder, &places)?;
    checks.iter().for_each(|check| println!("{check}"));
    if again > 0 {
        begin()?;
        let more = verify_again(&run, &places, (again, seed))?;
        more.iter().for_each(|check| println!("{check}"));
        checks.extend(more);
    }
    let failed = checks.iter().filter(|check| check.outcome == CheckOutcome::Fails).count();
    anyhow::ensure!(failed == 0, "{failed} of {} checks failed", checks.len());
    Ok(())
}

#[cfg(feature = "torch")]
use crate::experiment::verify::again as verify_again;

#[cfg(not(feature = "torch"))]
fn verify_again(
    _: &crate::records::store::Run,
    _: &Places,
    _: (usize, u64),
) -> Result<Vec<crate::experiment::verify::Check>> {
    Err(without_torch())
}

/// `ment report` of two runs.
pub fn compare(runs: [&Path; 2], out: Option<&Path>) -> Result<()> {
    let (table, files) = crate::report::compare(runs, out)?;
    print_tables(std::iter::once(&table));
    list(&files);
    Ok(())
}

fn print_tables<'t>(tables: impl Iterator<Item = &'t Table>) {
    use std::io::IsTerminal;
    let (width, grey) = (terminal_width(), std::io::stdout().is_terminal());
    for table in tables {
        println!("{}", table.terminal(width, grey));
    }
}

/// The config as written, then what the command line says; models by the folders that `find` has for them.
fn resolve(args: &ConfigArgs, find: fn(&Path) -> Result<PathBuf>) -> Result<Experiment> {
    let mut experiment = Experiment::read(&args.config, &args.set)?;
    let Experiment { points, written, .. } = &mut experiment;
    for point in points {
        let Ok(config) = &mut point.config else { continue };
        let all = config.clone();
        adjust(config, args)?;
        let check = |line: &String| check_read(line, written, &all, config);
        args.set
            .iter()
            .try_for_each(check)
            .map_err(|error| InputError::new(format!("--set: {error}")))?;
        let swept = point.settings.iter().try_for_each(check);
        let found = locate_models(config, find).map_err(|error| format!("{error:#}"));
        if let Err(error) = swept.and(found) {
            point.config = Err(error); // the other points of a sweep are run
        }
    }
    Ok(experiment)
}

/// Replaces the models of a config by the folders that `find` has for them.
fn locate_models(config: &mut Config, find: fn(&Path) -> Result<PathBuf>) -> Result<()> {
    config.model.path = find(&config.model.path)?;
    if config.needs_encoder() {
        config.retrieval.encoder = model_folder::find(&config.retrieval.encoder)?;
    }
    Ok(())
}

/// The config of an experiment without a sweep.
fn the_one(experiment: &Experiment) -> Result<Config> {
    experiment.points[0].config.clone().map_err(InputError::new)
}

/// Another model, called by its name.
fn change_model(config: &mut Config, model: &Path) {
    config.model.path = model.to_path_buf();
    config.model.label = model_folder::name(model);
}

/// Applies the command-line options that replace keys of the config.
fn adjust(config: &mut Config, args: &ConfigArgs) -> Result<()> {
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
        if config.probing.is_none() {
            dataset.limit = args.limit.or(dataset.limit);
        }
    }
    if let Some(probing) = &mut config.probing {
        probing.rows = args.limit.or(probing.rows);
    }
    match &mut config.probing {
        Some(probing) if args.full => probing.cases = Cases::All,
        None if args.full => {
            return Err(InputError::new(
                "--full: this config has no [probing] table, so it patches no \
             cases of a benchmark",
            ));
        }
        _ => {}
    }
    if let Some(model) = &args.model {
        change_model(config, model);
    }
    config.model.plain_architecture |= args.plain_architecture;
    if !args.only.is_empty() {
        config
            .keep_only(&args.only)
            .map_err(|error| InputError::new(format!("--only: {error}")))?;
    }
    config.execution.seed = args.seed.unwrap_or(config.execution.seed);
    config.check().map_err(InputError::new)
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

/// From here on, Ctrl-C ends a run in order.
#[cfg(feature = "torch")]
fn begin() -> Result<()> {
    crate::system::signal::listen()
}

#[cfg(not(feature = "torch"))]
fn begin() -> Result<()> {
    Err(without_torch())
}

#[cfg(feature = "torch")]
fn run_config(config: &Config, text: &str, args: &RunArgs, out: &Path) -> Result<()> {
    if !config.description.is_empty() {
        tracing::info!("{}", config.description);
    }
    crate::experiment::run::run(config, &place(text, args, out))
}

#[cfg(feature = "torch")]
fn place<'a>(
    written: &'a str,
    args: &'a RunArgs,
    out: &'a Path,
) -> crate::experiment::run::RunOptions<'a> {
    let RunArgs { device, threads, shard, .. } = args;
    crate::experiment::run::RunOptions {
        device,
        threads: *threads,
        shard: *shard,
        out,
        written,
        only: None,
    }
}

#[cfg(feature = "torch")]
fn forecast(config: &Config, text: &str, args: &RunArgs, out: &Path) -> Result<Table> {
    crate::experiment::run::dry_run(config, &place(text, args, out))
}

#[cfg(not(feature = "torch"))]
fn forecast(_: &Config, _: &str, _: &RunArgs, _: &Path) -> Result<Table> {
    Err(without_torch())
}

/// `ment bench`
#[cfg(feature = "torch")]
pub fn bench(args: BenchArgs) -> Result<()> {
    crate::system::signal::listen()?;
    let shape = |layers: usize| args.shapes.join(format!("codegen-350m-{layers}"));
    let smollm2 = PathBuf::from(".models/smollm2-135m-instruct");
    let settings = crate::bench::BenchSettings {
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
    list(&bench.files);
    anyhow::ensure!(bench.failures.is_empty(), "not counted: {}", bench.failures.join("; "));
    Ok(())
}

/// `ment bench`
#[cfg(not(feature = "torch"))]
pub fn bench(_: BenchArgs) -> Result<()> {
    Err(without_torch())
}

#[cfg(not(feature = "torch"))]
fn run_config(_: &Config, _: &str, _: &RunArgs, _: &Path) -> Result<()> {
    Err(without_torch())
}

/// `ment predict`
#[cfg(not(feature = "torch"))]
pub fn predict(_: &PredictArgs) -> Result<()> {
    Err(without_torch())
}

/// `ment generate`
#[cfg(not(feature = "torch"))]
pub fn generate(_: &GenerateArgs) -> Result<()> {
    Err(without_torch())
}

/// `ment patch`
#[cfg(not(feature = "torch"))]
pub fn patch(_: &PatchArgs) -> Result<()> {
    Err(without_torch())
}

/// `ment repair`
#[cfg(not(feature = "torch"))]
pub fn repair(_: &RepairArgs) -> Result<()> {
    Err(without_torch())
}

/// `ment apply`
#[cfg(not(feature = "torch"))]
pub fn apply(_: &ApplyArgs) -> Result<()> {
    Err(without_torch())
}

#[cfg(not(feature = "torch"))]
fn without_torch() -> anyhow::Error {
    InputError::new("this ment was built without the feature `torch` and cannot run models")
}
