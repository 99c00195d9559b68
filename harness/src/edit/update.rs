//! A matrix added to the FFN output matrix of one layer.

use super::Neuron;
use tch::Tensor;

/// A change of the whole FFN output matrix `[D,F]` of a layer.
#[derive(Debug)]
pub struct Update {
    /// Layer, counted from 0.
    pub layer: usize,
    /// Matrix that is added.
    pub change: MatrixChange,
    /// Post-activations `[n,F]`, f32, that it was made for. A later edit can leave its output at them as it is.
    pub keys: Option<Tensor>,
}

/// A matrix `[D,F]`, in the dtype and on the device of the model.
#[derive(Debug)]
pub enum MatrixChange {
    /// The product of `left` `[D,R]` and `right` `[R,F]`.
    LowRank {
        /// `[D,R]`.
        left: Tensor,
        /// `[R,F]`.
        right: Tensor,
    },
    /// The matrix itself, `[D,F]`.
    Dense(Tensor),
}

impl MatrixChange {
    /// Product with the post-activations `active` `[..,F]`: `[..,D]`. A low rank is never multiplied out.
    pub fn contribution(&self, active: &Tensor) -> Tensor {
        match self {
            Self::LowRank { left, right } => {
                active.linear(right, None::<&Tensor>).linear(left, None::<&Tensor>)
            }
            Self::Dense(matrix) => active.linear(matrix, None::<&Tensor>),
        }
    }

    /// The matrix `[D,F]`.
    pub fn matrix(&self) -> Tensor {
        match self {
            Self::LowRank { left, right } => left.matmul(right),
            Self::Dense(matrix) => matrix.shallow_clone(),
        }
    }

    /// Column `index` of the matrix, `[D]`.
    pub fn column(&self, index: usize) -> Tensor {
        match self {
            Self::LowRank { left, right } => left.mv(&right.select(1, index as i64)),
            Self::Dense(matrix) => matrix.select(1, index as i64),
        }
    }

    /// Rank that it has at most.
    pub fn rank(&self) -> usize {
        match self {
            Self::LowRank { left, .. } => left.size()[1] as usize,
            Self::Dense(matrix) => matrix.size().into_iter().min().unwrap_or(0) as usize,
        }
    }

    /// Numbers that describe it: the entries of the factors, or of the matrix.
    pub fn parameters(&self) -> usize {
        match self {
            Self::LowRank { left, right } => left.numel() + right.numel(),
            Self::Dense(matrix) => matrix.numel(),
        }
    }

    /// Returns whether it fits a matrix of `d_model` rows and `d_ff` columns.
    pub fn fits(&self, d_model: usize, d_ff: usize) -> bool {
        let is =
            |t: &Tensor, rows: usize, columns: usize| t.size() == [rows as i64, columns as i64];
        match self {
            Self::LowRank { left, right } => {
                is(left, d_model, self.rank()) && is(right, self.rank(), d_ff)
            }
            Self::Dense(matrix) => is(matrix, d_model, d_ff),
        }
    }

    /// The same with every tensor as `with` makes it.
    #[must_use]
    pub fn map(&self, with: impl Fn(&Tensor) -> Tensor) -> Self {
        match self {
            Self::LowRank { left, right } => Self::LowRank { left: with(left), right: with(right) },
            Self::Dense(matrix) => Self::Dense(with(matrix)),
        }
    }
}

impl Update {
    /// Adds `change` to the matrix of `layer`.
    pub fn new(layer: usize, change: MatrixChange) -> Self {
        Self { layer, change, keys: None }
    }

    /// The outer product of `value` `[D]` and `key` `[F]` as an update.
    pub fn rank_one(layer: usize, value: &Tensor, key: &Tensor) -> Self {
        Self::new(
            layer,
            MatrixChange::LowRank { left: value.unsqueeze(1), right: key.unsqueeze(0) },
        )
    }

    /// Change of the column of `neuron`, `[D]`; `None` if it lies in another layer.
    pub fn column(&self, neuron: Neuron) -> Option<Tensor> {
        (neuron.layer == self.layer).then(|| self.change.column(neuron.index))
    }
}

impl Clone for Update {
    fn clone(&self) -> Self {
        Self {
            layer: self.layer,
            change: self.change.map(Tensor::shallow_clone),
            keys: self.keys.as_ref().map(Tensor::shallow_clone),
        }
    }
}
