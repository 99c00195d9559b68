//! Keys: post-activations seen as the addresses of an FFN output matrix that is read as a memory. Their second
//! moment on a text says which of them are in use.

use crate::config::KeysConfig;
use crate::data::corpus::Corpus;
use crate::edit::Edit;
use crate::engine::block::{Block, block};
use crate::engine::forward::positions;
use crate::error::InputError;
use crate::model::{CausalLm, Loaded};
use crate::system::{files, progress, signal};
use anyhow::Result;
use sha2::{Digest, Sha256};
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tch::{Kind, Tensor};

/// Tokens of one sequence of the text.
const SEQUENCE: usize = 256;

/// Name of the tensor in a cache file.
const CACHED: &str = "second_moment";

/// Names of the tensors of [`LayerInputs`] in a cache file.
const INPUTS: [&str; 3] = ["second_moment", "mean", "use"];

/// Second moments of the keys of some layers on a text, each computed when it is first asked for.
pub(crate) struct KeyStatistics {
    sequences: Vec<Vec<u32>>,
    layers: Vec<usize>,
    /// Hash of all that determines the statistics but the layer.
    identity: String,
    cache: PathBuf,
    found: RefCell<BTreeMap<usize, Rc<LayerKeys>>>,
}

/// Statistics of one layer's keys.
pub(crate) struct LayerKeys {
    layer: usize,
    /// Mean of the outer products, `[F,F]`, f32.
    second_moment: Tensor,
    /// Its Cholesky factor, lower triangle, `[F,F]`, f64, once it was asked for.
    factor: OnceCell<Tensor>,
}

/// Statistics of what the neurons of one layer read, and of how much they do.
pub(crate) struct LayerInputs {
    /// Mean of the outer products of the FFN inputs, `[D,D]`, f64.
    pub(crate) second_moment: Tensor,
    /// Mean FFN input, `[D]`, f64.
    pub(crate) mean: Tensor,
    /// Mean square of each post-activation, `[F]`, f64.
    pub(crate) activity: Tensor,
}

impl KeyStatistics {
    /// Statistics of `layers` on the text of `config`, kept in the folder `cache` unless its name is empty.
    ///
    /// # Errors
    /// If the text cannot be read, or has fewer tokens than a layer has neurons: then the second moment has no
    /// inverse.
    pub(crate) fn new(
        config: &KeysConfig,
        loaded: &Loaded,
        layers: Vec<usize>,
        cache: &Path,
    ) -> Result<Self> {
        let corpus = Corpus::read(config.from.as_deref())?;
        let spec = loaded.model.spec();
        let ids = loaded.tokenizer.encode(&corpus.text)?;
        let sequences = spread(&ids, config.tokens.0, SEQUENCE.min(spec.context));
        let tokens: usize = sequences.iter().map(Vec::len).sum();
        if tokens < spec.d_ff {
            let place = config.from.as_ref();
            return Err(InputError::new(format!(
                "{}: {tokens} tokens, and a layer of the model has {} neurons; keys.from and keys.tokens must \
                 give at least as many tokens as there are neurons",
                place.map_or("the built-in text".into(), |path| path.display().to_string()),
                spec.d_ff
            )));
        }
        let of =
            format!("{}\n{}\n{}\n{tokens}", loaded.sha256, loaded.tokenizer.sha256, corpus.sha256);
        let identity = format!("{:x}", Sha256::digest(of));
        let found = RefCell::default();
        Ok(Self { sequences, layers, identity, cache: cache.into(), found })
    }

    /// The beginnings of sequences of the text, `count` of them: half of 5 tokens, half of 10.
    pub(crate) fn beginnings(&self, count: usize) -> Vec<&[u32]> {
        let length = |index: usize| if index < count / 2 { 5 } else { 10 };
        let sequence = |index: usize| &self.sequences[index * self.sequences.len() / count.max(1)];
        let beginnings = (0..count).map(|index| (sequence(index), length(index)));
        beginnings.map(|(sequence, length)| &sequence[..length.min(sequence.len())]).collect()
    }

    /// The statistics of `layer`, one of those given.
    ///
    /// # Errors
    /// If the user stops.
    pub(crate) fn of(&self, layer: usize, model: &dyn CausalLm) -> Result<Rc<LayerKeys>> {
        if let Some(found) = self.found.borrow().get(&layer) {
            return Ok(Rc::clone(found));
        }
        let moments: Vec<Option<Tensor>> =
            self.layers.iter().map(|&layer| self.read(layer, model)).collect();
        let moments: Vec<Tensor> = match moments.into_iter().collect() {
            Some(moments) => moments,
            None => self.measure(model)?,
        };
        for (&layer, second_moment) in self.layers.iter().zip(moments) {
            let keys = Rc::new(LayerKeys { layer, second_moment, factor: OnceCell::new() });
            self.found.borrow_mut().insert(layer, keys);
        }
        Ok(Rc::clone(&self.found.borrow()[&layer]))
    }

    fn file(&self, layer: usize) -> PathBuf {
        self.cache.join(format!("keys-{}-{layer}.safetensors", &self.identity[..16]))
    }

    fn read(&self, layer: usize, model: &dyn CausalLm) -> Option<Tensor> {
        let file = self.file(layer);
        let tensors = file.is_file().then(|| Tensor::read_safetensors(file).ok())??;
        let found = tensors.into_iter().find_map(|(name, own)| (name == CACHED).then_some(own))?;
        let width = model.spec().d_ff as i64;
        let fits = found.size() == [width, width];
        fits.then(|| found.to_device(model.spec().device))
    }

    /// Runs the text and sums the outer products of the keys of all layers.
    fn measure(&self, model: &dyn CausalLm) -> Result<Vec<Tensor>> {
        let spec = model.spec();
        let width = spec.d_ff as i64;
        let mut sums: Vec<Tensor> = self
            .layers
            .iter()
            .map(|_| Tensor::zeros([width, width], (Kind::Double, spec.device)))
            .collect();
        let tokens: usize = self.sequences.iter().map(Vec::len).sum();
        self.each_block(model, |layer, run| {
            if let Some(place) = self.layers.iter().position(|&own| own == layer) {
                let keys = run.post_activation.flatten(0, 1).to_kind(Kind::Float);
                sums[place] += keys.tr().matmul(&keys).to_kind(Kind::Double);
            }
        })?;
        for (sum, &layer) in sums.iter_mut().zip(&self.layers) {
            *sum = (&*sum / tokens as f64).to_kind(Kind::Float);
            // A cache: where it cannot be written, the text is run again next time.
            if !self.cache.as_os_str().is_empty() {
                let _ = files::write_by(&self.file(layer), |partial| {
                    Tensor::write_safetensors(&[(CACHED, &*sum)], partial)
                });
            }
        }
        Ok(sums)
    }

    /// Runs the text, and gives `see` each layer and its block on a sequence.
    fn each_block(&self, model: &dyn CausalLm, mut see: impl FnMut(usize, &Block)) -> Result<()> {
        let device = model.spec().device;
        let last = self.layers.iter().copied().max().unwrap_or_default();
        let bar = progress::bar("keys of the text", self.sequences.len());
        for sequence in &self.sequences {
            signal::check()?;
            let ids: Vec<i64> = sequence.iter().map(|&id| i64::from(id)).collect();
            let ids = Tensor::from_slice(&ids).unsqueeze(0).to_device(device);
            let mut residual = model.embed(&ids, &positions(&ids, None));
            for layer in 0..=last {
                let run = block(model, layer, &residual, None, &Edit::none());
                see(layer, &run);
                residual = run.output;
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Statistics of what the neurons of `layer`, one of those given, read in the text. Kept in the cache like the keys.
    ///
    /// # Errors
    /// If the user stops.
    pub(crate) fn inputs_of(&self, layer: usize, model: &dyn CausalLm) -> Result<LayerInputs> {
        let file = self.cache.join(format!("inputs-{}-{layer}.safetensors", &self.identity[..16]));
        let (spec, caches) = (model.spec(), !self.cache.as_os_str().is_empty());
        let (width, neurons) = (spec.d_model as i64, spec.d_ff as i64);
        let sizes = [vec![width, width], vec![width], vec![neurons]];
        let read = || -> Option<[Tensor; 3]> {
            let tensors = file.is_file().then(|| Tensor::read_safetensors(&file).ok())??;
            let find = |name| tensors.iter().find_map(|(own, t)| (own == name).then_some(t));
            let [Some(moment), Some(mean), Some(activity)] = INPUTS.map(find) else { return None };
            let found = [moment, mean, activity].map(|own| own.to_device(spec.device));
            found.iter().zip(&sizes).all(|(own, size)| own.size() == *size).then_some(found)
        };
        let found = caches.then(read).flatten();
        let [second_moment, mean, activity] = match found {
            Some(found) => found,
            None => {
                let zeros = |size: &Vec<i64>| Tensor::zeros(size, (Kind::Double, spec.device));
                let mut sums = [0, 1, 2].map(|place| zeros(&sizes[place]));
                self.each_block(model, |own, run| {
                    if own == layer {
                        let all = run.ffn_input.flatten(0, 1).to_kind(Kind::Float);
                        sums[0] += all.tr().matmul(&all).to_kind(Kind::Double);
                        let sum = |of: &Tensor| {
                            of.sum_dim_intlist([0_i64].as_slice(), false, Kind::Double)
                        };
                        sums[1] += sum(&all);
                        let active = run.post_activation.flatten(0, 1).to_kind(Kind::Float);
                        sums[2] += sum(&active.square());
                    }
                })?;
                let tokens: usize = self.sequences.iter().map(Vec::len).sum();
                let found = sums.map(|sum| sum / tokens as f64);
                // A cache: where it cannot be written, the text is run again next time.
                if caches {
                    let named: Vec<(&str, &Tensor)> = INPUTS.into_iter().zip(&found).collect();
                    let _ = files::write_by(&file, |partial| {
                        Tensor::write_safetensors(&named, partial)
                    });
                }
                found
            }
        };
        Ok(LayerInputs { second_moment, mean, activity })
    }
}

/// Sequences of `length` ids, spread evenly over `ids`, of `tokens` in all at most.
fn spread(ids: &[u32], tokens: usize, length: usize) -> Vec<Vec<u32>> {
    let all: Vec<&[u32]> = ids.chunks(length).collect();
    let wanted = tokens.div_ceil(length).min(all.len());
    let mut left = tokens;
    let sequences = (0..wanted).map(|index| {
        let sequence = all[index * all.len() / wanted];
        let taken = sequence.len().min(left);
        left -= taken;
        sequence[..taken].to_vec()
    });
    sequences.filter(|sequence| !sequence.is_empty()).collect()
}

impl LayerKeys {
    /// The inverse of the second moment times `keys` `[F,n]`, f64.
    ///
    /// # Errors
    /// If the keys of the text do not span the neurons, so that there is no inverse.
    pub(crate) fn whitened(&self, keys: &Tensor) -> Result<Tensor> {
        if self.factor.get().is_none() {
            let moment = self.second_moment.to_kind(Kind::Double);
            let (factor, info) = moment.linalg_cholesky_ex(false, false);
            if i64::try_from(info)? != 0 {
                return Err(InputError::new(format!(
                    "the keys of layer {} on the text do not span its neurons, so their second moment has no \
                     inverse; give a longer text (keys.from) or read more of it (keys.tokens)",
                    self.layer
                )));
            }
            let _ = self.factor.set(factor);
        }
        Ok(keys.cholesky_solve(self.factor.get().expect("just set"), false))
    }

    /// Directions whose mean square is at least `threshold`, `[F,k]`, orthonormal, f64: those that the text uses.
    pub(crate) fn in_use(&self, threshold: f64) -> Tensor {
        let (values, vectors) = self.second_moment.to_kind(Kind::Double).linalg_eigh("L");
        let used = values.ge(threshold).nonzero().flatten(0, -1);
        vectors.index_select(1, &used)
    }
}
