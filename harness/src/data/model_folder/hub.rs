//! Models of the Hugging Face hub, by id: in its cache on this machine, or fetched into it.

use super::unknown;
use anyhow::Result;
use hf_hub::api::sync::{ApiBuilder, ApiError};
use hf_hub::{Cache, Repo};
use std::path::{Path, PathBuf};

/// The id that `model` is, as in `Qwen/Qwen2.5-Coder-0.5B`; `None` if it is written like a path.
pub(super) fn id(model: &Path) -> Option<String> {
    let text = model.to_str()?;
    let (owner, name) = text.split_once('/')?;
    let fine = |part: &str| {
        let letters = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        part.chars().all(letters)
            && part.chars().any(|c| c.is_ascii_alphanumeric())
            && !part.starts_with('.')
    };
    (fine(owner) && fine(name)).then(|| text.to_string())
}

/// The folder of the model `id` in the hub's cache, if its config and weights are there.
pub(super) fn cached(id: &str) -> Option<PathBuf> {
    let config = Cache::from_env().repo(Repo::model(id.into())).get("config.json")?;
    let folder = config.parent()?.to_path_buf();
    let names = std::fs::read_dir(&folder)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.into_iter().any(|name| is_weights(&name)).then_some(folder)
}

/// The id of the model whose snapshot in the hub's cache is `folder`.
pub(super) fn written(folder: &Path) -> Option<String> {
    let inside = folder.strip_prefix(Cache::from_env().path()).ok()?;
    let name = inside.components().next()?.as_os_str().to_str()?;
    Some(name.strip_prefix("models--")?.replacen("--", "/", 1))
}

fn is_weights(name: &str) -> bool {
    name.ends_with(".safetensors") || (name.starts_with("pytorch_model") && name.ends_with(".bin"))
}

/// Fetches the model `id` into the hub's cache; its folder there.
///
/// # Errors
/// If the hub cannot be reached, or has no such model.
pub(super) fn fetch(id: &str) -> Result<PathBuf> {
    if std::env::var_os("HF_HUB_OFFLINE").is_some_and(|value| value == "1") {
        return Err(missing(id, "HF_HUB_OFFLINE=1 forbids to fetch it"));
    }
    let failed = |error: ApiError| missing(id, &format!("it cannot be fetched: {error}"));
    let repo = ApiBuilder::from_env().build().map_err(failed)?.model(id.into());
    let files: Vec<String> =
        repo.info().map_err(failed)?.siblings.into_iter().map(|file| file.rfilename).collect();
    for name in wanted(&files) {
        repo.get(name).map_err(failed)?;
    }
    cached(id).ok_or_else(|| unknown(id, "the hub has no weights of it that are known here"))
}

/// The files of a model that are read here: of the weights, safetensors where there are any.
fn wanted(files: &[String]) -> Vec<&str> {
    let safe = files.iter().any(|name| name.ends_with(".safetensors"));
    let needed = |name: &&str| {
        let text = [".json", ".txt", ".model"].iter().any(|end| name.ends_with(end));
        let weights = if safe { name.ends_with(".safetensors") } else { is_weights(name) };
        let index = name.ends_with(".bin.index.json");
        !name.contains('/') && (weights || (text && !(safe && index)))
    };
    files.iter().map(String::as_str).filter(needed).collect()
}

fn missing(id: &str, why: &str) -> anyhow::Error {
    let cache = Cache::from_env().path().display().to_string();
    unknown(
        id,
        &format!(
            "neither a folder nor in the Hugging Face cache ({cache}), and {why}. Where there is no network, \
             fetch it elsewhere (`hf download {id}`), and copy the cache, or name a folder"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::{id, wanted};
    use std::path::Path;

    #[test]
    fn an_id_is_an_owner_and_a_name() {
        assert_eq!(
            id(Path::new("Qwen/Qwen2.5-Coder-0.5B")).as_deref(),
            Some("Qwen/Qwen2.5-Coder-0.5B")
        );
        for path in ["./x", "../x", ".models/smollm2", "a/b/c", "/a/b", "smollm2", "~/model", "a/"]
        {
            assert_eq!(id(Path::new(path)), None, "{path}");
        }
    }

    #[test]
    fn one_form_of_the_weights_is_fetched() {
        let files = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        let both = files(&[
            "README.md",
            "config.json",
            "model-00001-of-00002.safetensors",
            "model.safetensors.index.json",
            "onnx/model.json",
            "pytorch_model.bin",
            "pytorch_model.bin.index.json",
            "vocab.txt",
        ]);
        let safe = [
            "config.json",
            "model-00001-of-00002.safetensors",
            "model.safetensors.index.json",
            "vocab.txt",
        ];
        assert_eq!(wanted(&both), safe);
        let old =
            files(&["config.json", "pytorch_model.bin", "flax_model.msgpack", "training_args.bin"]);
        assert_eq!(wanted(&old), ["config.json", "pytorch_model.bin"]);
    }
}
