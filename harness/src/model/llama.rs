//! The Llama family: Llama, SmolLM2, Mistral-style grouped-query attention, Qwen2 (qkv bias).
//! Fields are named as in the checkpoint; after `transformers`' `modeling_llama.py`.

use super::attention::{Heads, Rotary, SelfAttention};
use super::{CausalLm, Checkpoint, Linear, Spec};
use crate::error::InputError;
use anyhow::Result;
use serde::Deserialize;
use std::rc::Rc;
use tch::{Kind, Tensor};

/// `config.json`; keys not named here do not change the computation.
#[derive(Debug, Deserialize)]
pub(super) struct Config {
    model_type: String,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    max_position_embeddings: usize,
    rms_norm_eps: f64,
    rope_theta: Option<f64>,
    rope_scaling: Option<serde_json::Value>,
    /// Where `transformers` 5 keeps theta and the scaling.
    rope_parameters: Option<RopeParameters>,
    #[serde(default)]
    tie_word_embeddings: bool,
    /// Llama's switch; Qwen2 has qkv bias by its `model_type`.
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    use_sliding_window: bool,
    hidden_act: String,
}

#[derive(Debug, Deserialize)]
struct RopeParameters {
    rope_theta: Option<f64>,
    rope_type: Option<String>,
}

impl Config {
    /// Refuses what this file does not compute, before any weight is read.
    fn check(&self) -> Result<()> {
        let unsupported = |what: String| Err(InputError::new(format!("config.json: {what}")));
        if self.hidden_act != "silu" {
            return unsupported(format!("hidden_act {:?} (supported: \"silu\")", self.hidden_act));
        }
        if let Some(scaling) = self.rope_scaling.as_ref().filter(|value| !value.is_null()) {
            return unsupported(format!("rope_scaling {scaling} is not supported (only null)"));
        }
        let rope_type = self.rope_parameters.as_ref().and_then(|rope| rope.rope_type.as_deref());
        if !matches!(rope_type, None | Some("default")) {
            return unsupported(format!("rope_type {rope_type:?} (supported: \"default\")"));
        }
        if self.use_sliding_window {
            return unsupported("use_sliding_window = true is not supported".into());
        }
        let (heads, kv_heads) = (self.num_attention_heads, self.kv_heads());
        if heads == 0 || kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            return unsupported(format!(
                "{heads} attention heads do not share {kv_heads} kv heads"
            ));
        }
        if self.head_dim.is_none() && !self.hidden_size.is_multiple_of(heads) {
            return unsupported(format!(
                "hidden_size {} is not a multiple of {heads} heads",
                self.hidden_size
            ));
        }
        if !self.head_dim().is_multiple_of(2) {
            return unsupported(format!("head_dim {} is odd; rotary needs pairs", self.head_dim()));
        }
        Ok(())
    }

    fn kv_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    fn head_dim(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads)
    }

    fn block_parameters(&self) -> usize {
        let attention = 2 * (self.num_attention_heads + self.kv_heads()) * self.head_dim();
        self.hidden_size * (attention + 3 * self.intermediate_size)
    }

    fn theta(&self) -> f64 {
        let nested = self.rope_parameters.as_ref().and_then(|rope| rope.rope_theta);
        self.rope_theta.or(nested).unwrap_or(10_000.0)
    }
}

/// Root-mean-square norm, `weight` `[D]`.
#[derive(Debug)]
struct RmsNorm {
    weight: Tensor,
    eps: f64,
}

impl RmsNorm {
    fn load(from: &mut Checkpoint, name: &str, width: usize, eps: f64) -> Result<Self> {
        Ok(Self { weight: from.take(&format!("{name}.weight"), &[width])?, eps })
    }

    /// In f32 whatever the dtype, as the reference does.
    fn forward(&self, x: &Tensor) -> Tensor {
        let (kind, width) = (x.kind(), x.size()[x.dim() - 1] as f64);
        let x = x.to_kind(Kind::Float);
        let norm = x.norm_scalaropt_dim(2.0, [-1_i64].as_slice(), true);
        let scale = (norm.square() / width + self.eps).rsqrt();
        (x * scale).to_kind(kind) * &self.weight
    }
}

/// Takes `{name}.{q,k,v,o}_proj`.
fn attention(
    from: &mut Checkpoint,
    name: &str,
    config: &Config,
    rotary: &Rc<Rotary>,
) -> Result<SelfAttention> {
    let (d, head_dim) = (config.hidden_size, config.head_dim());
    let (q, kv) = (config.num_attention_heads * head_dim, config.kv_heads() * head_dim);
    let qkv_bias = config.attention_bias || config.model_type == "qwen2";
    let mut linear =
        |part, out, inner, bias| Linear::load(from, &format!("{name}.{part}"), out, inner, bias);
    let projections = [
        linear("q_proj", q, d, qkv_bias)?,
        linear("k_proj", kv, d, qkv_bias)?,
        linear("v_proj", kv, d, qkv_bias)?,
    ];
    let o_proj = linear("o_proj", d, q, config.attention_bias)?;
    let heads =
        Heads { query: config.num_attention_heads, key_value: config.kv_heads(), dim: head_dim };
    Ok(SelfAttention::new(projections, o_proj, heads, rotary))
}

#[derive(Debug)]
struct Mlp {
    /// `gate_proj` over `up_proj`, `[2F,D]`.
    gate_up: Linear,
    down_proj: Linear,
    width: i64,
}

impl Mlp {
    fn load(from: &mut Checkpoint, name: &str, config: &Config) -> Result<Self> {
        let (d, f, bias) = (config.hidden_size, config.intermediate_size, config.mlp_bias);
        let mut linear =
            |part, out, inner| Linear::load(from, &format!("{name}.{part}"), out, inner, bias);
        Ok(Self {
            gate_up: Linear::stack(&[linear("gate_proj", f, d)?, linear("up_proj", f, d)?]),
            down_proj: linear("down_proj", d, f)?,
            width: f as i64,
        })
    }

    /// `[..,D]` to the input of `down_proj`, `[..,F]`.
    fn post_activation(&self, x: &Tensor) -> Tensor {
        let both = self.gate_up.forward_any_layout(x);
        let (mut gate, up) =
            (both.narrow(-1, 0, self.width), both.narrow(-1, self.width, self.width));
        // In place where no gradient needs the input: half the memory, a third of the traffic.
        let gate = if gate.requires_grad() { gate.silu() } else { gate.silu_() };
        gate * up
    }
}

#[derive(Debug)]
struct Layer {
    input_layernorm: RmsNorm,
    self_attn: SelfAttention,
    post_attention_layernorm: RmsNorm,
    mlp: Mlp,
}

/// `LlamaForCausalLM`, `Qwen2ForCausalLM`.
#[derive(Debug)]
pub(super) struct Llama {
    spec: Spec,
    embed_tokens: Tensor,
    layers: Vec<Layer>,
    norm: RmsNorm,
    /// `None`: tied to the embedding.
    lm_head: Option<Tensor>,
}

impl Llama {
    pub(super) fn load(config: &Config, from: &mut Checkpoint) -> Result<Self> {
        config.check()?;
        let (d, eps) = (config.hidden_size, config.rms_norm_eps);
        let ((device, kind), context) = (from.placement(), config.max_position_embeddings);
        let head_dim = config.head_dim();
        let rotary = Rotary::new(head_dim, head_dim, config.theta(), context, (device, kind));
        let rotary = Rc::new(rotary);
        let embed_tokens = from.take("model.embed_tokens.weight", &[config.vocab_size, d])?;
        let layers = (0..config.num_hidden_layers)
            .map(|index| {
                let name = format!("model.layers.{index}");
                let attention = format!("{name}.post_attention_layernorm");
                Ok(Layer {
                    input_layernorm: RmsNorm::load(
                        from,
                        &format!("{name}.input_layernorm"),
                        d,
                        eps,
                    )?,
                    self_attn: self::attention(
                        from,
                        &format!("{name}.self_attn"),
                        config,
                        &rotary,
                    )?,
                    post_attention_layernorm: RmsNorm::load(from, &attention, d, eps)?,
                    mlp: Mlp::load(from, &format!("{name}.mlp"), config)?,
                })
            })
            .collect::<Result<_>>()?;
        let norm = RmsNorm::load(from, "model.norm", d, eps)?;
        let lm_head = if config.tie_word_embeddings {
            from.ignore(|name| name == "lm_head.weight"); // some writers store the tied copy
            None
        } else {
            Some(from.take("lm_head.weight", &[config.vocab_size, d])?)
        };
        from.ignore(|name| name.ends_with(".rotary_emb.inv_freq")); // a buffer, recomputed

        Ok(Self {
            spec: Spec {
                family: if config.model_type == "qwen2" { "qwen2" } else { "llama" },
                layers: config.num_hidden_layers,
                d_model: d,
                d_ff: config.intermediate_size,
                block_parameters: config.block_parameters(),
                vocabulary: config.vocab_size,
                context,
                device,
                kind,
            },
            embed_tokens,
            layers,
            norm,
            lm_head,
        })
    }
}

impl CausalLm for Llama {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn embed(&self, ids: &Tensor) -> Tensor {
        Tensor::embedding(&self.embed_tokens, ids, -1, false, false)
    }

    fn attention(&self, layer: usize) -> &SelfAttention {
        &self.layers[layer].self_attn
    }

    fn attention_input(&self, layer: usize, residual: &Tensor) -> Tensor {
        self.layers[layer].input_layernorm.forward(residual)
    }

    fn post_activation(
        &self,
        layer: usize,
        residual: &Tensor,
        _attention_input: &Tensor,
        attention: &Tensor,
    ) -> Tensor {
        let layer = &self.layers[layer];
        layer.mlp.post_activation(&layer.post_attention_layernorm.forward(&(residual + attention)))
    }

    fn ffn_output(&self, layer: usize, post_activation: &Tensor) -> Tensor {
        self.layers[layer].mlp.down_proj.forward_any_layout(post_activation)
    }

    fn ffn_output_matrix(&self, layer: usize) -> &Tensor {
        &self.layers[layer].mlp.down_proj.weight
    }

    fn ffn_output_name(&self, layer: usize) -> String {
        format!("model.layers.{layer}.mlp.down_proj.weight")
    }

    fn final_norm(&self, residual: &Tensor) -> Tensor {
        self.norm.forward(residual)
    }

    fn final_norm_affine(&self) -> (&Tensor, Option<&Tensor>) {
        (&self.norm.weight, None)
    }

    fn head(&self, normed: &Tensor) -> Tensor {
        normed.linear(self.head_matrix(), None::<&Tensor>)
    }

    fn head_matrix(&self) -> &Tensor {
        self.lm_head.as_ref().unwrap_or(&self.embed_tokens)
    }

    fn head_bias(&self) -> Option<&Tensor> {
        None
    }

    fn embedding_matrix(&self) -> &Tensor {
        &self.embed_tokens
    }
}
