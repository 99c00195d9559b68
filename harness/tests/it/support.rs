//! Where things lie, and goldens as tensors.

use std::path::{Path, PathBuf};

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_path_buf()
}

/// A committed golden.
#[cfg(feature = "torch")]
pub(crate) fn golden(name: &str) -> PathBuf {
    root().join("scripts/goldens").join(name)
}

/// The real binary, on one thread, as tests run side by side.
pub(crate) fn ment() -> assert_cmd::Command {
    let mut command = assert_cmd::Command::new(assert_cmd::cargo::cargo_bin!("ment"));
    command.env("OMP_NUM_THREADS", "1");
    command
}

/// The files in `folder` and the folders below it, relative to it.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    entries
        .flat_map(|entry| {
            let name = PathBuf::from(entry.file_name());
            if entry.path().is_dir() {
                files_below(&entry.path()).iter().map(|file| name.join(file)).collect()
            } else {
                vec![name]
            }
        })
        .collect()
}

/// A model that set-up makes.
///
/// # Panics
/// If it is not there: these tests are never skipped silently.
#[cfg(feature = "torch")]
pub(crate) fn set_up_model(name: &str) -> PathBuf {
    let path = root().join(".models").join(name);
    assert!(path.is_dir(), "{} is missing; run `python3 scripts/setup.py`", path.display());
    path
}

#[cfg(feature = "torch")]
pub(crate) use self::tensors::*;

#[cfg(feature = "torch")]
mod tensors {
    use super::golden;
    use ment::model::{CausalLm, Options, load_weights};
    use std::collections::HashMap;
    use tch::Tensor;

    /// Every golden checkpoint: an architecture, or a setting that computes something else.
    pub(crate) const CHECKPOINTS: [&str; 25] = [
        "codegen",
        "architectures/gemma3",
        "architectures/gpt2",
        "architectures/gpt_bigcode",
        "architectures/gpt_neo",
        "architectures/gpt_neox",
        "architectures/gpt_neox_sequential",
        "architectures/gptj",
        "architectures/granite",
        "llama",
        "architectures/llama_dynamic",
        "architectures/llama_linear",
        "architectures/llama_llama3",
        "architectures/llama_yarn",
        "architectures/mistral",
        "architectures/olmo2",
        "architectures/opt",
        "architectures/phi",
        "architectures/phi3",
        "qwen2",
        "architectures/qwen2_window",
        "architectures/qwen3",
        "architectures/stablelm",
        "architectures/stablelm_parallel",
        "architectures/starcoder2",
    ];

    /// The tensors of a golden file by name.
    pub(crate) fn tensors(name: &str) -> HashMap<String, Tensor> {
        Tensor::read_safetensors(golden(name)).expect("a golden").into_iter().collect()
    }

    /// A golden checkpoint as a model, on the CPU in f32.
    pub(crate) fn model(name: &str) -> Box<dyn CausalLm> {
        tch::set_num_threads(1); // tests run side by side
        load_weights(&golden(name), Options::default()).expect("a checkpoint").0
    }

    /// Largest difference, relative to the largest entry of the reference.
    pub(crate) fn relative(ours: &Tensor, reference: &Tensor) -> f64 {
        assert_eq!(ours.size(), reference.size());
        let scale = f64::try_from(reference.abs().max()).expect("a number");
        f64::try_from((ours - reference).abs().max()).expect("a number") / scale
    }
}
