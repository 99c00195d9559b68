//! The output side of Equation 2: representations whose logits come nearest to a wanted vector
//! over the vocabulary, r = e · pinv(W_o).

use crate::model::{CausalLm, Loaded};
use crate::system::files;
use sha2::{Digest, Sha256};
use std::path::Path;
use tch::{Kind, Tensor};

/// The pseudoinverse of an output head, factored: for W `[V,D]` of any rank, the pseudoinverse of
/// its transpose is W · pinv(WᵀW), and WᵀW is only `[D,D]`. In f64, as squaring squares the
/// condition number.
#[derive(Debug)]
pub struct Oracle {
    /// `[V,D]`, f32.
    head: Tensor,
    /// pinv(WᵀW), `[D,D]`, f64.
    gram_inverse: Tensor,
}

/// Name of the tensor in a cache file.
const CACHED: &str = "gram_inverse";

/// Rows of the head that are squared at once: their f64 copy stays small.
const BLOCK: i64 = 4096;

impl Oracle {
    /// Computes the oracle of the first `rows` rows of the head.
    pub fn new(model: &dyn CausalLm, rows: usize) -> Self {
        let head = head(model, rows);
        // Row-major, as it is read back from a cache, whose files hold nothing else.
        let gram_inverse = inverse(&gram(&head)).contiguous();
        Self { head, gram_inverse }
    }

    /// Returns the oracle of [`Oracle::new`], computed once for the weights of `loaded` and kept in the
    /// folder `cache`, unless its name is empty. A cache that cannot be read or written costs time, nothing
    /// else.
    pub(crate) fn cached(loaded: &Loaded, rows: usize, cache: &Path) -> Self {
        let model = loaded.model.as_ref();
        if cache.as_os_str().is_empty() {
            return Self::new(model, rows);
        }
        let key = format!("{:x}", Sha256::digest(format!("{}\n{rows}", loaded.sha256)));
        let file = cache.join(format!("{}.safetensors", &key[..16]));
        let width = model.spec().d_model as i64;
        if let Some(gram_inverse) = read(&file).filter(|found| found.size() == [width, width]) {
            let gram_inverse = gram_inverse.to_device(model.spec().device);
            return Self { head: head(model, rows), gram_inverse };
        }
        let oracle = Self::new(model, rows);
        // A cache: where it cannot be written, the inverse is computed again next time.
        let _ = files::write_by(&file, |partial| {
            Tensor::write_safetensors(&[(CACHED, &oracle.gram_inverse)], partial)
        });
        oracle
    }

    /// Rows of the vocabulary that take part.
    pub fn rows(&self) -> usize {
        self.head.size()[0] as usize
    }

    /// The representation `[D]`, f32, of a vector `[rows]`, f32, over the vocabulary.
    pub fn representation(&self, over_vocabulary: &Tensor) -> Tensor {
        let image = over_vocabulary.unsqueeze(0).matmul(&self.head).to_kind(Kind::Double);
        image.matmul(&self.gram_inverse).squeeze_dim(0).to_kind(Kind::Float)
    }
}

fn head(model: &dyn CausalLm, rows: usize) -> Tensor {
    model.head_matrix().narrow(0, 0, rows as i64).to_kind(Kind::Float)
}

/// WᵀW in f64, `[D,D]`.
fn gram(head: &Tensor) -> Tensor {
    let width = head.size()[1];
    let mut gram = Tensor::zeros([width, width], (Kind::Double, head.device()));
    for block in head.split(BLOCK, 0) {
        let block = block.to_kind(Kind::Double);
        gram += block.tr().matmul(&block);
    }
    gram
}

/// The pseudoinverse of a Gram matrix: by Cholesky where it is well conditioned, by its
/// eigenvalues where not.
fn inverse(gram: &Tensor) -> Tensor {
    let (factor, info) = gram.linalg_cholesky_ex(false, false);
    let diagonal = factor.diagonal(0, 0, 1);
    let smallest = diagonal.min() / diagonal.max();
    let conditioned = f64::try_from(smallest).is_ok_and(|ratio| ratio > 1e-4);
    if i64::try_from(info).is_ok_and(|info| info == 0) && conditioned {
        return factor.cholesky_inverse(false);
    }
    // Entries beyond f32's own rounding of W are noise: eps(f32)² relative to the largest
    // eigenvalue is far below it, and keeps the inverse finite for rank-deficient heads.
    gram.linalg_pinv(1e-13, true)
}

fn read(file: &Path) -> Option<Tensor> {
    let tensors = file.is_file().then(|| Tensor::read_safetensors(file).ok())??;
    tensors.into_iter().find_map(|(name, tensor)| (name == CACHED).then_some(tensor))
}

#[cfg(test)]
mod tests {
    use super::{Oracle, gram, inverse};
    use crate::model;
    use std::path::Path;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn what_is_kept_between_runs_is_what_was_computed() {
        let folder = tempfile::tempdir().unwrap();
        let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/goldens/tiny");
        let loaded = model::load(&tiny, model::Options::default()).unwrap();
        let fresh = Oracle::cached(&loaded, 300, folder.path());
        let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(files.len(), 1);
        let path = files[0].as_ref().unwrap().path();
        let written = std::fs::metadata(&path).unwrap().modified().unwrap();
        let kept = Oracle::cached(&loaded, 300, folder.path());
        assert!(kept.gram_inverse.equal(&fresh.gram_inverse));
        assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), written);
        Oracle::cached(&loaded, 299, folder.path());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "another one by its rows");
        Oracle::cached(&loaded, 300, Path::new("")); // kept nowhere
    }

    /// Entries without a pattern, the same every time.
    fn head(rows: i64, columns: i64) -> Tensor {
        let index = Tensor::arange(rows * columns, (Kind::Float, Device::Cpu));
        ((index * 12.9898).sin() * 43_758.547).frac().view([rows, columns])
    }

    fn check(head: &Tensor) {
        let ours = head.to_kind(Kind::Double).matmul(&inverse(&gram(head)));
        let reference = head.to_kind(Kind::Double).tr().pinverse(1e-7);
        let difference = f64::try_from((&ours - &reference).abs().max()).unwrap();
        let scale = f64::try_from(reference.abs().max()).unwrap();
        assert!(difference < 1e-6 * scale, "{difference:.2e} of {scale:.2e}");
    }

    #[test]
    fn a_full_head_by_cholesky() {
        check(&head(9000, 24));
    }

    #[test]
    fn a_rank_deficient_head_by_eigenvalues() {
        let half = head(500, 8);
        check(&Tensor::cat(&[&half, &half], 1));
        check(&head(5, 12)); // fewer rows than columns
    }
}
