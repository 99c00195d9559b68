//! FFN output matrices, their columns and the rows that neurons read with, in the weight files of a folder: read, and
//! written in place.

use crate::edit::Neuron;
use crate::model::{CausalLm, Checkpoint, Checksums, Stored, StoredInput};
use anyhow::{Context, Result};
use memmap2::MmapMut;
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// The columns of one folder's files.
pub struct Columns<'m> {
    model: &'m dyn CausalLm,
    /// Location of the matrix of each layer.
    stored: Vec<Stored>,
    /// Input matrices of each layer, with their biases.
    inputs: Vec<Vec<(Stored, Option<Stored>)>>,
    /// Archives with checksums, and those of their entries.
    checksums: Vec<Checksums>,
}

impl<'m> Columns<'m> {
    /// Opens the columns of the checkpoint in `folder`, which is that of `model`.
    ///
    /// # Errors
    /// If a file is missing or broken.
    pub fn open(model: &'m dyn CausalLm, folder: &Path) -> Result<Self> {
        let checkpoint = Checkpoint::open(folder, tch::Device::Cpu, Kind::Float)?;
        let spec = model.spec();
        let stored = (0..spec.layers).map(|layer| {
            let matrix = model.ffn_output_stored(layer);
            let mut shape = [spec.d_model, spec.d_ff];
            if matrix.transposed {
                shape.reverse();
            }
            checkpoint.stored(matrix.name, &shape)
        });
        let stored: Vec<Stored> = stored.collect::<Result<_>>()?;
        let input = |own: &StoredInput| {
            let shape =
                if own.transposed { [spec.d_model, own.rows] } else { [own.rows, spec.d_model] };
            let bias = own.bias.as_ref().map(|name| checkpoint.stored(name, &[own.rows]));
            Ok((checkpoint.stored(&own.name, &shape)?, bias.transpose()?))
        };
        let inputs = (0..spec.layers)
            .map(|layer| model.ffn_input_stored(layer).iter().map(input).collect::<Result<_>>());
        let inputs: Vec<Vec<(Stored, Option<Stored>)>> = inputs.collect::<Result<_>>()?;
        let of_inputs = inputs.iter().flatten().flat_map(|(own, bias)| [Some(own), bias.as_ref()]);
        let archives: BTreeSet<&PathBuf> = stored
            .iter()
            .chain(of_inputs.flatten())
            .filter(|of| of.is_archived())
            .map(|of| &of.path)
            .collect();
        let checksums =
            archives.into_iter().map(|path| Checksums::read(path)).collect::<Result<_>>()?;
        Ok(Self { model, stored, inputs, checksums })
    }

    /// Makes the files whole again after columns were written.
    ///
    /// # Errors
    /// If one cannot be written.
    pub fn finish(&self) -> Result<()> {
        self.checksums.iter().try_for_each(Checksums::update)
    }

    /// The column of `neuron` `[D]`, in the dtype of the file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(&self, neuron: Neuron) -> Result<Tensor> {
        read_line(&self.stored[neuron.layer], self.line(neuron))
    }

    /// Writes `column` `[D]`, of the dtype of the file, to that of `neuron`.
    ///
    /// # Errors
    /// If there is no such neuron, the column is of another dtype or length, or the file cannot be written.
    pub fn write(&self, neuron: Neuron, column: &Tensor) -> Result<()> {
        let spec = self.model.spec();
        let fits = neuron.layer < spec.layers
            && neuron.index < spec.d_ff
            && column.size() == [spec.d_model as i64]
            && column.kind() == self.element(neuron.layer).0;
        anyhow::ensure!(
            fits,
            "no column of neuron {}.{} of this model",
            neuron.layer,
            neuron.index
        );
        write_line(&self.stored[neuron.layer], self.line(neuron), column)
    }

    /// The rows `[P,D]` that `neuron` reads with, and their biases `[P]`, in the dtype of the file.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn read_input(&self, neuron: Neuron) -> Result<(Tensor, Option<Tensor>)> {
        let (mut rows, mut biases) = (Vec::new(), Vec::new());
        for InputRow { matrix, line, bias } in self.input_rows(neuron) {
            rows.push(read_line(matrix, line)?);
            if let Some((stored, line)) = bias {
                biases.push(read_line(stored, line)?);
            }
        }
        Ok((Tensor::stack(&rows, 0), (!biases.is_empty()).then(|| Tensor::cat(&biases, 0))))
    }

    /// Writes `rows` `[P,D]` and the biases `[P]`, of the dtype of the file, to those that `neuron` reads with; without
    /// biases those in the file stay.
    ///
    /// # Errors
    /// If the neuron has no such rows, or a file cannot be written.
    pub fn write_input(
        &self,
        neuron: Neuron,
        rows: &Tensor,
        biases: Option<&Tensor>,
    ) -> Result<()> {
        let places: Vec<InputRow<'_>> = self.input_rows(neuron).collect();
        let fits = rows.size() == [places.len() as i64, self.model.spec().d_model as i64]
            && biases.is_none_or(|own| own.size() == [places.len() as i64]);
        anyhow::ensure!(fits, "no rows of neuron {}.{} of this model", neuron.layer, neuron.index);
        for (projection, InputRow { matrix, line, bias }) in (0..).zip(places) {
            write_line(matrix, line, &rows.get(projection))?;
            if let Some((biases, (stored, line))) = biases.zip(bias) {
                write_line(stored, line, &biases.narrow(0, projection, 1))?;
            }
        }
        Ok(())
    }

    /// The places of the rows of `neuron`: one of each projection, of which a matrix in the file may hold several.
    fn input_rows(&self, neuron: Neuron) -> impl Iterator<Item = InputRow<'_>> {
        let (spec, layer) = (self.model.spec(), neuron.layer);
        let matrices = self.model.ffn_input_stored(layer).iter().zip(&self.inputs[layer]);
        matrices.flat_map(move |(own, (matrix, bias))| {
            (0..own.rows / spec.d_ff).map(move |projection| {
                let row = projection * spec.d_ff + neuron.index;
                let count = spec.d_model;
                let line = match own.transposed {
                    true => Line { first: row, step: own.rows, count },
                    false => Line { first: row * spec.d_model, step: 1, count },
                };
                let bias = bias.as_ref().map(|own| (own, Line { first: row, step: 1, count: 1 }));
                InputRow { matrix, line, bias }
            })
        })
    }

    /// The FFN output matrix `[D,F]` of `layer`, in the dtype of the file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read_matrix(&self, layer: usize) -> Result<Tensor> {
        let (kind, _) = self.element(layer);
        let map = self.map(layer)?;
        let stored = Tensor::f_from_data_size(&map[self.whole(layer)], &self.shape(layer), kind)?;
        let transposed = self.model.ffn_output_stored(layer).transposed;
        Ok(if transposed { stored.tr() } else { stored })
    }

    /// Writes `matrix` `[D,F]`, of the dtype of the file, to that of `layer`.
    ///
    /// # Errors
    /// If the matrix is of another dtype or shape, or the file cannot be written.
    pub fn write_matrix(&self, layer: usize, matrix: &Tensor) -> Result<()> {
        let transposed = self.model.ffn_output_stored(layer).transposed;
        let stored = if transposed { matrix.tr() } else { matrix.shallow_clone() }.contiguous();
        let fits = stored.size() == self.shape(layer) && stored.kind() == self.element(layer).0;
        anyhow::ensure!(fits, "no FFN output matrix of layer {layer} of this model");
        let mut map = self.map(layer)?;
        let bytes = &mut map[self.whole(layer)];
        stored.f_copy_data_u8(bytes, stored.numel())?;
        map.flush()?;
        Ok(())
    }

    /// Rows and columns of the matrix of `layer` as the file has it.
    fn shape(&self, layer: usize) -> [i64; 2] {
        let spec = self.model.spec();
        let mut shape = [spec.d_model as i64, spec.d_ff as i64];
        if self.model.ffn_output_stored(layer).transposed {
            shape.reverse();
        }
        shape
    }

    /// Offsets of the bytes of the matrix of `layer`.
    fn whole(&self, layer: usize) -> std::ops::Range<usize> {
        let (first, spec) = (self.stored[layer].offset, self.model.spec());
        first..first + spec.d_model * spec.d_ff * self.element(layer).1
    }

    /// The entries of a column: one in each row of the matrix, or a row of it where the checkpoint holds it transposed.
    fn line(&self, neuron: Neuron) -> Line {
        let spec = self.model.spec();
        let count = spec.d_model;
        match self.model.ffn_output_stored(neuron.layer).transposed {
            true => Line { first: neuron.index * spec.d_model, step: 1, count },
            false => Line { first: neuron.index, step: spec.d_ff, count },
        }
    }

    /// Dtype of the matrix of `layer` in the file, and its bytes an element.
    fn element(&self, layer: usize) -> (Kind, usize) {
        let kind = self.stored[layer].kind;
        (kind, kind.elt_size_in_bytes())
    }

    fn map(&self, layer: usize) -> Result<MmapMut> {
        map(&self.stored[layer])
    }
}

/// A row of a neuron in the files.
struct InputRow<'c> {
    matrix: &'c Stored,
    line: Line,
    bias: Option<(&'c Stored, Line)>,
}

/// Entries of a stored tensor: the first, the step from each to the next, and their number.
#[derive(Clone, Copy)]
struct Line {
    first: usize,
    step: usize,
    count: usize,
}

impl Line {
    /// Offsets of the bytes of each entry in the file.
    fn bytes(self, stored: &Stored) -> impl Iterator<Item = std::ops::Range<usize>> {
        let (size, offset) = (stored.kind.elt_size_in_bytes(), stored.offset);
        (0..self.count).map(move |entry| {
            let at = offset + (self.first + entry * self.step) * size;
            at..at + size
        })
    }
}

/// The entries `line` of `stored`, in the dtype of the file.
fn read_line(stored: &Stored, line: Line) -> Result<Tensor> {
    let map = map(stored)?;
    let bytes: Vec<u8> = line.bytes(stored).flat_map(|range| map[range].iter().copied()).collect();
    Ok(Tensor::f_from_data_size(&bytes, &[line.count as i64], stored.kind)?)
}

/// Writes `values`, of the dtype of the file, to the entries `line` of `stored`.
fn write_line(stored: &Stored, line: Line, values: &Tensor) -> Result<()> {
    anyhow::ensure!(values.kind() == stored.kind, "values of the dtype of the file");
    let mut map = map(stored)?;
    let size = stored.kind.elt_size_in_bytes();
    let mut bytes = vec![0; line.count * size];
    values.contiguous().f_copy_data_u8(&mut bytes, line.count)?;
    for (range, element) in line.bytes(stored).zip(bytes.chunks(size)) {
        map[range].copy_from_slice(element);
    }
    map.flush()?;
    Ok(())
}

fn map(stored: &Stored) -> Result<MmapMut> {
    let path = &stored.path;
    let failed = || format!("{}: cannot be written", path.display());
    let file = OpenOptions::new().read(true).write(true).open(path).with_context(failed)?;
    // Safety: the file is of a folder that this process has just made, under a name of its own.
    unsafe { MmapMut::map_mut(&file) }.with_context(failed)
}
