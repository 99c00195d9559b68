//! Matrices of a patch: as data, as tensors of a safetensors file, and as a change of a model.

use crate::edit::{MatrixChange, Update};
use crate::model::Spec;
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

/// A matrix that is added to the FFN output matrix of a layer, named as its factors are in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct PatchUpdate {
    /// Layer, counted from 0.
    pub layer: usize,
    /// `left` `[d_model,R]` and `right` `[R,d_ff]`, or `dense` `[d_model,d_ff]`; and `keys` `[n,d_ff]`, the
    /// post-activations that it was made for, where they are known.
    pub parts: Vec<(Part, Matrix)>,
}

/// Name of a matrix of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Left factor.
    Left,
    /// Right factor.
    Right,
    /// The whole matrix.
    Dense,
    /// Post-activations that it was made for.
    Keys,
}

impl Part {
    const ALL: [Self; 4] = [Self::Left, Self::Right, Self::Dense, Self::Keys];

    fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
            Self::Dense => "dense",
            Self::Keys => "keys",
        }
    }
}

impl Matrix {
    fn of(matrix: &Tensor) -> Result<Self> {
        let (rows, columns) = matrix.size2()?;
        let entries = Vec::<f32>::try_from(matrix.to_kind(Kind::Float).flatten(0, -1))?;
        Ok(Self { shape: [rows as usize, columns as usize], entries })
    }

    fn tensor(&self) -> Tensor {
        Tensor::from_slice(&self.entries).view(self.shape.map(|size| size as i64))
    }
}

impl PatchUpdate {
    /// `update` as data.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn new(update: &Update) -> Result<Self> {
        let mut parts = match &update.change {
            MatrixChange::LowRank { left, right } => {
                vec![(Part::Left, Matrix::of(left)?), (Part::Right, Matrix::of(right)?)]
            }
            MatrixChange::Dense(matrix) => vec![(Part::Dense, Matrix::of(matrix)?)],
        };
        if let Some(keys) = &update.keys {
            parts.push((Part::Keys, Matrix::of(keys)?));
        }
        parts.sort_by_key(|(part, _)| part.name()); // as a file is read
        Ok(Self { layer: update.layer, parts })
    }

    fn part(&self, part: Part) -> Option<&Matrix> {
        self.parts.iter().find_map(|(own, matrix)| (*own == part).then_some(matrix))
    }

    /// The matrix that is added `[d_model,d_ff]`, or its factors, in f32 on the CPU.
    pub fn change(&self) -> MatrixChange {
        let of = |part| self.part(part).map(Matrix::tensor);
        match (of(Part::Left), of(Part::Right), of(Part::Dense)) {
            (Some(left), Some(right), _) => MatrixChange::LowRank { left, right },
            (_, _, dense) => MatrixChange::Dense(dense.expect("a patch has the one or the other")),
        }
    }

    /// The same for a model of that `spec`.
    pub fn update(&self, spec: &Spec) -> Update {
        let placed = |t: &Tensor| t.to_kind(spec.kind).to_device(spec.device);
        let keys = self.part(Part::Keys).map(|keys| keys.tensor().to_device(spec.device));
        Update { layer: self.layer, change: self.change().map(placed), keys }
    }

    /// Returns whether it fits a model of that `spec`.
    pub fn fits(&self, spec: &Spec) -> bool {
        let keys = self.part(Part::Keys).is_none_or(|keys| keys.shape[1] == spec.d_ff);
        self.layer < spec.layers && keys && self.change().fits(spec.d_model, spec.d_ff)
    }
}

/// A matrix as a file holds it.
pub(super) struct Raw {
    name: String,
    shape: [usize; 2],
    bytes: Vec<u8>,
}

/// The matrices of `updates`.
pub(super) fn raw(updates: &[PatchUpdate]) -> Vec<Raw> {
    let parts = updates.iter().enumerate().flat_map(|(place, update)| {
        let layer = update.layer;
        update.parts.iter().map(move |(part, matrix)| (name(place, layer, *part), matrix))
    });
    let bytes = |matrix: &Matrix| matrix.entries.iter().flat_map(|e| e.to_le_bytes()).collect();
    parts.map(|(name, matrix)| Raw { name, shape: matrix.shape, bytes: bytes(matrix) }).collect()
}

impl Raw {
    /// The matrix as a tensor of a file, with its name.
    pub(super) fn view(&self) -> Result<(&str, TensorView<'_>)> {
        Ok((&self.name, TensorView::new(Dtype::F32, self.shape.to_vec(), &self.bytes)?))
    }
}

fn name(place: usize, layer: usize, part: Part) -> String {
    format!("update.{place:04}.{layer}.{}", part.name())
}

/// Reads the updates of a file, in order.
///
/// # Errors
/// If one has no whole matrix, or an entry that is no number.
pub(super) fn parse(tensors: &SafeTensors<'_>) -> Result<Vec<PatchUpdate>, String> {
    let mut names: Vec<&str> = tensors.names();
    names.retain(|name| name.starts_with("update."));
    names.sort_unstable();
    let mut updates: Vec<(usize, PatchUpdate)> = Vec::new();
    for name in names {
        let damaged = |what: &str| format!("a damaged patch ({name}: {what})");
        let mut words = name.split('.').skip(1);
        let mut number = || words.next().and_then(|word| word.parse::<usize>().ok());
        let (place, layer) = number().zip(number()).ok_or_else(|| damaged("no place"))?;
        let word = words.next();
        let part = Part::ALL.into_iter().find(|part| Some(part.name()) == word);
        let part = part.ok_or_else(|| damaged("an unknown part"))?;
        let matrix = matrix(tensors, name).ok_or_else(|| damaged("no matrix of finite F32"))?;
        match updates.last_mut().filter(|(last, update)| *last == place && update.layer == layer) {
            Some((_, update)) => update.parts.push((part, matrix)),
            None => updates.push((place, PatchUpdate { layer, parts: vec![(part, matrix)] })),
        }
    }
    let updates: Vec<PatchUpdate> = updates.into_iter().map(|(_, update)| update).collect();
    for update in &updates {
        let has = |part| update.part(part).is_some();
        if !(has(Part::Left) && has(Part::Right) || has(Part::Dense)) {
            return Err(format!("a damaged patch (no matrix for layer {})", update.layer));
        }
    }
    Ok(updates)
}

fn matrix(tensors: &SafeTensors<'_>, name: &str) -> Option<Matrix> {
    let tensor = tensors.tensor(name).ok().filter(|tensor| tensor.dtype() == Dtype::F32)?;
    let &[rows, columns] = tensor.shape() else { return None };
    let (entries, _) = tensor.data().as_chunks::<4>();
    let entries: Vec<f32> = entries.iter().map(|entry| f32::from_le_bytes(*entry)).collect();
    let whole = rows > 0 && columns > 0 && entries.iter().all(|entry| entry.is_finite());
    whole.then_some(Matrix { shape: [rows, columns], entries })
}
