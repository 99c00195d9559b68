//! Arguments of the commands for a model of one's own.

use clap::Args;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Folder of a model, and the device it runs on.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// Model: a folder in Hugging Face layout, a name of `ment models`, or an id of the Hugging Face hub.
    #[arg(long, value_name = "MODEL", default_value = "smollm2-135m")]
    pub model: PathBuf,
    /// Device: cpu or cuda:N.
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Threads of one tensor operation [default: OMP_NUM_THREADS, else all cores].
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// Compute a model that has Python code of its own (`auto_map` in config.json) as the plain
    /// architecture that its model_type names.
    #[arg(long)]
    pub plain_architecture: bool,
}

/// A prompt within the model's chat template.
#[derive(Debug, Args)]
pub struct ChatArgs {
    /// Take the prompt as what a user says, in the model's chat template, up to where the model answers.
    #[arg(long)]
    pub chat: bool,
    /// Text of the system's turn before it.
    #[arg(long, value_name = "TEXT", requires = "chat")]
    pub system: Option<String>,
}

/// Arguments of `ment patch`.
#[derive(Debug, Args)]
pub struct PatchArgs {
    #[command(flatten)]
    /// The model.
    pub model: ModelArgs,
    /// The text before the target, or @FILE for the text in a file (without its last line end). A
    /// text that begins with @ is given as @@.
    #[arg(long, value_name = "TEXT|@FILE", required_unless_present = "revert")]
    pub prompt: Option<String>,
    #[command(flatten)]
    /// The chat template.
    pub chat: ChatArgs,
    /// The text that the model should write next, from its first character on, or @FILE.
    #[arg(long, value_name = "TEXT|@FILE", required_unless_present = "revert")]
    pub target: Option<String>,
    /// The method: ment, one of its variants (loc.-actv, est.-switch, plan-prob …), mint, star, joint, kn, kn-1, ft,
    /// lora, rome, memit or alpha-edit.
    #[arg(long, value_name = "NAME", default_value = "ment")]
    pub method: String,
    /// The part of the prompt that the target is about, as rome, memit and alpha-edit store it there [default: the last
    /// token before the error].
    #[arg(long, value_name = "TEXT")]
    pub subject: Option<String>,
    /// Set a key of the method, as in ment.quota=5.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Patches that are applied first; the new one is made on top of them.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub patch: Vec<PathBuf>,
    /// Texts that should not change, on which side effects are measured: a file of texts between lines `---`; humaneval=,
    /// mbpp=, conala=, python= or prose= and a file or folder; or stdlib [default: two dozen short ones of many kinds].
    #[arg(long, value_name = "TEXTS")]
    pub keep: Option<PathBuf>,
    /// Write the patch to this new file; with --revert, the checkpoint to this new folder.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Take this patch out of a folder that `ment apply` has written: --model DIR --revert FILE
    /// --out DIR.
    #[arg(
        long,
        value_name = "FILE",
        requires = "out",
        conflicts_with_all = ["prompt", "target", "method", "subject", "set", "patch", "keep", "json", "chat"]
    )]
    pub revert: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `ment repair`.
#[derive(Debug, Args)]
pub struct RepairArgs {
    /// Requests, one JSON object a line: `prompts`, `target`; optional `name`, `keep`, `rephrasings`, `unrelated`.
    pub requests: PathBuf,
    #[command(flatten)]
    /// The model.
    pub model: ModelArgs,
    /// The method: joint, memit or alpha-edit.
    #[arg(long, value_name = "NAME", default_value = "joint")]
    pub method: String,
    /// Set a key of the method, as in joint.threshold=0.5.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Texts that should not change: a file of texts between lines `---`; humaneval=, mbpp=, conala=, python= or prose=
    /// and a file or folder; stdlib; or built-in, two dozen short ones of many kinds. Can be given several times
    /// [default: built-in].
    #[arg(long, value_name = "TEXTS")]
    pub keep: Vec<PathBuf>,
    /// Refuse an edit that alone changes more than this share of the predictions on kept texts.
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    pub bound: f64,
    /// Measure no side effects on kept texts.
    #[arg(long, conflicts_with = "keep")]
    pub no_keep: bool,
    /// The new folder for patches, measurements, tables and a page; one that was interrupted goes on.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Arguments of `ment apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    /// The model.
    pub model: ModelArgs,
    /// Patches, in the order they are applied.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub patch: Vec<PathBuf>,
    /// Texts that should not change, on which side effects are measured: a file of texts between lines `---`; humaneval=,
    /// mbpp=, conala=, python= or prose= and a file or folder; or stdlib [default: two dozen short ones of many kinds].
    #[arg(long, value_name = "TEXTS")]
    pub keep: Option<PathBuf>,
    /// The new folder.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Arguments of `ment generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    #[command(flatten)]
    /// The model.
    pub model: ModelArgs,
    /// The text to continue, or @FILE for the text in a file (without its last line end). A text that
    /// begins with @ is given as @@.
    #[arg(long, value_name = "TEXT|@FILE")]
    pub prompt: String,
    #[command(flatten)]
    /// The chat template.
    pub chat: ChatArgs,
    /// Patches the model has meanwhile, in the order they are applied.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub patch: Vec<PathBuf>,
    /// Without the patches too, and what differs: [-before-] {+after+}, or in colour.
    #[arg(long, requires = "patch", conflicts_with = "json")]
    pub compare: bool,
    /// Tokens at most.
    #[arg(long, value_name = "N", default_value = "128")]
    pub tokens: NonZeroUsize,
    /// Draw tokens at this temperature; 0 takes the most probable one.
    #[arg(long, value_name = "T", default_value = "0")]
    pub temperature: f64,
    /// Draw among the most probable tokens that have this probability together.
    #[arg(long, value_name = "P", default_value = "1")]
    pub top_p: f64,
    /// Random seed.
    #[arg(long, value_name = "N", default_value = "0")]
    pub seed: u64,
    /// End before this text; \n means a line end. May be given several times.
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}
