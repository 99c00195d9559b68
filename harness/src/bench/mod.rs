//! `ment bench`: the engine measured against Python peers that do the same work, on the same
//! machine and threads, in turns, in one run. No time counts before the results agree.

mod editors;
mod growth;
mod measure;
mod peer;
mod plot;
mod subject;
mod tables;
mod versus;

use self::peer::Peer;
use self::subject::Subject;
use crate::engine::device;
use crate::error::InputError;
use crate::system::{files, progress, signal};
use crate::table::Table;
use anyhow::{Context, Result};
use serde::Serialize;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use tch::Device;

/// Settings of a benchmark run.
#[derive(Debug)]
pub struct BenchSettings<'a> {
    /// Models with their labels: a Hugging Face folder each, of which the first has a tokenizer.
    pub models: Vec<(String, PathBuf)>,
    /// Folders of one shape with more and more layers, for the growth of costs.
    pub depths: Vec<PathBuf>,
    /// The peer's Python.
    pub python: PathBuf,
    /// Prompt lengths.
    pub tokens: Vec<usize>,
    /// Errors repaired at each length.
    pub errors: usize,
    /// True if integrated gradients are measured, on the trained model; the peer takes many minutes.
    pub integrated_gradients: bool,
    /// Threads, of both sides.
    pub threads: Option<NonZeroUsize>,
    /// Folder that results are written to.
    pub out: &'a Path,
}

/// Everything that was measured, as it is written to `bench.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    /// Environment of the measurements.
    pub(crate) environment: BenchEnvironment,
    /// Against the peer.
    pub(crate) versus: Vec<Versus>,
    /// Measurements of the engine alone.
    pub(crate) alone: Vec<Alone>,
    /// Time per error against one size at a time.
    pub(crate) growth: Vec<Growth>,
    /// Measurements that failed, or that do not count because results differ.
    pub(crate) failures: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct BenchEnvironment {
    pub(crate) processor: String,
    pub(crate) threads: usize,
    pub(crate) commit: String,
    pub(crate) libtorch: String,
    pub(crate) peer: String,
    /// Best of several products of 2048 × 2048 matrices, FLOP/s.
    pub(crate) gemm_peak: f64,
}

/// One task, both sides; medians over `runs`.
#[derive(Debug, Serialize)]
pub(crate) struct Versus {
    pub(crate) model: String,
    pub(crate) task: BenchTask,
    pub(crate) tokens: usize,
    pub(crate) seconds: f64,
    pub(crate) peer_seconds: f64,
    pub(crate) runs: usize,
    /// Number of repetitions, and the difference of the results.
    pub(crate) detail: String,
}

/// Task that is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BenchTask {
    /// Logits at all positions.
    Forward,
    /// One error repaired by MENT with 10 candidates.
    Ment,
    /// One error repaired by fine-tuning of the last FFN output matrix.
    FineTuning,
    /// One error repaired by LoRA on all FFN output matrices.
    Lora,
    /// One error repaired by MEMIT, the prompt alone and after four beginnings.
    Memit,
    /// Integrated gradients, 20 steps, every layer.
    IntegratedGradients,
    /// One edit probed on 49 prompts.
    Probe,
}

/// A figure of the engine alone.
#[derive(Debug, Serialize)]
pub(crate) struct Alone {
    pub(crate) model: String,
    pub(crate) figure: BenchFigure,
    pub(crate) value: f64,
}

/// Task of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BenchFigure {
    /// Share of the GEMM peak that a forward pass of 256 tokens reaches.
    GemmShare,
    /// Peak memory over the weights, MENT at 1,024 tokens, bytes.
    MentMemory,
    /// bf16 against f32, forward pass of 64 tokens: how many times as fast.
    Bf16Speed,
    /// Share of positions whose argmax bf16 keeps.
    Bf16Argmax,
}

/// Seconds per error at one size, one round of candidates.
#[derive(Debug, Serialize)]
pub(crate) struct Growth {
    pub(crate) model: String,
    pub(crate) against: Against,
    pub(crate) size: usize,
    pub(crate) seconds: f64,
}

/// The size that grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Against {
    /// Tokens of the prompt.
    Tokens,
    /// Layers of the model.
    Layers,
    /// Candidates simulated.
    Candidates,
}

/// Measurements of a benchmark run, and those that failed.
#[derive(Debug)]
pub struct Bench {
    /// Tables, in the order they are printed.
    pub tables: Vec<Table>,
    /// Files that were written.
    pub files: Vec<PathBuf>,
    /// Work whose results differ from the peer's, or that failed: no time of it counts.
    pub failures: Vec<String>,
}

/// Measures, and writes `bench.json`, tables and plots into `settings.out`.
///
/// # Errors
/// If a model, the peer or the folder is not available.
pub fn bench(settings: &BenchSettings<'_>) -> Result<Bench> {
    for (_, folder) in &settings.models {
        if !folder.join("config.json").is_file() {
            return Err(InputError::new(format!(
                "{}: no model; `just bench` makes the ones it measures",
                folder.display()
            )));
        }
    }
    std::fs::create_dir_all(settings.out)
        .with_context(|| format!("{}: cannot be made", settings.out.display()))?;
    device::set_up_cpu(settings.threads);
    let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1);
    let mut results = Results {
        environment: BenchEnvironment {
            processor: device::processor(),
            threads,
            commit: env!("MENT_COMMIT").into(),
            libtorch: device::TORCH_VERSION.into(),
            peer: String::new(),
            gemm_peak: measure::gemm_peak(),
        },
        versus: Vec::new(),
        alone: Vec::new(),
        growth: Vec::new(),
        failures: Vec::new(),
    };
    let tasks = subject::tasks(&settings.models[0].1)?;
    let most = tasks.iter().map(|task| task.prompt.len()).min().unwrap_or_default();
    if let Some(tokens) = settings.tokens.iter().find(|&&tokens| tokens == 0 || tokens > most) {
        return Err(InputError::new(format!("--tokens {tokens}: must be from 1 to {most}")));
    }
    for (label, folder) in &settings.models {
        signal::check()?;
        let bar = progress::bar(label, settings.tokens.len() * 2 + 3);
        let subject = Subject::load(label, folder, &tasks, Device::Cpu)?;
        // First of all: later work leaves memory behind that would hide the peak.
        bar.set_message("memory");
        results.alone.push(measure::memory(&subject)?);
        let mut peer = Peer::start(&settings.python, folder, threads)?;
        results.environment.peer.clone_from(&peer.versions);
        versus::all(&subject, &mut peer, settings, &bar, &mut |found| {
            signal::check()?;
            match found {
                Ok(found) => results.versus.push(found),
                Err(error) => results.failures.push(format!("{label}: {error:#}")),
            }
            write(&results, settings.out)
        })?;
        drop(peer);
        bar.set_message("alone");
        results.alone.push(measure::gemm_share(&subject, results.environment.gemm_peak));
        results.alone.extend(measure::bf16(&subject, folder)?);
        bar.set_message("growth of costs");
        growth::tokens_and_candidates(&subject, &mut results.growth)?;
        write(&results, settings.out)?;
        bar.finish_and_clear();
    }
    growth::layers(&settings.depths, &tasks, &mut results.growth)?;
    write(&results, settings.out)?;
    report(results, settings.out)
}

/// Tables and plots of what was measured.
fn report(results: Results, out: &Path) -> Result<Bench> {
    let tables = tables::all(&results);
    let mut files = vec![out.join("bench.json")];
    for table in &tables {
        files.extend(crate::table::export::write(table, out)?);
    }
    files.extend(plot::all(&results, out)?);
    Ok(Bench { tables, files, failures: results.failures })
}

/// Measured so far; nothing is lost if the rest fails.
fn write(results: &Results, out: &Path) -> Result<()> {
    let path = out.join("bench.json");
    let text = serde_json::to_string_pretty(results)? + "\n";
    files::write(&path, text)
}
