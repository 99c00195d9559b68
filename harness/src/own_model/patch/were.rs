//! Weights of a patched checkpoint as they were without patches, in a file beside it.

use super::columns::Columns;
use crate::edit::Neuron;
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::Path;
use tch::Tensor;

/// The columns and matrices as they were, in the dtype of the weights: a column under the name `LAYER.NEURON`,
/// a matrix under the name `LAYER`, what a neuron reads with under the names `rows.LAYER.NEURON` and `bias.LAYER.NEURON`.
pub(super) const COLUMNS: &str = "columns.safetensors";

/// Weights as they were before any patch, in the dtype of the files.
#[derive(Default)]
pub(super) struct Were {
    pub(super) columns: BTreeMap<Neuron, Tensor>,
    /// FFN output matrices by layer.
    pub(super) matrices: BTreeMap<usize, Tensor>,
    /// Input weights of neurons: rows `[P,D]` and biases `[P]`.
    pub(super) inputs: BTreeMap<Neuron, (Tensor, Option<Tensor>)>,
}

impl Were {
    /// Reads them from `file`; nothing if it holds another name.
    pub(super) fn read(file: &Path) -> Result<Self, String> {
        let saved = Tensor::read_safetensors(file);
        let saved = saved.map_err(|error| format!("{COLUMNS} cannot be read ({error})"))?;
        let mut were = Self::default();
        let mut biases = BTreeMap::new();
        for (name, tensor) in saved {
            let neuron = |of: &str| {
                let (layer, index) = of.split_once('.')?;
                Some(Neuron { layer: layer.parse().ok()?, index: index.parse().ok()? })
            };
            if let Some(neuron) = name.strip_prefix("rows.").and_then(neuron) {
                were.inputs.insert(neuron, (tensor, None));
                continue;
            }
            if let Some(neuron) = name.strip_prefix("bias.").and_then(neuron) {
                biases.insert(neuron, tensor);
                continue;
            }
            let place = match name.split_once('.') {
                None => name.parse().ok().map(|layer| (layer, None)),
                Some((layer, index)) => layer.parse().ok().zip(index.parse().ok().map(Some)),
            };
            match place {
                None => return Err(format!("{COLUMNS}: {name:?}")),
                Some((layer, None)) => were.matrices.insert(layer, tensor),
                Some((layer, Some(index))) => were.columns.insert(Neuron { layer, index }, tensor),
            };
        }
        for (neuron, own) in biases {
            let input = were.inputs.get_mut(&neuron);
            input.ok_or_else(|| format!("{COLUMNS}: a bias without rows"))?.1 = Some(own);
        }
        Ok(were)
    }

    pub(super) fn write(&self, file: &Path) -> Result<()> {
        let columns = self.columns.iter();
        let columns =
            columns.map(|(neuron, was)| (format!("{}.{}", neuron.layer, neuron.index), was));
        let matrices = self.matrices.iter().map(|(layer, was)| (layer.to_string(), was));
        let matrices = matrices.map(|(name, was)| (name, was.contiguous()));
        let matrices: Vec<(String, Tensor)> = matrices.collect();
        let named = columns.chain(matrices.iter().map(|(name, was)| (name.clone(), was)));
        let inputs = self.inputs.iter().flat_map(|(Neuron { layer, index }, (rows, bias))| {
            let bias = bias.iter().map(move |bias| (format!("bias.{layer}.{index}"), bias));
            bias.chain([(format!("rows.{layer}.{index}"), rows)])
        });
        let named = named.chain(inputs);
        Ok(Tensor::write_safetensors(&named.collect::<Vec<_>>(), file)?)
    }

    /// Writes them to `files`.
    pub(super) fn restore(&self, files: &Columns<'_>) -> Result<()> {
        for (neuron, column) in &self.columns {
            files.write(*neuron, column)?;
        }
        for (layer, matrix) in &self.matrices {
            files.write_matrix(*layer, matrix)?;
        }
        for (neuron, (rows, bias)) in &self.inputs {
            files.write_input(*neuron, rows, bias.as_ref())?;
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.columns.is_empty() && self.matrices.is_empty() && self.inputs.is_empty()
    }
}
