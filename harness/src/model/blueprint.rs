//! An architecture as data: what it computes, and under which names a checkpoint holds its tensors. From it
//! follow the tensors that a checkpoint must have and, with them, the network ([`super::decoder`]).

use super::attention::{QueryKeyNorms, Rotary, SelfAttention};
use super::decoder::{Decoder, FeedForward, FfnInput, Head, Layer};
use super::layers::{Activation, Exit, LayerNorm, Linear, Norm, RmsNorm};
use super::rope::Rope;
use super::tensors::Tensors;
use super::{Checkpoint, Spec, StoredInput};
use anyhow::Result;
use std::rc::Rc;
use tch::{Device, Kind, Tensor};

/// A decoder.
pub(super) struct Blueprint {
    /// `model_type` of `config.json`.
    pub(super) family: &'static str,
    /// Beginning of the names of all tensors but the head's. Some published checkpoints lack it, as
    /// `transformers` adds it when it reads them.
    pub(super) prefix: &'static str,
    pub(super) d_model: usize,
    pub(super) d_ff: usize,
    pub(super) vocabulary: usize,
    /// Longest sequence in tokens.
    pub(super) context: usize,
    pub(super) embedding: EmbeddingPlan,
    pub(super) layers: Vec<LayerPlan>,
    pub(super) final_norm: NormPlan,
    pub(super) head: HeadPlan,
}

/// Input of the first layer.
pub(super) struct EmbeddingPlan {
    /// The matrix `[V,D]`.
    pub(super) name: String,
    /// Factor on its rows.
    pub(super) scale: f64,
    /// Learned vectors of the positions, if they are added.
    pub(super) positions: Option<PositionPlan>,
}

impl EmbeddingPlan {
    /// The rows of the matrix `name`, as they are.
    pub(super) fn plain(name: &str) -> Self {
        Self { name: name.into(), scale: 1.0, positions: None }
    }
}

/// Learned vectors of positions.
pub(super) struct PositionPlan {
    /// The matrix `[rows,D]`.
    pub(super) name: String,
    pub(super) rows: usize,
    /// Row of the first position.
    pub(super) first: usize,
}

/// A block.
pub(super) struct LayerPlan {
    /// Norm before the attention; `None` if it reads the residual stream itself.
    pub(super) attention_norm: Option<NormPlan>,
    pub(super) attention: AttentionPlan,
    pub(super) ffn_reads: FfnReads,
    pub(super) ffn: FfnPlan,
}

/// Input of the FFN of a block.
pub(super) enum FfnReads {
    /// The residual stream after the attention, normed or itself.
    After(Option<NormPlan>),
    /// The residual stream that enters the block, by a norm of its own: the block is parallel.
    Beside(NormPlan),
    /// Input of the attention: the block is parallel.
    Same,
}

/// An attention.
pub(super) struct AttentionPlan {
    pub(super) heads: Heads,
    /// Query, key and value projections, or one for all three.
    pub(super) projections: Vec<LinearPlan>,
    pub(super) output: LinearPlan,
    pub(super) exit: ExitPlan,
    pub(super) norms: Option<QueryKeyNormPlan>,
    /// `None` where positions enter with the embedding.
    pub(super) rope: Option<Rope>,
    /// Number of tokens that a token sees, itself included; `None` if it sees all before it.
    pub(super) window: Option<usize>,
    /// Factor on the products of queries and keys.
    pub(super) scale: f64,
}

/// Widths of an attention.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heads {
    pub(super) query: usize,
    pub(super) key_value: usize,
    /// Entries of a head.
    pub(super) dim: usize,
}

impl Heads {
    /// # Errors
    /// If the query heads cannot share the key and value heads evenly.
    pub(super) fn new(query: usize, key_value: usize, dim: usize) -> Result<Self, String> {
        if query.is_multiple_of(key_value) {
            Ok(Self { query, key_value, dim })
        } else {
            Err(format!("{query} attention heads are not a multiple of {key_value} kv heads"))
        }
    }

    /// The width of a head that has an equal share of `d_model`, whose key is `name`.
    ///
    /// # Errors
    /// If the heads do not share it evenly.
    pub(super) fn share(d_model: usize, heads: usize, name: &str) -> Result<usize, String> {
        if d_model.is_multiple_of(heads) {
            Ok(d_model / heads)
        } else {
            Err(format!("{name} {d_model} is not a multiple of {heads} heads"))
        }
    }

    /// Entries of all query heads, and of all key or value heads.
    pub(super) fn widths(&self) -> (usize, usize) {
        (self.query * self.dim, self.key_value * self.dim)
    }

    /// The usual factor on the products of queries and keys.
    pub(super) fn scale(&self) -> f64 {
        1.0 / (self.dim as f64).sqrt()
    }
}

/// Norms of queries and keys before they are rotated.
pub(super) struct QueryKeyNormPlan {
    pub(super) query: NormPlan,
    pub(super) key: NormPlan,
    /// True if a norm is over all heads together, false if it is over each head.
    pub(super) over_all: bool,
}

/// An FFN.
pub(super) struct FfnPlan {
    /// Gate and up projections, or one for both, or the only projection.
    pub(super) input: Vec<LinearPlan>,
    /// True if there is a gate, before the rest.
    pub(super) gated: bool,
    pub(super) activation: Activation,
    pub(super) output: LinearPlan,
    pub(super) exit: ExitPlan,
}

/// Step from an output to what is added to the residual stream.
pub(super) enum ExitPlan {
    Plain,
    Scaled(f64),
    Normed(NormPlan),
}

/// The output head.
pub(super) struct HeadPlan {
    pub(super) name: &'static str,
    /// True if `config.json` says that the embedding serves as head.
    pub(super) tied: bool,
    pub(super) bias: bool,
    /// Number that the logits are divided by.
    pub(super) divisor: f64,
}

/// `y = x Wᵀ + b`, named without `.weight` and `.bias`.
pub(super) struct LinearPlan {
    pub(super) name: String,
    pub(super) out: usize,
    pub(super) inner: usize,
    pub(super) bias: bool,
    /// True if the checkpoint holds the matrix as `[in, out]`.
    pub(super) transposed: bool,
    /// For each output here, the output in the checkpoint, where their order differs.
    pub(super) order: Option<Vec<i64>>,
}

impl LinearPlan {
    /// A matrix `[out, inner]`.
    pub(super) fn new(name: impl Into<String>, [out, inner]: [usize; 2], bias: bool) -> Self {
        Self { name: name.into(), out, inner, bias, transposed: false, order: None }
    }

    /// The same matrix, whose outputs stand in this order in the checkpoint.
    pub(super) fn ordered(self, order: Vec<i64>) -> Self {
        assert_eq!(order.len(), self.out, "an output each");
        Self { order: Some(order), ..self }
    }

    fn declare(&self, tensors: &mut Tensors) {
        let [rows, columns] =
            if self.transposed { [self.inner, self.out] } else { [self.out, self.inner] };
        tensors.add(format!("{}.weight", self.name), &[rows, columns]);
        if self.bias {
            tensors.add(format!("{}.bias", self.name), &[self.out]);
        }
    }

    /// Its place in the files of a checkpoint.
    fn stored(&self, from: &Checkpoint) -> StoredInput {
        assert!(self.order.is_none(), "rows in the order of the file");
        let name = |end: &str| from.name_in_file(&format!("{}.{end}", self.name));
        StoredInput {
            name: name("weight"),
            bias: self.bias.then(|| name("bias")),
            transposed: self.transposed,
            rows: self.out,
        }
    }

    fn load(&self, from: &mut Checkpoint) -> Result<Linear> {
        let Linear { mut weight, mut bias } = Linear::load(from, &self.name, self.bias)?;
        if self.transposed {
            weight = weight.tr();
        }
        if let Some(order) = &self.order {
            let order = Tensor::from_slice(order).to_device(weight.device());
            weight = weight.index_select(0, &order);
            bias = bias.map(|bias| bias.index_select(0, &order));
        }
        Ok(Linear { weight, bias })
    }
}

/// Several layers of one input as one.
fn load_stacked(plans: &[LinearPlan], from: &mut Checkpoint) -> Result<Linear> {
    let layers: Vec<Linear> = plans.iter().map(|plan| plan.load(from)).collect::<Result<_>>()?;
    Ok(Linear::stack(&layers))
}

/// A norm over the last dimension.
pub(super) struct NormPlan {
    pub(super) name: String,
    pub(super) kind: NormKind,
}

/// Kind of a norm.
#[derive(Clone, Copy)]
pub(super) enum NormKind {
    /// By the root mean square.
    Rms { eps: f64 },
    /// The same, by a factor that is one more than the weight.
    RmsPlusOne { eps: f64 },
    /// By mean and standard deviation.
    Layer { eps: f64 },
}

impl NormPlan {
    /// The norm `name` of `kind`.
    pub(super) fn new(name: impl Into<String>, kind: NormKind) -> Self {
        Self { name: name.into(), kind }
    }

    fn declare(&self, width: usize, tensors: &mut Tensors) {
        tensors.norm(&self.name, width, matches!(self.kind, NormKind::Layer { .. }));
    }

    fn load(&self, from: &mut Checkpoint) -> Result<Norm> {
        Ok(match self.kind {
            NormKind::Rms { eps } => Norm::Rms(RmsNorm::load(from, &self.name, eps, false)?),
            NormKind::RmsPlusOne { eps } => Norm::Rms(RmsNorm::load(from, &self.name, eps, true)?),
            NormKind::Layer { eps } => Norm::Layer(LayerNorm::load(from, &self.name, eps)?),
        })
    }
}

impl ExitPlan {
    fn declare(&self, width: usize, tensors: &mut Tensors) {
        if let Self::Normed(norm) = self {
            norm.declare(width, tensors);
        }
    }

    fn load(&self, from: &mut Checkpoint) -> Result<Exit> {
        Ok(match self {
            Self::Plain => Exit::Plain,
            Self::Scaled(factor) => Exit::Scaled(*factor),
            Self::Normed(norm) => Exit::Normed(norm.load(from)?),
        })
    }
}

impl LayerPlan {
    /// Entries of all matrices.
    fn parameters(&self) -> usize {
        let attention = self.attention.projections.iter().chain([&self.attention.output]);
        let ffn = self.ffn.input.iter().chain([&self.ffn.output]);
        attention.chain(ffn).map(|linear| linear.out * linear.inner).sum()
    }

    fn declare(&self, d_model: usize, tensors: &mut Tensors) {
        let Self { attention_norm, attention, ffn_reads, ffn } = self;
        let own = match ffn_reads {
            FfnReads::After(norm) => norm.as_ref(),
            FfnReads::Beside(norm) => Some(norm),
            FfnReads::Same => None,
        };
        attention_norm.iter().chain(own).for_each(|norm| norm.declare(d_model, tensors));
        let linear = attention.projections.iter().chain([&attention.output]);
        let linear = linear.chain(&ffn.input).chain([&ffn.output]);
        linear.for_each(|linear| linear.declare(tensors));
        attention.exit.declare(d_model, tensors);
        ffn.exit.declare(d_model, tensors);
        if let Some(norms) = &attention.norms {
            let (query, key) = attention.heads.widths();
            let width = |all| if norms.over_all { all } else { attention.heads.dim };
            norms.query.declare(width(query), tensors);
            norms.key.declare(width(key), tensors);
        }
    }

    fn load(&self, from: &mut Checkpoint, rotaries: &mut Rotaries) -> Result<Layer> {
        let Self { attention_norm, attention, ffn_reads, ffn } = self;
        let attention_norm = attention_norm.as_ref().map(|norm| norm.load(from)).transpose()?;
        let norms = attention.norms.as_ref().map(|norms| -> Result<QueryKeyNorms> {
            let over_all = norms.over_all;
            Ok(QueryKeyNorms {
                query: norms.query.load(from)?,
                key: norms.key.load(from)?,
                over_all,
            })
        });
        let Heads { query, key_value, dim } = attention.heads;
        let attention = SelfAttention {
            qkv: load_stacked(&attention.projections, from)?,
            output: attention.output.load(from)?,
            exit: attention.exit.load(from)?,
            heads: query as i64,
            kv_heads: key_value as i64,
            head_dim: dim as i64,
            norms: norms.transpose()?,
            rotary: attention.rope.map(|rope| rotaries.get(rope, dim)),
            window: attention.window.map(|window| window as i64),
            scale: attention.scale,
        };
        let ffn_input = match ffn_reads {
            FfnReads::After(norm) => {
                FfnInput::After(norm.as_ref().map(|norm| norm.load(from)).transpose()?)
            }
            FfnReads::Beside(norm) => FfnInput::Beside(norm.load(from)?),
            FfnReads::Same => FfnInput::Same,
        };
        let ffn = FeedForward {
            input: load_stacked(&ffn.input, from)?,
            input_stored: ffn.input.iter().map(|own| own.stored(from)).collect(),
            gated: ffn.gated,
            activation: ffn.activation,
            output: ffn.output.load(from)?,
            output_name: from.name_in_file(&format!("{}.weight", ffn.output.name)),
            output_transposed: ffn.output.transposed,
            exit: ffn.exit.load(from)?,
        };
        Ok(Layer { attention_norm, attention, ffn_input, ffn })
    }
}

/// The rotary tables of a model, each made once.
struct Rotaries {
    made: Vec<(Rope, Rc<Rotary>)>,
    context: usize,
    placement: (Device, Kind),
}

impl Rotaries {
    fn get(&mut self, rope: Rope, head_dim: usize) -> Rc<Rotary> {
        if let Some((_, made)) = self.made.iter().find(|(own, _)| *own == rope) {
            return Rc::clone(made);
        }
        let rotary = Rc::new(Rotary::new(&rope, head_dim, self.context, self.placement));
        self.made.push((rope, Rc::clone(&rotary)));
        rotary
    }
}

impl Blueprint {
    /// Sizes of the model on a device in a dtype.
    pub(super) fn spec(&self, (device, kind): (Device, Kind)) -> Spec {
        Spec {
            family: self.family,
            layers: self.layers.len(),
            d_model: self.d_model,
            d_ff: self.d_ff,
            block_parameters: self.layers.first().map_or(0, LayerPlan::parameters),
            vocabulary: self.vocabulary,
            context: self.context,
            device,
            kind,
        }
    }

    /// Every tensor of its checkpoints.
    pub(super) fn tensors(&self) -> Tensors {
        let mut tensors = Tensors::default();
        let matrix = [self.vocabulary, self.d_model];
        tensors.add(&self.embedding.name, &matrix);
        if let Some(positions) = &self.embedding.positions {
            tensors.add(&positions.name, &[positions.rows, self.d_model]);
        }
        self.layers.iter().for_each(|layer| layer.declare(self.d_model, &mut tensors));
        self.final_norm.declare(self.d_model, &mut tensors);
        let head = format!("{}.weight", self.head.name);
        if self.head.tied {
            tensors.add_optional(head, &matrix); // some writers store the tied copy
        } else {
            tensors.add(head, &matrix);
        }
        if self.head.bias {
            tensors.add(format!("{}.bias", self.head.name), &[self.vocabulary]);
        }
        tensors
    }

    /// The network, of a checkpoint that holds these tensors.
    ///
    /// # Errors
    /// If a weight is NaN or infinite.
    pub(super) fn load(&self, from: &mut Checkpoint) -> Result<Decoder> {
        let placement = from.placement();
        let mut rotaries = Rotaries { made: Vec::new(), context: self.context, placement };
        let embedding = from.take(&self.embedding.name)?;
        let positions = self.embedding.positions.as_ref();
        let positions = positions.map(|PositionPlan { name, first, .. }| -> Result<_> {
            Ok((from.take(name)?, *first as i64))
        });
        let positions = positions.transpose()?;
        let layers = self.layers.iter().map(|layer| layer.load(from, &mut rotaries));
        let layers: Vec<Layer> = layers.collect::<Result<_>>()?;
        let norm = self.final_norm.load(from)?;
        let head = self.load_head(from, &embedding)?;
        let (spec, scale) = (self.spec(placement), self.embedding.scale);
        Ok(Decoder { spec, embedding, scale, positions, layers, norm, head })
    }

    fn load_head(&self, from: &mut Checkpoint, embedding: &Tensor) -> Result<Head> {
        let HeadPlan { name, tied, bias, divisor } = self.head;
        let weight = format!("{name}.weight");
        let own = from.take_optional(&weight)?.filter(|head| !head.equal(embedding));
        if tied && own.is_some() {
            from.note(format!(
                "config.json ties the output head to the embedding (tie_word_embeddings), and the weights \
                 hold another `{weight}`; `{weight}` is used, as transformers 5 does. If that is wrong, remove \
                 it; if it is right, set tie_word_embeddings to false"
            ));
        }
        let scaled = |matrix: &Tensor| (divisor != 1.0).then(|| matrix / divisor);
        let weight = match own {
            Some(own) => scaled(&own).unwrap_or(own),
            None => scaled(embedding).unwrap_or_else(|| embedding.shallow_clone()),
        };
        let bias = bias.then(|| from.take(&format!("{name}.bias"))).transpose()?;
        let bias = bias.map(|bias| scaled(&bias).unwrap_or(bias));
        Ok(Head(Linear { weight, bias }))
    }
}
