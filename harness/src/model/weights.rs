//! Checked reading of a checkpoint's weight files: every tensor asked for must be there with the
//! right shape, and every tensor there must have been asked for.

use super::pickle;
use crate::error::InputError;
use anyhow::{Context, Result};
use memmap2::Mmap;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};

const SINGLE: &str = "model.safetensors";
const SHARDED: &str = "model.safetensors.index.json";
const PICKLED: &str = "pytorch_model.bin";

/// Where one tensor lies in one of the mapped files.
struct Entry {
    file: usize,
    /// `None` where no weight can have this dtype (masks, quantised blocks).
    kind: Option<Kind>,
    dtype: String,
    shape: Vec<usize>,
    offset: usize,
    len: usize,
}

/// Where a tensor lies.
pub(crate) struct Stored {
    /// The file.
    pub(crate) path: PathBuf,
    /// Of its first byte.
    pub(crate) offset: usize,
    /// Of its elements, in row-major order.
    pub(crate) kind: Kind,
}

impl Stored {
    /// Whether the file is a zip archive.
    pub(crate) fn is_archived(&self) -> bool {
        self.path.file_name() == Some(OsStr::new(PICKLED))
    }
}

/// The weight files of a Hugging Face folder, opened; tensors leave it one by one.
pub(crate) struct Checkpoint {
    folder: PathBuf,
    files: Vec<(PathBuf, Mmap)>,
    entries: BTreeMap<String, Entry>,
    device: Device,
    kind: Kind,
}

impl Checkpoint {
    /// Opens `model.safetensors`, its sharded form, or `pytorch_model.bin`, in this order.
    /// Tensors are cast to `kind` and moved to `device` as they are taken.
    pub(crate) fn open(folder: &Path, device: Device, kind: Kind) -> Result<Self> {
        let mut checkpoint = Self {
            folder: folder.to_path_buf(),
            files: Vec::new(),
            entries: BTreeMap::new(),
            device,
            kind,
        };
        if folder.join(SINGLE).is_file() {
            checkpoint.add_safetensors(SINGLE)?;
        } else if folder.join(SHARDED).is_file() {
            for shard in shards(&folder.join(SHARDED))? {
                checkpoint.add_safetensors(&shard)?;
            }
        } else if folder.join(PICKLED).is_file() {
            checkpoint.add_pickled(PICKLED)?;
        } else {
            return Err(InputError::new(format!(
                "{}: no weights; expected {SINGLE}, {SHARDED} or {PICKLED}",
                folder.display()
            )));
        }
        Ok(checkpoint)
    }

    /// Device and dtype that tensors are taken to.
    pub(crate) fn placement(&self) -> (Device, Kind) {
        (self.device, self.kind)
    }

    /// Removes tensor `name` from the checkpoint and returns it.
    ///
    /// # Errors
    /// If it is missing, or not of `shape`.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let Some(entry) = self.entries.remove(name) else {
            return Err(self.error(format!(
                "tensor `{name}` is missing; config.json asks for it with shape {shape:?}"
            )));
        };
        if entry.shape != shape {
            return Err(self.error(format!(
                "tensor `{name}` has shape {:?}, but config.json asks for {shape:?}",
                entry.shape
            )));
        }
        let Some(kind) = entry.kind else {
            return Err(self.error(format!(
                "tensor `{name}` has dtype {}; supported: F32, F16, BF16, F64 (a quantised \
                 checkpoint must be dequantised first)",
                entry.dtype
            )));
        };
        let (_, map) = &self.files[entry.file];
        let bytes = &map[entry.offset..entry.offset + entry.len];
        let size: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
        let tensor = Tensor::f_from_data_size(bytes, &size, kind)?;
        Ok(tensor.to_kind(self.kind).to_device(self.device))
    }

    /// Where tensor `name` of `shape` lies.
    ///
    /// # Errors
    /// If it is missing, or not of `shape`, or no weight can have its dtype.
    pub(crate) fn stored(&self, name: &str, shape: &[usize]) -> Result<Stored> {
        let entry = self.entries.get(name).filter(|entry| entry.shape == shape);
        let found = entry.and_then(|entry| Some((entry, entry.kind?)));
        let (entry, kind) =
            found.ok_or_else(|| self.error(format!("no tensor `{name}` of shape {shape:?}")))?;
        Ok(Stored { path: self.files[entry.file].0.clone(), offset: entry.offset, kind })
    }

    /// The names of the files.
    fn names(&self) -> Vec<String> {
        let names = self.files.iter().filter_map(|(path, _)| path.file_name());
        names.map(|name| name.to_string_lossy().into_owned()).collect()
    }

    /// Drops every tensor that `named` accepts; for buffers that are recomputed.
    pub(crate) fn ignore(&mut self, named: impl Fn(&str) -> bool) {
        self.entries.retain(|name, _| !named(name));
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// If a tensor was never asked for: the config does not describe these weights.
    pub(crate) fn finish(self) -> Result<()> {
        let Some(name) = self.entries.keys().next() else { return Ok(()) };
        let more = match self.entries.len() - 1 {
            0 => String::new(),
            n => format!(" (and {n} more)"),
        };
        Err(self.error(format!(
            "tensor `{name}`{more} is not part of the architecture that config.json describes"
        )))
    }

    /// SHA-256 over the `other` files of the folder that shape the computation and the weight
    /// files, in order, as 64 hex digits.
    pub(crate) fn sha256(&self, other: &[&str]) -> Result<String> {
        let mut hash = Sha256::new();
        for name in other {
            let path = self.folder.join(name);
            let bytes = std::fs::read(&path)
                .with_context(|| format!("{}: cannot be read", path.display()))?;
            hash.update(bytes);
        }
        for (_, map) in &self.files {
            hash.update(&map[..]);
        }
        Ok(format!("{:x}", hash.finalize()))
    }

    fn error(&self, message: String) -> anyhow::Error {
        InputError::new(format!("{}: {message}", self.folder.display()))
    }

    fn map(&mut self, name: &str) -> Result<usize> {
        let path = self.folder.join(name);
        let file = File::open(&path).map_err(|error| {
            InputError::new(format!("{}: cannot be opened: {error}", path.display()))
        })?;
        // Safety: the usual one of mmap, that nobody rewrites the file while it is read; copies
        // are made before `open` returns its tensors to anyone.
        let map = unsafe { Mmap::map(&file) }
            .with_context(|| format!("{}: cannot be mapped", path.display()))?;
        self.files.push((path, map));
        Ok(self.files.len() - 1)
    }

    fn add_safetensors(&mut self, name: &str) -> Result<()> {
        let file = self.map(name)?;
        let (path, map) = &self.files[file];
        let broken = |error: &dyn std::fmt::Display| {
            InputError::new(format!(
                "{}: truncated, or not a safetensors file ({error}); fetch it again",
                path.display()
            ))
        };
        let (header, metadata) =
            safetensors::SafeTensors::read_metadata(map).map_err(|error| broken(&error))?;
        let data = header + 8; // the header's own length stands before it
        let end = metadata.tensors().values().map(|info| info.data_offsets.1).max().unwrap_or(0);
        if data + end != map.len() {
            let error = format!("{} bytes, the header promises {}", map.len(), data + end);
            return Err(broken(&error));
        }
        let mut entries = Vec::new();
        for (name, info) in metadata.tensors() {
            let (start, stop) = info.data_offsets;
            let entry = Entry {
                file,
                kind: kind_of(info.dtype),
                dtype: format!("{:?}", info.dtype),
                shape: info.shape.clone(),
                offset: data + start,
                len: stop - start,
            };
            entries.push((name, entry));
        }
        self.entries.extend(entries);
        Ok(())
    }

    fn add_pickled(&mut self, name: &str) -> Result<()> {
        let file = self.map(name)?;
        let path = self.folder.join(name);
        let index =
            pickle::read_index(&path).map_err(|error| InputError::new(format!("{error:#}")))?;
        for tensor in index {
            let kind = match tensor.dtype {
                pickle::Dtype::F16 => Some(Kind::Half),
                pickle::Dtype::BF16 => Some(Kind::BFloat16),
                pickle::Dtype::F32 => Some(Kind::Float),
                pickle::Dtype::F64 => Some(Kind::Double),
                _ => None,
            };
            let entry = Entry {
                file,
                kind,
                dtype: format!("{:?}", tensor.dtype),
                shape: tensor.shape,
                offset: tensor.offset as usize,
                len: tensor.len,
            };
            self.entries.insert(tensor.name, entry);
        }
        Ok(())
    }
}

/// The names of the weight files of `folder` that [`Checkpoint::open`] reads, and of their index.
///
/// # Errors
/// If there is none, or one is broken.
pub(crate) fn weight_files(folder: &Path) -> Result<Vec<String>> {
    let mut names = Checkpoint::open(folder, Device::Cpu, Kind::Float)?.names();
    if names != [SINGLE] && names != [PICKLED] {
        names.push(SHARDED.into());
    }
    Ok(names)
}

/// The shard files an index names, each once, sorted.
fn shards(index: &Path) -> Result<Vec<String>> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let text = std::fs::read_to_string(index)
        .with_context(|| format!("{}: cannot be read", index.display()))?;
    let parsed: Index = serde_json::from_str(&text)
        .map_err(|error| InputError::new(format!("{}: {error}", index.display())))?;
    let mut files: Vec<String> = parsed.weight_map.into_values().collect();
    files.sort();
    files.dedup();
    let is_name = |file: &&String| Path::new(file).file_name() == Some(OsStr::new(file.as_str()));
    if let Some(file) = files.iter().find(|file| !is_name(file)) {
        return Err(InputError::new(format!(
            "{}: {file:?} is not the name of a file beside it",
            index.display()
        )));
    }
    Ok(files)
}

fn kind_of(dtype: safetensors::Dtype) -> Option<Kind> {
    match dtype {
        safetensors::Dtype::F32 => Some(Kind::Float),
        safetensors::Dtype::F16 => Some(Kind::Half),
        safetensors::Dtype::BF16 => Some(Kind::BFloat16),
        safetensors::Dtype::F64 => Some(Kind::Double),
        _ => None,
    }
}
