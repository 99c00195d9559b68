//! A checkpoint with patches in its weights: a copy of its folder in which only what they change
//! differs. The original columns and matrices and the patches themselves lie beside the weights in a folder of
//! their own, so that any patch can be taken out again, to the last bit.

use super::columns::Columns;
use super::file::{PatchFile, is_there};
use super::input;
use super::stack::{Stack, short};
use super::were::{COLUMNS, Were};
use crate::edit::{ColumnDelta, Edit, InputDelta, MatrixChange, Neuron, Update};
use crate::error::InputError;
use crate::model::{self, CausalLm, Loaded};
use crate::system::signal;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// The folder of what is known of a checkpoint's patches, in its own.
const FOLDER: &str = "ment";
const HISTORY: &str = "patches.json";
/// Files that hold weights, or a cache of them; of all in a folder only those that are read are edited.
const WEIGHTS: [&str; 9] =
    ["bin", "gguf", "h5", "index.json", "msgpack", "onnx", "ot", "pt", "safetensors"];

/// History of a patched folder, stored in it.
#[derive(Debug, Serialize, Deserialize)]
struct History {
    /// The checkpoint without patches.
    base: String,
    /// The checkpoint as it was written.
    sha256: String,
    /// The patches, in order.
    patches: Vec<PatchEntry>,
}

/// A patch in a [`History`].
#[derive(Debug, Serialize, Deserialize)]
struct PatchEntry {
    /// File of the patch, beside the history.
    file: String,
    /// SHA-256 of the file.
    id: String,
}

/// A checkpoint and the patches that are in its weights.
pub struct Origin {
    /// SHA-256 of the checkpoint without them.
    pub base: String,
    /// The patches.
    pub stack: Stack,
    /// Original values of what the patches changed.
    were: Were,
}

impl Origin {
    /// Reads the history of the checkpoint in `folder`, whose hash is `sha256`.
    ///
    /// # Errors
    /// If its history is broken, or of other weights.
    pub fn of(folder: &Path, sha256: &str) -> Result<Self> {
        let own = folder.join(FOLDER);
        if !own.is_dir() {
            let (stack, were) = (Stack::default(), Were::default());
            return Ok(Self { base: sha256.to_string(), stack, were });
        }
        let file = own.join(HISTORY);
        let wrong = |what: String| InputError::new(format!("{}: {what}", file.display()));
        let history: History =
            serde_json::from_str(&super::read(&file)?).map_err(|error| wrong(error.to_string()))?;
        if history.sha256 != sha256 {
            return Err(wrong(format!(
                "weights and config.json ({}…) are not those that were written with these patches ({}…)",
                short(sha256),
                short(&history.sha256)
            )));
        }
        let read = |PatchEntry { file, id }: &PatchEntry| {
            let read = PatchFile::read(&own.join(file))?;
            if read.id == *id { Ok(read) } else { Err(wrong(format!("{file} is another patch"))) }
        };
        let files = history.patches.iter().map(read);
        let stack = Stack::new(&history.base, files.collect::<Result<_>>()?)?;
        let were = Were::read(&own.join(COLUMNS)).map_err(wrong)?;
        Ok(Self { base: history.base, stack, were })
    }

    /// The edit that takes the patches out of `model`, whose weights hold them, but for rounding.
    pub fn undo(&self, model: &dyn CausalLm) -> Edit {
        let change =
            |was: &Tensor, now: Tensor| was.to_device(now.device()).to_kind(now.kind()) - now;
        let column = |(neuron, was): (&Neuron, &Tensor)| {
            let now = model.ffn_output_matrix(neuron.layer).select(1, neuron.index as i64);
            ColumnDelta::new(*neuron, change(was, now))
        };
        let update = |(&layer, was): (&usize, &Tensor)| {
            let now = model.ffn_output_matrix(layer).shallow_clone();
            Update::new(layer, MatrixChange::Dense(change(was, now)))
        };
        let input = |(neuron, (rows, bias)): (&Neuron, &(Tensor, Option<Tensor>))| {
            let (now, now_bias) = model.ffn_input_matrix(neuron.layer);
            let (projections, width) = (rows.size()[0], model.spec().d_ff as i64);
            let places = Tensor::arange(projections, (Kind::Int64, now.device())) * width
                + neuron.index as i64;
            let bias = bias.as_ref().zip(now_bias);
            InputDelta {
                neuron: *neuron,
                rows: change(rows, now.index_select(0, &places)),
                bias: bias.map(|(was, now)| change(was, now.index_select(0, &places))),
                key: None,
            }
        };
        let columns = self.were.columns.iter().map(column).collect();
        let updates = self.were.matrices.iter().map(update).collect();
        let inputs = self.were.inputs.iter().map(input).collect();
        Edit { columns, updates, inputs, hint: None }
    }
}

/// Result of writing a checkpoint.
pub struct WrittenCheckpoint {
    /// The model that is in the new folder now.
    pub loaded: Loaded,
    /// The patches that are in its weights.
    pub stack: Stack,
    /// Files that were not copied: weights in other forms, which no patch reaches.
    pub left_out: Vec<String>,
}

/// Writes the checkpoint of `folder`, loaded as `loaded`, with `stack` instead of the patches that are in
/// it, to the new folder `out`: whole, or not at all.
///
/// # Errors
/// If `out` is there, a patch does not fit, or something cannot be read or written.
pub fn write(
    folder: &Path,
    loaded: Loaded,
    origin: &Origin,
    stack: Stack,
    out: &Path,
) -> Result<WrittenCheckpoint> {
    if fs::symlink_metadata(out).is_ok() {
        return Err(is_there(out));
    }
    stack.edit(loaded.model.as_ref())?; // refused before anything is copied
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let failed = || format!("{}: cannot be written", out.display());
    if parent.canonicalize().with_context(failed)?.starts_with(folder.canonicalize()?) {
        return Err(InputError::new(format!(
            "{}: lies in the folder that is to be copied, {}; choose another --out",
            out.display(),
            folder.display()
        )));
    }
    let scratch = tempfile::Builder::new().prefix(".ment-").tempdir_in(parent);
    let scratch = scratch.with_context(failed)?;
    let copy = scratch.path().join("checkpoint");
    let weights = model::weight_files(folder)?;
    let left_out = copy_folder(folder, &copy, &weights)?;

    let files = Columns::open(loaded.model.as_ref(), &copy)?;
    origin.were.restore(&files)?;
    if !origin.were.is_empty() {
        files.finish()?;
        check_base(&copy, origin)?;
    }
    if !stack.files.is_empty() {
        let were = add(&files, &stack)?;
        files.finish()?;
        signal::check()?;
        let [sha256, _] = model::checksums(&copy)?;
        let base = origin.base.clone();
        let history = History { base, sha256, patches: Vec::new() };
        write_history(&copy.join(FOLDER), history, &stack, &were)?;
    }
    let options = loaded.options;
    drop(files);
    drop(loaded); // one model in memory at a time
    let loaded = model::load_again(&copy, options)?;
    fs::rename(&copy, out).with_context(failed)?;
    Ok(WrittenCheckpoint { loaded, stack, left_out })
}

/// Refuses a checkpoint that is not, to the last bit, the one that patches were made for.
fn check_base(copy: &Path, origin: &Origin) -> Result<()> {
    let [sha256, _] = model::checksums(copy)?;
    anyhow::ensure!(
        sha256 == origin.base,
        "without its patches the checkpoint is not bit for bit the one they were made for ({}… is not \
         {}…); nothing was written",
        short(&sha256),
        short(&origin.base)
    );
    Ok(())
}

/// Adds what `stack` changes: all changes of a column or a matrix first, in f32, so that it is rounded once.
/// Returns what was there.
fn add(files: &Columns<'_>, stack: &Stack) -> Result<Were> {
    let mut matrices: BTreeMap<usize, Tensor> = BTreeMap::new();
    for update in stack.files.iter().flat_map(|file| &file.patch.updates) {
        let change = update.change().matrix();
        matrices.entry(update.layer).and_modify(|sum| *sum += &change).or_insert(change);
    }
    let mut deltas: BTreeMap<Neuron, Tensor> = BTreeMap::new();
    for column in stack.files.iter().flat_map(|file| &file.patch.columns) {
        let delta = Tensor::from_slice(&column.delta);
        deltas.entry(column.neuron).and_modify(|sum| *sum += &delta).or_insert(delta);
    }
    let mut were = Were::default();
    for (neuron, delta) in deltas {
        if let Some(matrix) = matrices.get(&neuron.layer) {
            let _ = matrix.select(1, neuron.index as i64).g_add_(&delta);
            continue;
        }
        let was = files.read(neuron)?;
        let Neuron { layer, index } = neuron;
        let column = sum(&was, &delta, &format!("the column of neuron {layer}.{index}"))?;
        files.write(neuron, &column)?;
        were.columns.insert(neuron, was);
    }
    for (layer, change) in matrices {
        let was = files.read_matrix(layer)?;
        let matrix = sum(&was, &change, &format!("the FFN output matrix of layer {layer}"))?;
        files.write_matrix(layer, &matrix)?;
        were.matrices.insert(layer, was);
    }
    for (neuron, (rows, bias)) in
        input::sums(stack.files.iter().flat_map(|file| &file.patch.inputs))
    {
        let (was, bias_was) = files.read_input(neuron)?;
        let name = format!("what neuron {}.{} reads", neuron.layer, neuron.index);
        let bias = bias.as_ref().zip(bias_was.as_ref());
        let bias = bias.map(|(own, was)| sum(was, own, &name)).transpose()?;
        files.write_input(neuron, &sum(&was, &rows, &name)?, bias.as_ref())?;
        were.inputs.insert(neuron, (was, bias_was));
    }
    Ok(were)
}

/// `was` and `change` in f32, rounded to the dtype of `was`.
fn sum(was: &Tensor, change: &Tensor, name: &str) -> Result<Tensor> {
    let sum = (was.to_kind(Kind::Float) + change).to_kind(was.kind());
    if !bool::try_from(sum.isfinite().all())? {
        return Err(InputError::new(format!(
            "the patches make {name} larger than the weights' dtype ({:?}) can hold; nothing was written",
            was.kind()
        )));
    }
    Ok(sum)
}

fn write_history(folder: &Path, mut history: History, stack: &Stack, were: &Were) -> Result<()> {
    let failed = || format!("{}: cannot be written", folder.display());
    fs::create_dir(folder).with_context(failed)?;
    for (place, file) in stack.files.iter().enumerate() {
        let (name, id) = (format!("{:04}-{}.safetensors", place + 1, short(&file.id)), &file.id);
        fs::copy(&file.path, folder.join(&name)).with_context(failed)?;
        history.patches.push(PatchEntry { file: name, id: id.clone() });
    }
    were.write(&folder.join(COLUMNS)).with_context(failed)?;
    let text = serde_json::to_string_pretty(&history)? + "\n";
    fs::write(folder.join(HISTORY), text).with_context(failed)
}

/// Copies all files of `from`, links followed, except its history, folders of tools (`.git`, `.cache`), and
/// weights that are not among `weights`; the names of such weights.
fn copy_folder(from: &Path, to: &Path, weights: &[String]) -> Result<Vec<String>> {
    let mut left_out = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let (source, target) = (from.join(&folder), to.join(&folder));
        let failed = || format!("{}: cannot be copied", source.display());
        fs::create_dir(&target).with_context(failed)?;
        for entry in fs::read_dir(&source).with_context(failed)? {
            signal::check()?;
            let name = entry.with_context(failed)?.file_name();
            let (relative, path) = (folder.join(&name), source.join(&name));
            let is_top = folder.as_os_str().is_empty();
            let read = is_top && weights.iter().any(|file| name == OsStr::new(file));
            let shown = relative.to_string_lossy().into_owned();
            if path.is_dir() {
                if !(is_top && (name == FOLDER || name == ".git" || name == ".cache")) {
                    folders.push(relative);
                }
            } else if !read && WEIGHTS.iter().any(|form| shown.ends_with(&format!(".{form}"))) {
                left_out.push(shown);
            } else {
                let copied = target.join(&name);
                fs::copy(&path, &copied)
                    .with_context(|| format!("{}: cannot be copied", path.display()))?;
                make_writable(&copied)?;
            }
        }
    }
    left_out.sort();
    Ok(left_out)
}

/// A copy of a file that nobody may write to can be written to.
fn make_writable(file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(file)?.permissions().mode() | 0o200;
    fs::set_permissions(file, fs::Permissions::from_mode(mode))?;
    Ok(())
}
