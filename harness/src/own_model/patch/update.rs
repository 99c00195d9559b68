//! Matrices of a patch: as data, as tensors of a safetensors file, and as a change of a model.

use super::matrix::{Matrix, Raw};
use crate::edit::{MatrixChange, Update};
use crate::model::Spec;
use anyhow::Result;
use safetensors::SafeTensors;
use tch::Tensor;

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

/// The matrices of `updates`.
pub(super) fn raw(updates: &[PatchUpdate]) -> Vec<Raw> {
    let parts = updates.iter().enumerate().flat_map(|(place, update)| {
        let layer = update.layer;
        update.parts.iter().map(move |(part, matrix)| (name(place, layer, *part), matrix))
    });
    parts.map(|(name, matrix)| Raw::new(name, matrix)).collect()
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
        let matrix =
            Matrix::read(tensors, name).ok_or_else(|| damaged("no matrix of finite F32"))?;
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
