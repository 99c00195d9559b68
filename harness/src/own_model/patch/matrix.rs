//! Matrices as data, and as tensors of a safetensors file.

use anyhow::Result;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use tch::{Kind, Tensor};

/// A matrix in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// Rows and columns.
    pub shape: [usize; 2],
    /// Entries, row by row.
    pub entries: Vec<f32>,
}

impl Matrix {
    pub(super) fn of(matrix: &Tensor) -> Result<Self> {
        let (rows, columns) = matrix.size2()?;
        let entries = Vec::<f32>::try_from(matrix.to_kind(Kind::Float).flatten(0, -1))?;
        Ok(Self { shape: [rows as usize, columns as usize], entries })
    }

    /// A vector as a matrix of one row.
    pub(super) fn row(vector: &Tensor) -> Result<Self> {
        Self::of(&vector.unsqueeze(0))
    }

    pub(super) fn tensor(&self) -> Tensor {
        Tensor::from_slice(&self.entries).view(self.shape.map(|size| size as i64))
    }

    /// Reads the tensor `name` of a file; `None` if it is no matrix of finite F32.
    pub(super) fn read(tensors: &SafeTensors<'_>, name: &str) -> Option<Self> {
        let tensor = tensors.tensor(name).ok().filter(|tensor| tensor.dtype() == Dtype::F32)?;
        let &[rows, columns] = tensor.shape() else { return None };
        let (entries, _) = tensor.data().as_chunks::<4>();
        let entries: Vec<f32> = entries.iter().map(|entry| f32::from_le_bytes(*entry)).collect();
        let whole = rows > 0 && columns > 0 && entries.iter().all(|entry| entry.is_finite());
        whole.then_some(Self { shape: [rows, columns], entries })
    }
}

/// A matrix as a file holds it, with its name.
pub(super) struct Raw {
    name: String,
    shape: [usize; 2],
    bytes: Vec<u8>,
}

impl Raw {
    pub(super) fn new(name: String, matrix: &Matrix) -> Self {
        let bytes = matrix.entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        Self { name, shape: matrix.shape, bytes }
    }

    /// The matrix as a tensor of a file.
    pub(super) fn view(&self) -> Result<(&str, TensorView<'_>)> {
        Ok((&self.name, TensorView::new(Dtype::F32, self.shape.to_vec(), &self.bytes)?))
    }
}
