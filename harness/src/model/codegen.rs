//! CodeGen: a parallel block, x + attn(ln x) + mlp(ln x), with GPT-J's interleaved rotary.
//! Fields are named as in the checkpoint; after `transformers`' `modeling_codegen.py`.

use super::{CausalLm, Checkpoint, LayerNorm, Linear, Spec};
use crate::error::InputError;
use anyhow::Result;
use serde::Deserialize;
use tch::{Device, Kind, Tensor};

/// `qkv_proj` was trained model-parallel: its rows come in this many blocks.
const MP_NUM: usize = 4;

/// `config.json`; keys not named here do not change the computation.
#[derive(Debug, Deserialize)]
pub(super) struct Config {
    vocab_size: usize,
    n_embd: usize,
    n_head: usize,
    n_layer: usize,
    n_inner: Option<usize>,
    n_positions: usize,
    rotary_dim: Option<usize>,
    layer_norm_epsilon: f64,
    activation_function: String,
}

impl Config {
    fn check(&self) -> Result<()> {
        let unsupported = |what: String| Err(InputError::new(format!("config.json: {what}")));
        if self.activation_function != "gelu_new" {
            return unsupported(format!(
                "activation_function {:?} (supported: \"gelu_new\")",
                self.activation_function
            ));
        }
        if self.n_head == 0 || !self.n_head.is_multiple_of(MP_NUM) {
            return unsupported(format!("n_head {} is not a multiple of {MP_NUM}", self.n_head));
        }
        if !self.n_embd.is_multiple_of(self.n_head) {
            return unsupported(format!(
                "n_embd {} is not a multiple of n_head {}",
                self.n_embd, self.n_head
            ));
        }
        let (rotary, head_dim) = (self.rotary_dim(), self.n_embd / self.n_head);
        if !rotary.is_multiple_of(2) || rotary > head_dim {
            return unsupported(format!(
                "rotary_dim {rotary} must be even and at most {head_dim}, the width of a head"
            ));
        }
        Ok(())
    }

    fn rotary_dim(&self) -> usize {
        self.rotary_dim.unwrap_or(self.n_embd / self.n_head)
    }

    fn d_ff(&self) -> usize {
        self.n_inner.unwrap_or(4 * self.n_embd)
    }
}

/// cos and sin of every position for the first `rotary_dim` entries of a head, interleaved
/// layout: each `[context, rotary_dim]` with every frequency standing twice.
#[derive(Debug)]
struct Rotary {
    cos: Tensor,
    sin: Tensor,
    dim: i64,
}

impl Rotary {
    fn new(dim: usize, context: usize, device: Device, kind: Kind) -> Self {
        let pairs = Tensor::arange_start_step(0, dim as i64, 2, (Kind::Float, device));
        let frequency = (pairs * (-10_000_f64.ln() / dim as f64)).exp();
        let position = Tensor::arange(context as i64, (Kind::Float, device));
        let angle = position.outer(&frequency).repeat_interleave_self_int(2, 1, None);
        Self { cos: angle.cos().to_kind(kind), sin: angle.sin().to_kind(kind), dim: dim as i64 }
    }

    /// `[B,H,T,head_dim]`, the first `dim` entries rotated by position.
    fn apply(&self, x: &Tensor) -> Tensor {
        let (tokens, head_dim) = (x.size()[2], x.size()[3]);
        let rotated = x.narrow(-1, 0, self.dim);
        let pairs = rotated.unflatten(-1, [-1, 2].as_slice());
        let (even, odd) = (pairs.select(-1, 0), pairs.select(-1, 1));
        let turned = Tensor::stack(&[&-odd, &even], -1).flatten(-2, -1);
        let rotated =
            rotated * self.cos.narrow(0, 0, tokens) + turned * self.sin.narrow(0, 0, tokens);
        Tensor::cat(&[rotated, x.narrow(-1, self.dim, head_dim - self.dim)], -1)
    }
}

/// `qkv_proj` taken apart into the three matrices it stands for.
#[derive(Debug)]
struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    out_proj: Linear,
    heads: i64,
}

impl Attention {
    fn load(from: &mut Checkpoint, name: &str, config: &Config) -> Result<Self> {
        let d = config.n_embd;
        let qkv = from.take(&format!("{name}.qkv_proj.weight"), &[3 * d, d])?;
        // Each of the MP_NUM blocks holds (query, value, key) of its share of the heads.
        let blocks = qkv.view([MP_NUM as i64, 3, (d / MP_NUM) as i64, d as i64]);
        let part = |index| Linear {
            weight: blocks.select(1, index).reshape([d as i64, d as i64]),
            bias: None,
        };
        let (query, value, key) = (part(0), part(1), part(2));
        let out_proj = Linear::load(from, &format!("{name}.out_proj"), d, d, false)?;
        from.ignore(|tensor| {
            // Buffers of older checkpoints, recomputed.
            tensor.ends_with(".attn.causal_mask") || tensor.ends_with(".attn.masked_bias")
        });
        Ok(Self { query, key, value, out_proj, heads: config.n_head as i64 })
    }

    /// `[B,T,D]` to `[B,T,D]`, causal.
    fn forward(&self, x: &Tensor, rotary: &Rotary) -> Tensor {
        let (batch, tokens, _) = x.size3().expect("x is [B,T,D]");
        let split = |linear: &Linear| {
            linear.forward(x).view([batch, tokens, self.heads, -1]).transpose(1, 2)
        };
        let (q, k) = (rotary.apply(&split(&self.query)), rotary.apply(&split(&self.key)));
        let v = split(&self.value);
        let mixed = Tensor::scaled_dot_product_attention(
            &q,
            &k,
            &v,
            None::<Tensor>,
            0.0,
            true,
            None,
            false,
        );
        self.out_proj.forward(&mixed.transpose(1, 2).reshape([batch, tokens, -1]))
    }
}

#[derive(Debug)]
struct Mlp {
    fc_in: Linear,
    fc_out: Linear,
}

#[derive(Debug)]
struct Layer {
    ln_1: LayerNorm,
    attn: Attention,
    mlp: Mlp,
}

impl Layer {
    fn load(from: &mut Checkpoint, name: &str, config: &Config) -> Result<Self> {
        let (d, f) = (config.n_embd, config.d_ff());
        Ok(Self {
            ln_1: LayerNorm::load(from, &format!("{name}.ln_1"), d, config.layer_norm_epsilon)?,
            attn: Attention::load(from, &format!("{name}.attn"), config)?,
            mlp: Mlp {
                fc_in: Linear::load(from, &format!("{name}.mlp.fc_in"), f, d, true)?,
                fc_out: Linear::load(from, &format!("{name}.mlp.fc_out"), d, f, true)?,
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
    rotary: Rotary,
}

impl CodeGen {
    pub(super) fn load(config: &Config, from: &mut Checkpoint) -> Result<Self> {
        config.check()?;
        let (d, vocabulary, context) = (config.n_embd, config.vocab_size, config.n_positions);
        let (device, kind) = from.placement();
        Ok(Self {
            spec: Spec {
                family: "codegen",
                layers: config.n_layer,
                d_model: d,
                d_ff: config.d_ff(),
                vocabulary,
                context,
                device,
                kind,
            },
            wte: from.take("transformer.wte.weight", &[vocabulary, d])?,
            h: (0..config.n_layer)
                .map(|index| Layer::load(from, &format!("transformer.h.{index}"), config))
                .collect::<Result<_>>()?,
            ln_f: LayerNorm::load(from, "transformer.ln_f", d, config.layer_norm_epsilon)?,
            lm_head: Linear::load(from, "lm_head", vocabulary, d, true)?,
            rotary: Rotary::new(config.rotary_dim(), context, device, kind),
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

    fn attention(&self, layer: usize, residual: &Tensor) -> Tensor {
        let layer = &self.h[layer];
        layer.attn.forward(&layer.ln_1.forward(residual), &self.rotary)
    }

    /// The block is parallel: the FFN does not see this layer's attention.
    fn post_activation(&self, layer: usize, residual: &Tensor, _attention: &Tensor) -> Tensor {
        let layer = &self.h[layer];
        layer.mlp.fc_in.forward(&layer.ln_1.forward(residual)).gelu("tanh")
    }

    fn ffn_output(&self, layer: usize, post_activation: &Tensor) -> Tensor {
        self.h[layer].mlp.fc_out.forward(post_activation)
    }

    fn ffn_output_matrix(&self, layer: usize) -> &Tensor {
        &self.h[layer].mlp.fc_out.weight
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
