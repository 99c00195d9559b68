//! CodeGen: a parallel block, x + attn(ln x) + mlp(ln x), with GPT-J's interleaved rotary.
//! Fields are named as in the checkpoint; after `transformers`' `modeling_codegen.py`.

use super::attention::{Heads, Rotary, SelfAttention};
use super::hub::{Architecture, check_sizes};
use super::rope::Rope;
use super::{CausalLm, Checkpoint, LayerNorm, Linear, Spec, Tensors};
use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;
use std::rc::Rc;
use tch::{Device, Kind, Tensor};

/// `qkv_proj` was trained model-parallel: its rows come in this many blocks.
const MP_NUM: usize = 4;

/// Entries of a head that are rotated where `config.json` does not say, as `transformers` has it.
fn rotary_dim() -> usize {
    64
}

/// Base of the rotary frequencies.
const THETA: f64 = 10_000.0;

/// `config.json`; keys not named here do not change the computation.
#[derive(Debug, Deserialize)]
pub(super) struct Config {
    vocab_size: usize,
    n_embd: usize,
    n_head: usize,
    n_layer: usize,
    n_inner: Option<usize>,
    n_positions: usize,
    #[serde(default = "rotary_dim")]
    rotary_dim: usize,
    layer_norm_epsilon: f64,
    activation_function: String,
    #[serde(default)]
    tie_word_embeddings: bool,
}

impl Config {
    /// Reads `config`, and refuses what this file does not compute.
    pub(super) fn read(config: &Value) -> Result<Self, String> {
        let own = Self::deserialize(config).map_err(|error| error.to_string())?;
        own.check()?;
        let Rope { theta } = Rope::read(config, THETA, &["rotary_dim"])?;
        if theta != THETA {
            return Err(format!("rope_theta {theta} (CodeGen has {THETA} and no key for it)"));
        }
        Ok(own)
    }

    fn check(&self) -> Result<(), String> {
        check_sizes(&[
            ("vocab_size", self.vocab_size),
            ("n_embd", self.n_embd),
            ("n_head", self.n_head),
            ("n_layer", self.n_layer),
            ("n_inner", self.n_inner.unwrap_or_default()),
            ("n_positions", self.n_positions),
            ("rotary_dim", self.rotary_dim),
        ])?;
        if self.activation_function != "gelu_new" {
            let other = &self.activation_function;
            return Err(format!("activation_function {other:?} (supported: \"gelu_new\")"));
        }
        if self.tie_word_embeddings {
            return Err("tie_word_embeddings = true (CodeGen's head is a matrix of its own)".into());
        }
        if self.n_head == 0 || !self.n_head.is_multiple_of(MP_NUM) {
            return Err(format!("n_head {} is not a multiple of {MP_NUM}", self.n_head));
        }
        if !self.n_embd.is_multiple_of(self.n_head) {
            let (width, heads) = (self.n_embd, self.n_head);
            return Err(format!("n_embd {width} is not a multiple of n_head {heads}"));
        }
        let (rotary, head_dim) = (self.rotary_dim, self.head_dim());
        if !rotary.is_multiple_of(2) || rotary > head_dim {
            return Err(format!(
                "rotary_dim {rotary} must be even and at most {head_dim}, the width of a head"
            ));
        }
        Ok(())
    }

    fn head_dim(&self) -> usize {
        self.n_embd / self.n_head
    }

    fn d_ff(&self) -> usize {
        self.n_inner.unwrap_or(4 * self.n_embd)
    }
}

impl Architecture for Config {
    fn spec(&self, (device, kind): (Device, Kind)) -> Spec {
        let d = self.n_embd;
        Spec {
            family: "codegen",
            layers: self.n_layer,
            d_model: d,
            d_ff: self.d_ff(),
            block_parameters: d * (4 * d + 2 * self.d_ff()),
            vocabulary: self.vocab_size,
            context: self.n_positions,
            device,
            kind,
        }
    }

    fn tensors(&self) -> Tensors {
        let (d, f) = (self.n_embd, self.d_ff());
        let mut tensors = Tensors::default();
        tensors.add("transformer.wte.weight", &[self.vocab_size, d]);
        for layer in (0..self.n_layer).map(|index| format!("transformer.h.{index}")) {
            tensors.norm(&format!("{layer}.ln_1"), d, true);
            tensors.linear(&format!("{layer}.attn.qkv_proj"), [3 * d, d], false);
            tensors.linear(&format!("{layer}.attn.out_proj"), [d, d], false);
            tensors.linear(&format!("{layer}.mlp.fc_in"), [f, d], true);
            tensors.linear(&format!("{layer}.mlp.fc_out"), [d, f], true);
        }
        tensors.norm("transformer.ln_f", d, true);
        tensors.linear("lm_head", [self.vocab_size, d], true);
        tensors
    }

    fn load(&self, from: &mut Checkpoint) -> Result<Box<dyn CausalLm>> {
        Ok(Box::new(CodeGen::load(self, from)?))
    }
}

/// Takes `{name}.qkv_proj` apart into query, key and value, and `{name}.out_proj`.
fn attention(
    from: &mut Checkpoint,
    name: &str,
    config: &Config,
    rotary: &Rc<Rotary>,
) -> Result<SelfAttention> {
    let d = config.n_embd;
    let qkv = from.take(&format!("{name}.qkv_proj.weight"))?;
    // Each of the MP_NUM blocks holds (query, value, key) of its share of the heads.
    let blocks = qkv.view([MP_NUM as i64, 3, (d / MP_NUM) as i64, d as i64]);
    let part = |index| blocks.select(1, index).reshape([config.n_head as i64, -1, d as i64]);
    let order = split_pairs(config.rotary_dim, config.head_dim()).to_device(qkv.device());
    let turning = |index| part(index).index_select(1, &order);
    let linear = |weight: Tensor| Linear { weight: weight.flatten(0, 1), bias: None };
    let projections = [linear(turning(0)), linear(turning(2)), linear(part(1))];
    let out_proj = Linear::load(from, &format!("{name}.out_proj"), false)?;
    let heads = Heads { query: config.n_head, key_value: config.n_head, dim: config.head_dim() };
    Ok(SelfAttention::new(projections, out_proj, heads, rotary))
}

/// GPT-J turns entries (2i, 2i + 1) of a head together, [`Rotary`] entries (i, i + dim/2). The
/// order `[head_dim]` of a head's rows that makes one of the other: queries and keys change alike,
/// so their products stay.
fn split_pairs(dim: usize, head_dim: usize) -> Tensor {
    let order: Vec<i64> = (0..dim)
        .step_by(2)
        .chain((1..dim).step_by(2))
        .chain(dim..head_dim)
        .map(|row| row as i64)
        .collect();
    Tensor::from_slice(&order)
}

#[derive(Debug)]
struct Mlp {
    fc_in: Linear,
    fc_out: Linear,
}

#[derive(Debug)]
struct Layer {
    ln_1: LayerNorm,
    attn: SelfAttention,
    mlp: Mlp,
}

impl Layer {
    fn load(
        from: &mut Checkpoint,
        name: &str,
        config: &Config,
        rotary: &Rc<Rotary>,
    ) -> Result<Self> {
        Ok(Self {
            ln_1: LayerNorm::load(from, &format!("{name}.ln_1"), config.layer_norm_epsilon)?,
            attn: attention(from, &format!("{name}.attn"), config, rotary)?,
            mlp: Mlp {
                fc_in: Linear::load(from, &format!("{name}.mlp.fc_in"), true)?,
                fc_out: Linear::load(from, &format!("{name}.mlp.fc_out"), true)?,
            },
        })
    }
}

/// `CodeGenForCausalLM`.
#[derive(Debug)]
pub(super) struct CodeGen {
    spec: Spec,
    wte: Tensor,
    h: Vec<Layer>,
    ln_f: LayerNorm,
    lm_head: Linear,
}

impl CodeGen {
    fn load(config: &Config, from: &mut Checkpoint) -> Result<Self> {
        let (placement, context) = (from.placement(), config.n_positions);
        let (dim, head_dim) = (config.rotary_dim, config.head_dim());
        let rotary = Rc::new(Rotary::new(dim, head_dim, THETA, context, placement));
        Ok(Self {
            spec: config.spec(placement),
            wte: from.take("transformer.wte.weight")?,
            h: (0..config.n_layer)
                .map(|index| Layer::load(from, &format!("transformer.h.{index}"), config, &rotary))
                .collect::<Result<_>>()?,
            ln_f: LayerNorm::load(from, "transformer.ln_f", config.layer_norm_epsilon)?,
            lm_head: Linear::load(from, "lm_head", true)?,
        })
    }
}

impl CausalLm for CodeGen {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn embed(&self, ids: &Tensor) -> Tensor {
        Tensor::embedding(&self.wte, ids, -1, false, false)
    }

    fn attention(&self, layer: usize) -> &SelfAttention {
        &self.h[layer].attn
    }

    fn attention_input(&self, layer: usize, residual: &Tensor) -> Tensor {
        self.h[layer].ln_1.forward(residual)
    }

    /// The block is parallel: the FFN reads what attention reads, and not its output.
    fn post_activation(
        &self,
        layer: usize,
        _residual: &Tensor,
        attention_input: &Tensor,
        _attention: &Tensor,
    ) -> Tensor {
        let mut hidden = self.h[layer].mlp.fc_in.forward_any_layout(attention_input);
        if hidden.requires_grad() { hidden.gelu("tanh") } else { hidden.gelu_("tanh") }
    }

    fn ffn_output(&self, layer: usize, post_activation: &Tensor) -> Tensor {
        self.h[layer].mlp.fc_out.forward_any_layout(post_activation)
    }

    fn ffn_output_matrix(&self, layer: usize) -> &Tensor {
        &self.h[layer].mlp.fc_out.weight
    }

    fn ffn_output_name(&self, layer: usize) -> String {
        format!("transformer.h.{layer}.mlp.fc_out.weight")
    }

    fn final_norm(&self, residual: &Tensor) -> Tensor {
        self.ln_f.forward(residual)
    }

    fn final_norm_affine(&self) -> (&Tensor, Option<&Tensor>) {
        (&self.ln_f.weight, Some(&self.ln_f.bias))
    }

    fn head(&self, normed: &Tensor) -> Tensor {
        self.lm_head.forward(normed)
    }

    fn head_matrix(&self) -> &Tensor {
        &self.lm_head.weight
    }

    fn head_bias(&self) -> Option<&Tensor> {
        self.lm_head.bias.as_ref()
    }

    fn embedding_matrix(&self) -> &Tensor {
        &self.wte
    }
}
