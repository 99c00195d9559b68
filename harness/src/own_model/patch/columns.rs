//! FFN output matrices and their columns, in the weight files of a folder: read, and written in place.

use crate::edit::Neuron;
use crate::model::{CausalLm, Checkpoint, Checksums, Stored};
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
        let archives: BTreeSet<&PathBuf> =
            stored.iter().filter(|of| of.is_archived()).map(|of| &of.path).collect();
        let checksums =
            archives.into_iter().map(|path| Checksums::read(path)).collect::<Result<_>>()?;
        Ok(Self { model, stored, checksums })
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
        let map = self.map(neuron.layer)?;
        let (kind, size) = self.element(neuron.layer);
        let bytes: Vec<u8> =
            self.offsets(neuron).flat_map(|at| map[at..at + size].iter().copied()).collect();
        Ok(Tensor::f_from_data_size(&bytes, &[self.model.spec().d_model as i64], kind)?)
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
        let mut map = self.map(neuron.layer)?;
        let (_, size) = self.element(neuron.layer);
        let mut bytes = vec![0; self.model.spec().d_model * size];
        column.f_copy_data_u8(&mut bytes, self.model.spec().d_model)?;
        for (at, element) in self.offsets(neuron).zip(bytes.chunks(size)) {
            map[at..at + size].copy_from_slice(element);
        }
        map.flush()?;
        Ok(())
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

    /// Offsets of the entries of a column: one in each row of the matrix, or a row of it where the checkpoint
    /// holds it transposed.
    fn offsets(&self, neuron: Neuron) -> impl Iterator<Item = usize> + '_ {
        let ((_, size), spec) = (self.element(neuron.layer), self.model.spec());
        let transposed = self.model.ffn_output_stored(neuron.layer).transposed;
        let (column, step) = if transposed { (spec.d_model, 1) } else { (1, spec.d_ff) };
        let first = self.stored[neuron.layer].offset + neuron.index * column * size;
        (0..spec.d_model).map(move |row| first + row * step * size)
    }

    /// Dtype of the matrix of `layer` in the file, and its bytes an element.
    fn element(&self, layer: usize) -> (Kind, usize) {
        let kind = self.stored[layer].kind;
        (kind, kind.elt_size_in_bytes())
    }

    fn map(&self, layer: usize) -> Result<MmapMut> {
        let path = &self.stored[layer].path;
        let failed = || format!("{}: cannot be written", path.display());
        let file = OpenOptions::new().read(true).write(true).open(path).with_context(failed)?;
        // Safety: the file is of a folder that this process has just made, under a name of its own.
        unsafe { MmapMut::map_mut(&file) }.with_context(failed)
    }
}
