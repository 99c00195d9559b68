//! A patch as a file: a safetensors file of the vectors and matrices and their places, with all that is known
//! of their making as JSON in its metadata.

use super::input::{self, PatchInput};
use super::matrix::Raw;
use super::repair::{Task, TaskOutcome};
use super::update::{self, PatchUpdate};
use crate::config::Config;
use crate::edit::{ColumnDelta, Edit, Neuron, Observation, Patched};
use crate::error::InputError;
use crate::model::{Loaded, Spec};
use crate::system::files;
use anyhow::{Context, Result};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// Version of the format; a later one is refused.
///
/// 1 had columns only, 2 no input weights.
pub const FORMAT: u32 = 3;

/// The metadata key that holds the [`Card`]: a single one, so that equal patches are equal files.
const CARD: &str = "ment-patch";

/// Description of a patch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// Version of the format.
    pub format: u32,
    /// Version of the harness that made it.
    pub harness: String,
    /// SHA-256 of the checkpoint that it changes ([`Loaded::sha256`](crate::model::Loaded)), without
    /// any patches.
    pub base: String,
    /// Name of that checkpoint, for people.
    pub model: String,
    /// Ids of the patches that were in place when it was made; it needs all of them.
    pub after: Vec<String>,
    /// Label of the method.
    pub method: String,
    /// The method's settings.
    pub settings: serde_json::Value,
    /// The prompt as text.
    pub prompt: String,
    /// Text that the model should produce with the patch.
    pub target: String,
    /// The prompt as ids.
    pub prompt_ids: Vec<u32>,
    /// The target as ids.
    pub target_ids: Vec<u32>,
    /// The tokens that were wrong, in the order of their repair.
    pub repairs: Vec<RepairedToken>,
}

impl Card {
    /// Describes the result of the method `label` of `config` on `task`, for a model with the patches
    /// `after`.
    pub fn new(
        config: &Config,
        loaded: &Loaded,
        label: &str,
        task: &Task,
        repairs: &TaskOutcome,
        after: Vec<String>,
    ) -> Self {
        Self {
            format: FORMAT,
            harness: format!("ment {}, commit {}", env!("CARGO_PKG_VERSION"), env!("MENT_COMMIT")),
            base: loaded.sha256.clone(),
            model: config.model.label.clone(),
            after,
            method: label.into(),
            settings: serde_json::to_value(&config.methods[0]).expect("settings are plain data"),
            prompt: task.prompt.clone(),
            target: task.target.clone(),
            prompt_ids: task.ids.prompt.clone(),
            target_ids: task.ids.gold.clone(),
            repairs: repairs.done.iter().map(|shown| shown.repaired.clone()).collect(),
        }
    }
}

/// A token that was wrong, and no longer is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RepairedToken {
    /// Index of the token in the target, from 0.
    pub position: usize,
    /// The token.
    pub target: String,
    /// Token that was predicted in its place.
    pub was: String,
    /// The prediction before.
    pub before: Observation,
    /// The prediction after.
    pub after: Observation,
    /// Neurons in the order of patching; a neuron may occur more than once.
    pub neurons: Vec<Patched>,
}

/// A vector for the column of a neuron.
#[derive(Clone, Debug, PartialEq)]
pub struct PatchColumn {
    /// Neuron whose column is edited.
    pub neuron: Neuron,
    /// Vector that is added, `[d_model]`.
    pub delta: Vec<f32>,
}

/// A patch.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch {
    /// Description of the patch.
    pub card: Card,
    /// Columns in the order of patching; a neuron may occur more than once.
    pub columns: Vec<PatchColumn>,
    /// Matrices in the order of the layers.
    pub updates: Vec<PatchUpdate>,
    /// Input weights of neurons, in the order of the edit.
    pub inputs: Vec<PatchInput>,
}

/// A patch with the file it was read from.
#[derive(Clone, Debug)]
pub struct PatchFile {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of the file, 64 hex digits.
    pub id: String,
    /// Content of the file.
    pub patch: Patch,
}

impl Patch {
    /// `edit` as a patch.
    ///
    /// # Errors
    /// If libtorch fails, or the edit is no change of the weights.
    pub fn new(card: Card, edit: &Edit) -> Result<Self> {
        anyhow::ensure!(
            edit.is_of_weights(),
            "the edit changes no weights, so no file can hold it"
        );
        let column = |ColumnDelta { neuron, delta, .. }: &ColumnDelta| {
            let delta = Vec::<f32>::try_from(delta.to_kind(Kind::Float))?;
            Ok(PatchColumn { neuron: *neuron, delta })
        };
        let columns = edit.columns.iter().map(column).collect::<Result<_>>()?;
        let updates = edit.updates.iter().map(PatchUpdate::new).collect::<Result<_>>()?;
        let inputs = edit.inputs.iter().map(PatchInput::new).collect::<Result<_>>()?;
        Ok(Self { card, columns, updates, inputs })
    }

    /// The patch as an edit of a model of that `spec`.
    pub fn edit(&self, spec: &Spec) -> Edit {
        let column = |PatchColumn { neuron, delta }: &PatchColumn| {
            let delta = Tensor::from_slice(delta).to_kind(spec.kind).to_device(spec.device);
            ColumnDelta::new(*neuron, delta)
        };
        let columns = self.columns.iter().map(column).collect();
        let updates = self.updates.iter().map(|update| update.update(spec)).collect();
        let inputs = self.inputs.iter().map(|input| input.input(spec)).collect();
        Edit { columns, updates, inputs, hint: None }
    }

    /// Writes it to the new file `path`: whole, or not at all. Its id.
    ///
    /// # Errors
    /// If there is such a file already, or it cannot be written.
    pub fn write(&self, path: &Path) -> Result<String> {
        let bytes = self.bytes()?;
        files::write_new(path, &bytes).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => is_there(path),
            _ => {
                anyhow::Error::new(error).context(format!("{}: cannot be written", path.display()))
            }
        })?;
        Ok(id(&bytes))
    }

    /// Does what [`Patch::write`] does, replacing anything that a killed process may have left there, in a
    /// folder that may be new.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn write_again(&self, path: &Path) -> Result<String> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("{}: cannot be made", folder.display()))?;
        }
        let bytes = self.bytes()?;
        files::write(path, &bytes)?;
        Ok(id(&bytes))
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        let count = self.columns.len();
        let places = |of: fn(&Neuron) -> usize| -> Vec<u8> {
            self.columns.iter().flat_map(|c| (of(&c.neuron) as u64).to_le_bytes()).collect()
        };
        let (layers, neurons) = (places(|neuron| neuron.layer), places(|neuron| neuron.index));
        let width = self.columns.first().map_or(0, |column| column.delta.len());
        let deltas: Vec<u8> = self
            .columns
            .iter()
            .flat_map(|column| column.delta.iter().flat_map(|entry| entry.to_le_bytes()))
            .collect();
        let mut tensors = vec![
            ("deltas", TensorView::new(Dtype::F32, vec![count, width], &deltas)?),
            ("layers", TensorView::new(Dtype::U64, vec![count], &layers)?),
            ("neurons", TensorView::new(Dtype::U64, vec![count], &neurons)?),
        ];
        let matrices: Vec<Raw> =
            update::raw(&self.updates).into_iter().chain(input::raw(&self.inputs)).collect();
        for matrix in &matrices {
            tensors.push(matrix.view()?);
        }
        let card = HashMap::from([(CARD.to_string(), serde_json::to_string(&self.card)?)]);
        Ok(safetensors::serialize(tensors, Some(card))?)
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let broken = |error: &dyn std::fmt::Display| {
            format!("truncated, or not a safetensors file ({error})")
        };
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| broken(&error))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| broken(&error))?;
        let card = metadata.metadata().as_ref().and_then(|metadata| metadata.get(CARD));
        let card = card.ok_or("no patch: its metadata has no `ment-patch`")?;
        let Version { format } =
            serde_json::from_str(card).map_err(|error| format!("a damaged patch ({error})"))?;
        if format > FORMAT {
            return Err(format!(
                "a patch of format {format}, and this ment knows formats up to {FORMAT}; make it again, or \
                 use the ment that made it"
            ));
        }
        let card: Card =
            serde_json::from_str(card).map_err(|error| format!("a damaged patch ({error})"))?;
        let tensor = |name: &str, dtype: Dtype| {
            let found = tensors.tensor(name).ok().filter(|tensor| tensor.dtype() == dtype);
            found.ok_or(format!("a damaged patch (no `{name}` of {dtype:?})"))
        };
        let places = |name| -> Result<Vec<usize>, String> {
            let tensor = tensor(name, Dtype::U64)?;
            let (entries, _) = tensor.data().as_chunks::<8>();
            Ok(entries.iter().map(|entry| u64::from_le_bytes(*entry) as usize).collect())
        };
        let (layers, neurons) = (places("layers")?, places("neurons")?);
        let deltas = tensor("deltas", Dtype::F32)?;
        let &[count, width] = deltas.shape() else {
            return Err(format!("a damaged patch (deltas of shape {:?})", deltas.shape()));
        };
        if card.prompt_ids.is_empty() || card.target_ids.is_empty() {
            return Err("a damaged patch (it has no prompt or no target)".into());
        }
        let updates = update::parse(&tensors)?;
        let inputs = input::parse(&tensors)?;
        let is_empty = updates.is_empty() && inputs.is_empty() && (count == 0 || width == 0);
        if [layers.len(), neurons.len()] != [count, count] || is_empty {
            return Err(format!(
                "a damaged patch ({} layers, {} neurons, {count} deltas of {width} entries)",
                layers.len(),
                neurons.len()
            ));
        }
        let (entries, _) = deltas.data().as_chunks::<4>();
        let entries: Vec<f32> = entries.iter().map(|entry| f32::from_le_bytes(*entry)).collect();
        if !entries.iter().all(|entry| entry.is_finite()) {
            return Err("a damaged patch (an entry of its deltas is no number)".into());
        }
        let places = layers.into_iter().zip(neurons);
        let columns = places.zip(entries.chunks(width.max(1))).map(|((layer, index), delta)| {
            PatchColumn { neuron: Neuron { layer, index }, delta: delta.to_vec() }
        });
        let columns = columns.collect();
        Ok(Self { card, columns, updates, inputs })
    }
}

impl PatchFile {
    /// Reads the patch `path`.
    ///
    /// # Errors
    /// If it cannot be read, or is not a whole patch of this format.
    pub fn read(path: &Path) -> Result<Self> {
        let wrong = |what: String| InputError::new(format!("{}: {what}", path.display()));
        let bytes = std::fs::read(path).map_err(|error| wrong(format!("no patch ({error})")))?;
        let patch = Patch::parse(&bytes).map_err(wrong)?;
        Ok(Self { path: path.to_path_buf(), id: id(&bytes), patch })
    }

    /// The neurons that it gives another input.
    pub fn read_anew(&self) -> impl Iterator<Item = Neuron> {
        self.patch.inputs.iter().map(|input| input.neuron)
    }

    /// Name of the file.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

fn id(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// Error for a path to write to that exists already.
pub(crate) fn is_there(path: &Path) -> anyhow::Error {
    InputError::new(format!("{}: already exists; choose another --out", path.display()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Card, FORMAT, Patch, PatchColumn, PatchFile, PatchInput, PatchUpdate};
    use crate::edit::{InputDelta, MatrixChange, Neuron, Update};
    use proptest::prelude::*;
    use tch::{Device, Kind, Tensor};

    /// A patch of `base` that adds `deltas` to the columns of `neurons`, after the patches `after`.
    pub(crate) fn patch(base: &str, after: &[&str], neurons: &[(usize, usize)]) -> Patch {
        let card = Card {
            format: FORMAT,
            harness: "0".into(),
            base: base.into(),
            model: "m".into(),
            after: after.iter().map(ToString::to_string).collect(),
            method: "ment".into(),
            settings: serde_json::json!({}),
            prompt: format!("prompt {neurons:?}"),
            target: "t".into(),
            prompt_ids: vec![1, neurons.len() as u32],
            target_ids: vec![2],
            repairs: Vec::new(),
        };
        let column = |&(layer, index): &(usize, usize)| PatchColumn {
            neuron: Neuron { layer, index },
            delta: vec![0.5, -0.25],
        };
        let columns = neurons.iter().map(column).collect();
        Patch { card, columns, updates: Vec::new(), inputs: Vec::new() }
    }

    #[test]
    fn a_patch_comes_back_and_is_the_same_file_every_time() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let mut patch = patch("b", &["x"], &[(1, 7), (2, 0), (1, 7)]);
        let ones = |shape: [i64; 2]| Tensor::ones(shape, (Kind::Float, Device::Cpu)) * 0.5;
        let mut low = Update::rank_one(2, &ones([2, 1]).squeeze(), &ones([3, 1]).squeeze());
        low.keys = Some(ones([1, 3]));
        let dense = Update::new(1, MatrixChange::Dense(ones([2, 3])));
        patch.updates = [low, dense].iter().map(|of| PatchUpdate::new(of).unwrap()).collect();
        let neuron = Neuron { layer: 2, index: 1 };
        let (bias, key) = (Some(ones([2, 1]).squeeze()), Some(ones([3, 1]).squeeze()));
        let input = InputDelta { neuron, rows: ones([2, 3]), bias, key };
        let plain = InputDelta { neuron, rows: ones([1, 3]), bias: None, key: None };
        patch.inputs = [input, plain].iter().map(|of| PatchInput::new(of).unwrap()).collect();
        let id = patch.write(&one).unwrap();
        assert_eq!(patch.write(&two).unwrap(), id);
        let read = PatchFile::read(&one).unwrap();
        assert_eq!((read.patch, read.id), (patch.clone(), id));
        let error = patch.write(&one).unwrap_err().to_string();
        assert!(error.contains("already exists"), "{error}");
    }

    proptest! {
        /// Cut off, or with a byte changed, it is refused or still a patch, and nothing panics.
        #[test]
        fn a_damaged_patch_is_no_panic(cut in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut whole = patch("b", &[], &[(1, 7), (2, 0)]);
            let rank_one = |size| Tensor::ones([size], (Kind::Float, Device::Cpu));
            let update = Update::rank_one(2, &rank_one(2), &rank_one(3));
            whole.updates = vec![PatchUpdate::new(&update).unwrap()];
            let neuron = Neuron { layer: 1, index: 0 };
            let rows = rank_one(4).view([2, 2]);
            let input = InputDelta { neuron, rows, bias: None, key: None };
            whole.inputs = vec![PatchInput::new(&input).unwrap()];
            let whole = whole.bytes().unwrap();
            let at = cut.index(whole.len());
            prop_assert!(Patch::parse(&whole[..at]).is_err());
            let mut changed = whole;
            changed[at] = byte;
            let _ = Patch::parse(&changed);
        }
    }
}
