//! Input weights of neurons in a patch: as data, as tensors of a safetensors file, and as a change of a model.

use super::matrix::{Matrix, Raw};
use crate::edit::{InputDelta, Neuron};
use crate::model::{CausalLm, Spec};
use anyhow::Result;
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use tch::Tensor;

const ROWS: &str = "rows";
const BIAS: &str = "bias";
const KEY: &str = "key";

/// Rows that are added to the input weights of a neuron.
#[derive(Clone, Debug, PartialEq)]
pub struct PatchInput {
    /// The neuron.
    pub neuron: Neuron,
    /// Rows, `[P,d_model]`: of gate and up projection, or of the only projection.
    pub rows: Matrix,
    /// Numbers added to the biases, `[1,P]`.
    pub bias: Option<Matrix>,
    /// FFN input that the neuron should respond to, `[1,d_model]`, where it is known.
    pub key: Option<Matrix>,
}

impl PatchInput {
    /// `input` as data.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn new(input: &InputDelta) -> Result<Self> {
        Ok(Self {
            neuron: input.neuron,
            rows: Matrix::of(&input.rows)?,
            bias: input.bias.as_ref().map(Matrix::row).transpose()?,
            key: input.key.as_ref().map(Matrix::row).transpose()?,
        })
    }

    /// The change in f32 on the CPU.
    pub fn change(&self) -> InputDelta {
        let row = |of: &Option<Matrix>| of.as_ref().map(|own| own.tensor().squeeze_dim(0));
        let (bias, key) = (row(&self.bias), row(&self.key));
        InputDelta { neuron: self.neuron, rows: self.rows.tensor(), bias, key }
    }

    /// The change for a model of that `spec`.
    pub fn input(&self, spec: &Spec) -> InputDelta {
        let change = self.change().map(|own| own.to_kind(spec.kind).to_device(spec.device));
        let key = change.key.as_ref().map(|key| key.to_device(spec.device));
        InputDelta { key, ..change }
    }

    /// Returns whether it fits `model`: its neurons have as many rows of that width, and biases where it changes them.
    pub fn fits(&self, model: &dyn CausalLm) -> bool {
        let (spec, Neuron { layer, index }) = (model.spec(), self.neuron);
        if layer >= spec.layers || index >= spec.d_ff {
            return false;
        }
        let (weight, bias) = model.ffn_input_matrix(layer);
        let [projections, width] = self.rows.shape;
        projections * spec.d_ff == weight.size()[0] as usize
            && width == spec.d_model
            && self.key.as_ref().is_none_or(|key| key.shape == [1, width])
            && self.bias.as_ref().is_none_or(|own| bias.is_some() && own.shape == [1, projections])
    }

    fn parts(&self) -> impl Iterator<Item = (&'static str, &Matrix)> {
        let parts =
            [(BIAS, self.bias.as_ref()), (KEY, self.key.as_ref()), (ROWS, Some(&self.rows))];
        parts.into_iter().filter_map(|(name, matrix)| Some((name, matrix?)))
    }
}

/// The matrices of `inputs`.
pub(super) fn raw(inputs: &[PatchInput]) -> Vec<Raw> {
    let parts = inputs.iter().enumerate().flat_map(|(place, input)| {
        let Neuron { layer, index } = input.neuron;
        let name = move |part| format!("input.{place:04}.{layer}.{index}.{part}");
        input.parts().map(move |(part, matrix)| Raw::new(name(part), matrix))
    });
    parts.collect()
}

/// Reads the input weights of a file, in order.
///
/// # Errors
/// If one has no rows, or an entry that is no number.
pub(super) fn parse(tensors: &SafeTensors<'_>) -> Result<Vec<PatchInput>, String> {
    let mut found: BTreeMap<(usize, Neuron), BTreeMap<&str, Matrix>> = BTreeMap::new();
    for name in tensors.names().into_iter().filter(|name| name.starts_with("input.")) {
        let damaged = |what: &str| format!("a damaged patch ({name}: {what})");
        let mut words = name.split('.').skip(1);
        let mut number = || words.next().and_then(|word| word.parse::<usize>().ok());
        let [place, layer, index] = [number(), number(), number()];
        let place = place.zip(layer).zip(index).ok_or_else(|| damaged("no place"))?;
        let ((place, layer), index) = place;
        let part = words.next().filter(|part| [ROWS, BIAS, KEY].contains(part));
        let part = part.ok_or_else(|| damaged("an unknown part"))?;
        let matrix =
            Matrix::read(tensors, name).ok_or_else(|| damaged("no matrix of finite F32"))?;
        found.entry((place, Neuron { layer, index })).or_default().insert(part, matrix);
    }
    let whole = found.into_iter().map(|((_, neuron), mut parts)| {
        let rows = parts.remove(ROWS).ok_or_else(|| {
            format!("a damaged patch (no rows for neuron {}.{})", neuron.layer, neuron.index)
        })?;
        Ok(PatchInput { neuron, rows, bias: parts.remove(BIAS), key: parts.remove(KEY) })
    });
    whole.collect()
}

/// The sum of what `inputs` add to each neuron, in f32: rows and biases.
pub(super) fn sums<'i>(
    inputs: impl Iterator<Item = &'i PatchInput>,
) -> BTreeMap<Neuron, (Tensor, Option<Tensor>)> {
    let inputs = inputs.map(PatchInput::change).collect();
    crate::edit::Edit { inputs, ..crate::edit::Edit::none() }.inputs_by_neuron()
}
