//! Embeddings on disk, one file a (encoder, texts), named by the hash of both.

use crate::system::files;
use anyhow::Result;
use sha2::{Digest, Sha256};
use std::path::Path;
use tch::Tensor;

const TENSOR: &str = "embeddings";

/// The cached embeddings, or those that `compute` returns, which are then kept.
pub(super) fn get_or(
    folder: &Path,
    encoder: &str,
    texts: &[&str],
    compute: impl FnOnce() -> Result<Tensor>,
) -> Result<Tensor> {
    let path = folder.join(format!("{}.safetensors", key(encoder, texts)));
    if let Some(found) = read(&path, texts.len()) {
        return Ok(found);
    }
    let embeddings = compute()?;
    files::write_by(&path, |partial| Tensor::write_safetensors(&[(TENSOR, &embeddings)], partial))?;
    Ok(embeddings)
}

/// `None` also for a damaged file, which is then made anew.
fn read(path: &Path, rows: usize) -> Option<Tensor> {
    let mut tensors = path.is_file().then(|| Tensor::read_safetensors(path).ok())??;
    let (_, found) = tensors.pop().filter(|(name, _)| name == TENSOR)?;
    (found.size().first() == Some(&(rows as i64))).then_some(found)
}

fn key(encoder: &str, texts: &[&str]) -> String {
    let mut hash = Sha256::new_with_prefix(encoder);
    for text in texts {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    format!("{:x}", hash.finalize())
}
