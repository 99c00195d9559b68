//! The output side of Equation 2: representations whose logits come nearest to a wanted vector
//! over the vocabulary, r = e · pinv(W_o).

use crate::model::CausalLm;
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

impl Oracle {
    /// Of the first `rows` rows of the head.
    pub fn new(model: &dyn CausalLm, rows: usize) -> Self {
        let head = model.head_matrix().narrow(0, 0, rows as i64).to_kind(Kind::Float);
        let exact = head.to_kind(Kind::Double);
        let gram = exact.tr().matmul(&exact);
        // Entries beyond f32's own rounding of W are noise: eps(f32)² relative to the largest
        // eigenvalue is far below it, and keeps the inverse finite for rank-deficient heads.
        let gram_inverse = gram.linalg_pinv(1e-13, true);
        Self { head, gram_inverse }
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
