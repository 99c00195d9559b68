//! Checked reading of a checkpoint's weight files. The headers are held against what the architecture
//! declares ([`Checkpoint::expect`]) before a weight is read; then tensors leave one by one.

use super::pickle;
use super::tensors::Tensors;
use crate::error::InputError;
use anyhow::{Context, Result};
use memmap2::Mmap;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};

const SINGLE: &str = "model.safetensors";
const SHARDED: &str = "model.safetensors.index.json";
const PICKLED: &str = "pytorch_model.bin";
const PICKLED_SHARDED: &str = "pytorch_model.bin.index.json";

/// Buffers that some writers store beside the weights (causal masks, rotary frequencies), by the end of
/// their names. They follow from `config.json`, so they are ignored unless an architecture declares them.
const BUFFERS: [&str; 6] = [
    ".attn.bias",
    ".attn.masked_bias",
    ".attn.causal_mask",
    ".attention.bias",
    ".attention.masked_bias",
    ".rotary_emb.inv_freq",
];

/// Location of one tensor in one of the mapped files.
struct StoredTensor {
    file: usize,
    /// `None` where no weight can have this dtype (masks, quantised blocks).
    kind: Option<Kind>,
    dtype: String,
    shape: Vec<usize>,
    offset: usize,
    len: usize,
}

/// Location of a tensor.
pub(crate) struct Stored {
    /// The file.
    pub(crate) path: PathBuf,
    /// Offset of the first byte.
    pub(crate) offset: usize,
    /// Type of the elements, which lie in row-major order.
    pub(crate) kind: Kind,
}

impl Stored {
    /// True if the file is a zip archive.
    pub(crate) fn is_archived(&self) -> bool {
        self.path.extension() == Some(OsStr::new("bin"))
    }
}

/// The weight files of a Hugging Face folder, opened; tensors leave it one by one.
pub(crate) struct Checkpoint {
    folder: PathBuf,
    files: Vec<(PathBuf, Mmap)>,
    /// The index of a sharded checkpoint: its name, and the file of each tensor.
    index: Option<(&'static str, BTreeMap<String, String>)>,
    entries: BTreeMap<String, StoredTensor>,
    /// Beginning of the names that the files lack, and `entries` have.
    restored: &'static str,
    device: Device,
    kind: Kind,
    /// Tensors in shards that the index does not list, as `tensor in file`.
    unlisted: Vec<String>,
    notes: Vec<String>,
}

impl Checkpoint {
    /// Opens what `transformers` would: `model.safetensors`, its sharded form, `pytorch_model.bin`, or its
    /// sharded form, in this order. Of shards, the index says which file each tensor is read from. Tensors
    /// are cast to `kind` and moved to `device` as they are taken.
    ///
    /// # Errors
    /// If there are no weights, a file is missing or broken, or shards and their index disagree.
    pub(crate) fn open(folder: &Path, device: Device, kind: Kind) -> Result<Self> {
        let mut checkpoint = Self {
            folder: folder.to_path_buf(),
            files: Vec::new(),
            index: None,
            entries: BTreeMap::new(),
            restored: "",
            device,
            kind,
            unlisted: Vec::new(),
            notes: Vec::new(),
        };
        let has = |name: &str| folder.join(name).is_file();
        if has(SINGLE) {
            checkpoint.add_safetensors(SINGLE)?;
        } else if has(SHARDED) {
            checkpoint.add_shards(SHARDED, Self::add_safetensors)?;
        } else if has(PICKLED) {
            checkpoint.add_pickled(PICKLED)?;
        } else if has(PICKLED_SHARDED) {
            checkpoint.add_shards(PICKLED_SHARDED, Self::add_pickled)?;
        } else {
            return Err(InputError::new(format!(
                "{}: no weights; expected {SINGLE}, {SHARDED}, {PICKLED} or {PICKLED_SHARDED}",
                folder.display()
            )));
        }
        Ok(checkpoint)
    }

    /// Device and dtype that tensors are taken to.
    pub(crate) fn placement(&self) -> (Device, Kind) {
        (self.device, self.kind)
    }

    /// Puts `prefix` before every name but those of the `head`, if no name begins with it: a checkpoint of
    /// the model without its head was saved so, and `transformers` reads it so.
    pub(crate) fn restore_prefix(&mut self, prefix: &'static str, head: &str) {
        if self.entries.keys().any(|name| name.starts_with(prefix)) {
            return;
        }
        self.restored = prefix;
        let named =
            |name: String| if name.starts_with(head) { name } else { format!("{prefix}{name}") };
        self.entries =
            std::mem::take(&mut self.entries).into_iter().map(|(n, e)| (named(n), e)).collect();
    }

    /// The name that the tensor `name` has in the files.
    pub(crate) fn name_in_file(&self, name: &str) -> String {
        name.strip_prefix(self.restored).unwrap_or(name).to_string()
    }

    /// Holds the headers against the tensors that an architecture declares.
    ///
    /// # Errors
    /// If a tensor is missing, of another shape, or of a dtype that holds no weights; or if there is one
    /// that the architecture does not have: `config.json` then describes other weights.
    pub(crate) fn expect(&mut self, declared: &Tensors) -> Result<()> {
        let is_buffer = |name: &str| BUFFERS.iter().any(|buffer| name.ends_with(buffer));
        self.entries.retain(|name, _| declared.get(name).is_some() || !is_buffer(name));
        for (name, wanted) in declared.iter() {
            let shape = &wanted.shape;
            let Some(entry) = self.entries.get(name) else {
                if wanted.optional {
                    continue;
                }
                return Err(self.error(format!(
                    "tensor `{name}` is missing; config.json asks for it with shape {shape:?}"
                )));
            };
            if entry.shape != *shape {
                return Err(self.error(format!(
                    "tensor `{name}` has shape {:?}, but config.json asks for {shape:?}",
                    entry.shape
                )));
            }
            if entry.kind.is_none() {
                return Err(self.error(format!(
                    "tensor `{name}` has dtype {}; supported: F32, F16, BF16, F64 (a quantised \
                     checkpoint must be dequantised first)",
                    entry.dtype
                )));
            }
        }
        let mut unknown = self.entries.keys().filter(|name| declared.get(name).is_none());
        let Some(name) = unknown.next() else { return Ok(()) };
        let more = match unknown.count() {
            0 => String::new(),
            n => format!(" (and {n} more)"),
        };
        Err(self.error(format!(
            "tensor `{name}`{more} is not part of the architecture that config.json describes"
        )))
    }

    /// Removes the tensor `name`, which [`Checkpoint::expect`] has found fit, and returns it.
    ///
    /// # Errors
    /// If an element of it is NaN or infinite, or it is not there.
    pub(crate) fn take(&mut self, name: &str) -> Result<Tensor> {
        self.take_optional(name)?
            .ok_or_else(|| self.error(format!("tensor `{name}` was not declared, or taken before")))
    }

    /// Does what [`Checkpoint::take`] does; `None` if there is no such tensor.
    ///
    /// # Errors
    /// If an element of it is NaN or infinite.
    pub(crate) fn take_optional(&mut self, name: &str) -> Result<Option<Tensor>> {
        let Some(entry) = self.entries.remove(name) else { return Ok(None) };
        let (path, map) = &self.files[entry.file];
        let bytes = &map[entry.offset..entry.offset + entry.len];
        let size: Vec<i64> = entry.shape.iter().map(|&n| n as i64).collect();
        let kind = entry.kind.context("only dtypes of weights are taken")?;
        let tensor = Tensor::f_from_data_size(bytes, &size, kind)?.to_kind(self.kind);
        if !is_finite(&tensor)? {
            return Err(InputError::new(format!(
                "{}: tensor `{name}` holds NaN or infinite numbers; the model could not predict anything. \
                 Fetch it again, or use another checkpoint",
                path.display()
            )));
        }
        Ok(Some(tensor.to_device(self.device)))
    }

    /// Notes what a user should know of this checkpoint.
    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(format!("{}: {note}", self.folder.display()));
    }

    /// Notes for the user, a sentence each.
    pub(crate) fn notes(self) -> Vec<String> {
        self.notes
    }

    /// Location of tensor `name` of `shape`.
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

    /// Bytes of all tensors in the dtype that they are taken to.
    pub(crate) fn bytes(&self) -> usize {
        let elements: usize =
            self.entries.values().map(|entry| entry.shape.iter().product::<usize>()).sum();
        elements * self.kind.elt_size_in_bytes()
    }

    /// Number of tensors.
    pub(crate) fn tensors(&self) -> usize {
        self.entries.len()
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
        // Safety: as always with mmap, no process may rewrite the file while it is read; copies
        // are made before `open` returns its tensors to anyone.
        let map = unsafe { Mmap::map(&file) }
            .with_context(|| format!("{}: cannot be mapped", path.display()))?;
        self.files.push((path, map));
        Ok(self.files.len() - 1)
    }

    /// Adds the files that the index `name` lists, by `add`.
    fn add_shards(
        &mut self,
        name: &'static str,
        add: fn(&mut Self, &str) -> Result<()>,
    ) -> Result<()> {
        let places = weight_map(&self.folder.join(name))?;
        let shards: BTreeSet<String> = places.values().cloned().collect();
        self.index = Some((name, places));
        for shard in &shards {
            add(self, shard)?;
        }
        if let [first, more @ ..] = &self.unlisted[..] {
            let more =
                if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
            self.note(format!("{name} does not list tensor {first}{more}; ignored"));
        }
        let (_, places) = self.index.as_ref().expect("it was set");
        match places.iter().find(|(tensor, _)| !self.entries.contains_key(*tensor)) {
            None => Ok(()),
            Some((tensor, shard)) => {
                Err(self
                    .error(format!("{name} places tensor `{tensor}` in {shard}, which lacks it")))
            }
        }
    }

    /// Takes in a tensor of the file `name`. What the index of shards does not list is passed over.
    ///
    /// # Errors
    /// If the index places the tensor in another file: readers would disagree on which copy counts.
    fn add(&mut self, name: &str, tensor: String, entry: StoredTensor) -> Result<()> {
        let Some((index, places)) = &self.index else {
            self.entries.insert(tensor, entry);
            return Ok(());
        };
        match places.get(&tensor) {
            Some(shard) if shard == name => {
                self.entries.insert(tensor, entry);
                Ok(())
            }
            Some(shard) => Err(self.error(format!(
                "{name} holds tensor `{tensor}` too, which {index} places in {shard}; programs disagree \
                 on which of the two counts. Remove the copy in {name}"
            ))),
            None => {
                self.unlisted.push(format!("`{tensor}` in {name}"));
                Ok(())
            }
        }
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
        for (tensor, info) in metadata.tensors() {
            let (start, stop) = info.data_offsets;
            let entry = StoredTensor {
                file,
                kind: kind_of(info.dtype),
                dtype: format!("{:?}", info.dtype),
                shape: info.shape.clone(),
                offset: data + start,
                len: stop - start,
            };
            entries.push((tensor, entry));
        }
        entries.into_iter().try_for_each(|(tensor, entry)| self.add(name, tensor, entry))
    }

    fn add_pickled(&mut self, name: &str) -> Result<()> {
        let file = self.map(name)?;
        let path = self.folder.join(name);
        let index =
            pickle::read_index(&path).map_err(|error| InputError::new(format!("{error:#}")))?;
        for tensor in index {
            let kind = match tensor.dtype {
                pickle::StoredDtype::F16 => Some(Kind::Half),
                pickle::StoredDtype::BF16 => Some(Kind::BFloat16),
                pickle::StoredDtype::F32 => Some(Kind::Float),
                pickle::StoredDtype::F64 => Some(Kind::Double),
                _ => None,
            };
            let entry = StoredTensor {
                file,
                kind,
                dtype: format!("{:?}", tensor.dtype),
                shape: tensor.shape,
                offset: tensor.offset as usize,
                len: tensor.len,
            };
            self.add(name, tensor.name, entry)?;
        }
        Ok(())
    }
}

/// The names of the weight files of `folder` that [`Checkpoint::open`] reads, and of their index.
///
/// # Errors
/// If there is none, or one is broken.
pub(crate) fn weight_files(folder: &Path) -> Result<Vec<String>> {
    let checkpoint = Checkpoint::open(folder, Device::Cpu, Kind::Float)?;
    let index = checkpoint.index.as_ref().map(|(name, _)| (*name).to_string());
    Ok(checkpoint.names().into_iter().chain(index).collect())
}

/// The shard of each tensor, as the file `index` lists them.
fn weight_map(index: &Path) -> Result<BTreeMap<String, String>> {
    #[derive(serde::Deserialize)]
    struct ShardIndex {
        weight_map: BTreeMap<String, String>,
    }
    let text = std::fs::read_to_string(index)
        .with_context(|| format!("{}: cannot be read", index.display()))?;
    let ShardIndex { weight_map } = serde_json::from_str(&text)
        .map_err(|error| InputError::new(format!("{}: {error}", index.display())))?;
    let is_name = |file: &&String| Path::new(file).file_name() == Some(OsStr::new(file.as_str()));
    if let Some(file) = weight_map.values().find(|file| !is_name(file)) {
        return Err(InputError::new(format!(
            "{}: {file:?} is not the name of a file beside it",
            index.display()
        )));
    }
    Ok(weight_map)
}

/// Returns whether all elements are finite. The sum is the fastest test; only where it is not finite (an
/// element is not, or the sum overflows) is each element tested.
fn is_finite(tensor: &Tensor) -> Result<bool> {
    let sum = f64::try_from(tensor.sum(tensor.kind()))?;
    Ok(sum.is_finite() || bool::try_from(tensor.isfinite().all())?)
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
