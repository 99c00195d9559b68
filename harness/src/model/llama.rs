//! The Llama family: Llama, SmolLM2, Mistral-style grouped-query attention, Qwen2 (qkv bias).
//! Fields are named as in the checkpoint; after `transformers`' `modeling_llama.py`.

use super::attention::{Heads, Rotary, SelfAttention};
use super::hub::{Architecture, check_sizes};
use super::rope::Rope;
use super::{CausalLm, Checkpoint, Linear, Spec, Tensors};
use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;
use std::rc::Rc;
use tch::{Device, Kind, Tensor};

/// Base of the rotary frequencies where `config.json` names none.
const THETA: f64 = 10_000.0;

/// The output head.
const HEAD: &str = "lm_head.weight";

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
    /// Rotary settings, which have several spellings.
    #[serde(skip)]
    rope: Rope,
    #[serde(default)]
    tie_word_embeddings: bool,
    /// Llama's switch; Qwen2 has qkv bias by its `model_type`.
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    use_sliding_window: bool,
    layer_types: Option<Vec<String>>,
    hidden_act: String,
}

impl Config {
    /// Reads `config`, and refuses what this file does not compute.
    pub(super) fn read(config: &Value) -> Result<Self, String> {
        let own = Self::deserialize(config).map_err(|error| error.to_string())?;
        own.check()?;
        Ok(Self { rope: Rope::read(config, THETA, &[])?, ..own })
    }

    fn check(&self) -> Result<(), String> {
        check_sizes(&[
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads.unwrap_or_default()),
            ("head_dim", self.head_dim.unwrap_or_default()),
            ("max_position_embeddings", self.max_position_embeddings),
        ])?;
        if self.hidden_act != "silu" {
            return Err(format!("hidden_act {:?} (supported: \"silu\")", self.hidden_act));
        }
        if self.use_sliding_window {
            return Err("use_sliding_window = true is not supported".into());
        }
        let mut types = self.layer_types.iter().flatten();
        if let Some(other) = types.find(|kind| *kind != "full_attention") {
            return Err(format!("layer_types: {other:?} (supported: \"full_attention\")"));
        }
        let (heads, kv_heads) = (self.num_attention_heads, self.kv_heads());
        if heads == 0 || kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            return Err(format!(
                "{heads} attention heads are not a multiple of {kv_heads} kv heads"
            ));
        }
        if self.head_dim.is_none() && !self.hidden_size.is_multiple_of(heads) {
            let size = self.hidden_size;
            return Err(format!("hidden_size {size} is not a multiple of {heads} heads"));
        }
        if !self.head_dim().is_multiple_of(2) {
            return Err(format!("head_dim {} is odd; rotary needs pairs", self.head_dim()));
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

    /// Widths of all query heads, and of all key or value heads.
    fn widths(&self) -> (usize, usize) {
        (self.num_attention_heads * self.head_dim(), self.kv_heads() * self.head_dim())
    }

    /// Returns whether queries, keys and values have a bias: Qwen2's do by its `model_type`.
    fn qkv_bias(&self) -> bool {
        self.attention_bias || self.model_type == "qwen2"
    }
}

impl Architecture for Config {
    fn spec(&self, (device, kind): (Device, Kind)) -> Spec {
        Spec {
            family: if self.model_type == "qwen2" { "qwen2" } else { "llama" },
            layers: self.num_hidden_layers,
            d_model: self.hidden_size,
            d_ff: self.intermediate_size,
            block_parameters: self.block_parameters(),
            vocabulary: self.vocab_size,
            context: self.max_position_embeddings,
            device,
            kind,
        }
    }

    fn tensors(&self) -> Tensors {
        let (d, f, (q, kv)) = (self.hidden_size, self.intermediate_size, self.widths());
        let mut tensors = Tensors::default();
        tensors.add("model.embed_tokens.weight", &[self.vocab_size, d]);
        for layer in (0..self.num_hidden_layers).map(|index| format!("model.layers.{index}")) {
            tensors.norm(&format!("{layer}.input_layernorm"), d, false);
            for (part, out) in [("q_proj", q), ("k_proj", kv), ("v_proj", kv)] {
                tensors.linear(&format!("{layer}.self_attn.{part}"), [out, d], self.qkv_bias());
            }
            tensors.linear(&format!("{layer}.self_attn.o_proj"), [d, q], self.attention_bias);
            tensors.norm(&format!("{layer}.post_attention_layernorm"), d, false);
            for part in ["gate_proj", "up_proj"] {
                tensors.linear(&format!("{layer}.mlp.{part}"), [f, d], self.mlp_bias);
            }
            tensors.linear(&format!("{layer}.mlp.down_proj"), [d, f], self.mlp_bias);
        }
        tensors.norm("model.norm", d, false);
        if self.tie_word_embeddings {
            tensors.add_optional(HEAD, &[self.vocab_size, d]); // some writers store the tied copy
        } else {
            tensors.add(HEAD, &[self.vocab_size, d]);
        }
        tensors
    }

    fn load(&self, from: &mut Checkpoint) -> Result<Box<dyn CausalLm>> {
        Ok(Box::new(Llama::load(self, from)?))
    }
}

/// Root-mean-square norm, `weight` `[D]`.
#[derive(Debug)]
struct RmsNorm {
    weight: Tensor,
    eps: f64,
}

impl RmsNorm {
    fn load(from: &mut Checkpoint, name: &str, eps: f64) -> Result<Self> {
        Ok(Self { weight: from.take(&format!("{name}.weight"))?, eps })
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
    let mut linear = |part, bias| Linear::load(from, &format!("{name}.{part}"), bias);
    let qkv_bias = config.qkv_bias();
    let projections =
        [linear("q_proj", qkv_bias)?, linear("k_proj", qkv_bias)?, linear("v_proj", qkv_bias)?];
    let o_proj = linear("o_proj", config.attention_bias)?;
    let heads = Heads {
        query: config.num_attention_heads,
        key_value: config.kv_heads(),
        dim: config.head_dim(),
    };
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
        let mut linear = |part| Linear::load(from, &format!("{name}.{part}"), config.mlp_bias);
        Ok(Self {
            gate_up: Linear::stack(&[linear("gate_proj")?, linear("up_proj")?]),
            down_proj: linear("down_proj")?,
            width: config.intermediate_size as i64,
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
    /// `None`: the embedding serves as head.
    lm_head: Option<Tensor>,
}

impl Llama {
    fn load(config: &Config, from: &mut Checkpoint) -> Result<Self> {
        let (placement, eps, head_dim) = (from.placement(), config.rms_norm_eps, config.head_dim());
        let context = config.max_position_embeddings;
        let rotary = Rotary::new(head_dim, head_dim, config.rope.theta, context, placement);
        let rotary = Rc::new(rotary);
        let embed_tokens = from.take("model.embed_tokens.weight")?;
        let layers = (0..config.num_hidden_layers)
            .map(|index| {
                let name = format!("model.layers.{index}");
                let (input, post) =
                    (format!("{name}.input_layernorm"), format!("{name}.post_attention_layernorm"));
                Ok(Layer {
                    input_layernorm: RmsNorm::load(from, &input, eps)?,
                    self_attn: attention(from, &format!("{name}.self_attn"), config, &rotary)?,
                    post_attention_layernorm: RmsNorm::load(from, &post, eps)?,
                    mlp: Mlp::load(from, &format!("{name}.mlp"), config)?,
                })
            })
            .collect::<Result<_>>()?;
        let norm = RmsNorm::load(from, "model.norm", eps)?;
        let lm_head = from.take_optional(HEAD)?.filter(|head| !head.equal(&embed_tokens));
        if config.tie_word_embeddings && lm_head.is_some() {
            from.note(format!(
                "config.json ties the output head to the embedding (tie_word_embeddings), and the weights \
                 hold another `{HEAD}`; `{HEAD}` is used, as transformers 5 does. If that is wrong, remove \
                 it; if it is right, set tie_word_embeddings to false"
            ));
        }
        Ok(Self { spec: config.spec(placement), embed_tokens, layers, norm, lm_head })
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
