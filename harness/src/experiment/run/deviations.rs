//! Departures of a run from the paper, shown where the tables are read.

use super::prepare::PreparedPrompt;
use crate::config::{Config, Division, Dtype, ProbingConfig, Undeclared};
use crate::data::benchmark::{Benchmark, Rows};
use crate::data::dataset::{Dataset, DatasetName};
use crate::data::paper::published;
use crate::model::Loaded;

/// Retrieval and inference pairs of Table I; `None` for a data set that the paper does not have.
fn table_one(dataset: DatasetName) -> Option<[usize; 2]> {
    let table = published("table1").expect("it is committed");
    let column = table.column("#Data-Pair", dataset.label())?;
    Some(["Retrieval", "Inference"].map(|division| {
        let (_, cells) = table.row(division, "").expect("a row a division");
        cells[column] as usize
    }))
}

/// Departures of the patching experiment, one sentence each.
pub(super) fn of_patching(
    config: &Config,
    datasets: &[Dataset],
    loaded: &Loaded,
    prompts: &[PreparedPrompt<'_>],
) -> Vec<String> {
    let mut found = of_model(config, loaded);
    if config.prompt.chat {
        found.push(
            "prompts are conversations in the model's chat template, each demonstration a turn (the template \
             `demonstration` of a data set is not used)"
                .into(),
        );
    }
    if config.retrieval.demonstrations != 3 {
        found.push(format!(
            "{} demonstrations, where the paper has 3",
            config.retrieval.demonstrations
        ));
    }
    for (index, (settings, dataset)) in config.dataset.iter().zip(datasets).enumerate() {
        let run = prompts.iter().filter(|prompt| prompt.planned.dataset == index);
        let (dropped, prompted) =
            run.fold((0, 0), |(dropped, all), p| (dropped + usize::from(p.dropped > 0), all + 1));
        let label = dataset.heading();
        if settings.division == Division::Calibration {
            found.push(format!("{label}: prompted with pairs of its retrieval division"));
        }
        let pairs = dataset.retrieval.len();
        let here = format!("{label}: {prompted} data prompted, {pairs} pairs to retrieve from");
        match table_one(settings.name) {
            Some([retrieval, inference]) if (pairs, prompted) == (retrieval, inference) => {}
            Some([retrieval, inference]) => {
                found.push(format!("{here}; the paper has {inference} and {retrieval}"));
            }
            None => found.push(here),
        }
        if dropped > 0 {
            found.push(format!("{label}: {dropped} prompts have fewer demonstrations, to fit"));
        }
        if dataset.retrieval.len() <= config.retrieval.demonstrations {
            found.push(format!("{label}: too few pairs to retrieve all demonstrations from"));
        }
        found.extend(dataset.deviations.iter().map(|text| format!("{label}: {text}")));
    }
    found
}

/// Departures of the probing experiment, one sentence each.
pub(super) fn of_probing(
    config: &Config,
    settings: &ProbingConfig,
    benchmark: &Benchmark,
    datasets: &[Dataset],
    loaded: &Loaded,
) -> Vec<String> {
    let mut found = of_model(config, loaded);
    match &benchmark.rows {
        Some(rows) => found.extend(of_rows(benchmark, rows)),
        None => found.extend(of_benchmark(benchmark, settings)),
    }
    for dataset in datasets {
        found.push(format!(
            "parallel prompts are made of {} pairs of {}",
            dataset.retrieval.len(),
            dataset.heading()
        ));
    }
    found
}

/// Departures of a benchmark that declares its tokens.
fn of_benchmark(benchmark: &Benchmark, settings: &ProbingConfig) -> [String; 2] {
    let samples = format!(
        "samples: {} {}, written after Table II of the paper, whose own samples are not available",
        benchmark.name, benchmark.version
    );
    let undeclared = match settings.undeclared {
        Undeclared::Edit => {
            "a case is patched also where the model does not predict the declared argmax token; \
             the argmax is then the model's own"
        }
        Undeclared::Drop => {
            "a case is left out where the model does not predict the declared argmax token"
        }
        Undeclared::Nudge => {
            "where the model does not predict the declared argmax token, MENT first makes it do so, \
             if it can"
        }
    };
    [samples, undeclared.into()]
}

/// Departures of rows of a data set.
fn of_rows(benchmark: &Benchmark, rows: &Rows) -> [String; 2] {
    [
        format!("{}: {rows}, where the paper has samples of its Table II", benchmark.name),
        "the target of a row is the first token of its output that the model gets wrong, and the argmax \
         what the model predicts there"
            .into(),
    ]
}

/// Departures of model and arithmetic.
fn of_model(config: &Config, loaded: &Loaded) -> Vec<String> {
    let mut found = Vec::new();
    let spec = loaded.model.spec();
    if (spec.family, spec.layers, spec.d_model) != ("codegen", 20, 1024) {
        found.push(format!("model: {}, where the paper has CodeGen-350M-mono", config.model.label));
    }
    if config.model.plain_architecture {
        found.push(format!(
            "the checkpoint's own Python code, if it has some, is not run; it is computed as a plain {}",
            spec.family
        ));
    }
    let narrow = match config.model.dtype {
        Dtype::F32 => None,
        Dtype::Bf16 => Some("bfloat16"),
        Dtype::F16 => Some("float16"),
    };
    if let Some(dtype) = narrow {
        found.push(format!(
            "weights and activations are {dtype}; whether an edit solves its error is decided on \
             sums of rounded columns and deltas, not on rounded edited columns"
        ));
    }
    if config.execution.tf32 && spec.device.is_cuda() {
        found.push("inputs of matrix products are rounded to TF32".into());
    }
    found
}
