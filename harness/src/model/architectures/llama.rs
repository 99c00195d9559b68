//! Llama (also SmolLM2, DeepSeek-Coder, Code Llama), and the plan that architectures derived from it change:
//! norm, attention, norm, gated FFN, each half added to the residual stream.
//! After `transformers`' `modeling_llama.py`.

use crate::model::blueprint::{
    AttentionPlan, Blueprint, EmbeddingPlan, ExitPlan, FfnPlan, FfnReads, HeadPlan, Heads,
    LayerPlan, LinearPlan, NormKind, NormPlan,
};
use crate::model::rope::{Rope, RopeDefaults};
use crate::model::settings::Settings;

/// Base of the rotary frequencies where `config.json` names none.
pub(super) const THETA: f64 = 10_000.0;

/// Parts of the plain plan in which an architecture derived from Llama may differ.
pub(super) struct Variant<'k> {
    pub(super) family: &'static str,
    /// True if queries, keys and values have biases.
    pub(super) qkv_bias: bool,
    /// True if the attention's output has a bias.
    pub(super) output_bias: bool,
    pub(super) mlp_bias: bool,
    /// Entries of a head where `config.json` does not say; `None`: an equal share of the width.
    pub(super) head_dim: Option<usize>,
    pub(super) norm: NormKind,
    /// Key of the FFN's function, and its default.
    pub(super) activation: (&'k str, &'k str),
    /// Share of a head that is rotated where `config.json` does not say; `None` if heads are always rotated
    /// whole.
    pub(super) partial: Option<f64>,
    /// True if the embedding serves as head where `config.json` does not say.
    pub(super) tied: bool,
    /// Rotary keys that the architecture reads by itself.
    pub(super) own_rope_keys: &'k [&'k str],
}

impl Variant<'_> {
    /// Llama itself, without biases.
    pub(super) fn new(family: &'static str, settings: &Settings<'_>) -> Result<Self, String> {
        Ok(Self {
            family,
            qkv_bias: false,
            output_bias: false,
            mlp_bias: false,
            head_dim: None,
            norm: NormKind::Rms { eps: settings.number("rms_norm_eps", 1e-6)? },
            activation: ("hidden_act", "silu"),
            partial: None,
            tied: false,
            own_rope_keys: &[],
        })
    }

    /// Biases as `attention_bias` and `mlp_bias` say.
    pub(super) fn with_bias_keys(self, settings: &Settings<'_>) -> Result<Self, String> {
        let bias = settings.flag("attention_bias", false)?;
        let mlp_bias = settings.flag("mlp_bias", false)?;
        Ok(Self { qkv_bias: bias, output_bias: bias, mlp_bias, ..self })
    }

    /// The plan.
    pub(super) fn blueprint(&self, settings: &Settings<'_>) -> Result<Blueprint, String> {
        let (d_model, d_ff) = (settings.size("hidden_size")?, settings.size("intermediate_size")?);
        let (vocabulary, layers) =
            (settings.size("vocab_size")?, settings.size("num_hidden_layers")?);
        let context = settings.size("max_position_embeddings")?;
        let query = settings.size("num_attention_heads")?;
        let key_value = settings.size_if_any("num_key_value_heads")?.unwrap_or(query);
        let dim = match settings.size_if_any("head_dim")?.or(self.head_dim) {
            Some(dim) => dim,
            None => Heads::share(d_model, query, "hidden_size")?,
        };
        let heads = Heads::new(query, key_value, dim)?;
        let own = self.own_rope_keys;
        let (theta, partial) = (THETA, self.partial);
        let defaults = RopeDefaults { theta, partial, head_dim: dim, context, own };
        let rope = Rope::read(settings.0, &defaults)?;
        let activation = settings.activation(self.activation.0, self.activation.1)?;
        let (q, kv) = heads.widths();
        let layer = |index: usize| {
            let name = |part: &str| format!("model.layers.{index}.{part}");
            let attention = |part: &str, out, inner, bias| {
                LinearPlan::new(name(&format!("self_attn.{part}_proj")), [out, inner], bias)
            };
            let mlp = |part: &str, size| {
                LinearPlan::new(name(&format!("mlp.{part}_proj")), size, self.mlp_bias)
            };
            LayerPlan {
                attention_norm: Some(NormPlan::new(name("input_layernorm"), self.norm)),
                attention: AttentionPlan {
                    heads,
                    projections: vec![
                        attention("q", q, d_model, self.qkv_bias),
                        attention("k", kv, d_model, self.qkv_bias),
                        attention("v", kv, d_model, self.qkv_bias),
                    ],
                    output: attention("o", d_model, q, self.output_bias),
                    exit: ExitPlan::Plain,
                    norms: None,
                    rope: Some(rope),
                    window: None,
                    scale: heads.scale(),
                },
                ffn_reads: FfnReads::After(Some(NormPlan::new(
                    name("post_attention_layernorm"),
                    self.norm,
                ))),
                ffn: FfnPlan {
                    input: vec![mlp("gate", [d_ff, d_model]), mlp("up", [d_ff, d_model])],
                    gated: true,
                    activation,
                    output: mlp("down", [d_model, d_ff]),
                    exit: ExitPlan::Plain,
                },
            }
        };
        Ok(Blueprint {
            family: self.family,
            prefix: "model.",
            d_model,
            d_ff,
            vocabulary,
            context,
            embedding: EmbeddingPlan::plain("model.embed_tokens.weight"),
            layers: (0..layers).map(layer).collect(),
            final_norm: NormPlan::new("model.norm", self.norm),
            head: HeadPlan {
                name: "lm_head",
                tied: settings.flag("tie_word_embeddings", self.tied)?,
                bias: false,
                divisor: 1.0,
            },
        })
    }
}

pub(super) fn read(settings: &Settings<'_>) -> Result<Blueprint, String> {
    settings.only("use_sliding_window", false)?;
    if let Some(other) =
        settings.texts("layer_types")?.and_then(|all| all.into_iter().find(|kind| *kind != FULL))
    {
        return Err(format!("layer_types: {other:?} (supported: {FULL:?})"));
    }
    Variant::new("llama", settings)?.with_bias_keys(settings)?.blueprint(settings)
}

/// A layer in which every token sees all before it, in `layer_types`.
const FULL: &str = "full_attention";

/// A layer in which a token sees a window only.
const SLIDING: &str = "sliding_attention";

/// Gives every layer a window, if `sliding_window` is set. The architecture has no layers of several types.
pub(super) fn slide_all(blueprint: &mut Blueprint, settings: &Settings<'_>) -> Result<(), String> {
    let window = settings.size_if_any("sliding_window")?;
    let kind = if window.is_some() { SLIDING } else { FULL };
    if let Some(other) =
        settings.texts("layer_types")?.and_then(|all| all.into_iter().find(|own| *own != kind))
    {
        return Err(format!("layer_types: {other:?}, where sliding_window makes all {kind:?}"));
    }
    blueprint.layers.iter_mut().for_each(|layer| layer.attention.window = window);
    Ok(())
}

/// Gives the layers that `layer_types` names, or `by_default`, a window of `sliding_window` tokens.
pub(super) fn slide(
    blueprint: &mut Blueprint,
    settings: &Settings<'_>,
    by_default: impl Fn(usize) -> bool,
) -> Result<Vec<bool>, String> {
    let layers = blueprint.layers.len();
    let slides: Vec<bool> = match settings.texts("layer_types")? {
        None => (0..layers).map(by_default).collect(),
        Some(types) if types.len() != layers => {
            return Err(format!("layer_types names {} layers of {layers}", types.len()));
        }
        Some(types) => {
            let is_sliding = |kind: &str| match kind {
                FULL => Ok(false),
                SLIDING => Ok(true),
                other => Err(format!("layer_types: {other:?} (supported: {FULL:?}, {SLIDING:?})")),
            };
            types.into_iter().map(is_sliding).collect::<Result<_, _>>()?
        }
    };
    if slides.contains(&true) {
        let window = settings.size("sliding_window")?;
        let sliding = blueprint.layers.iter_mut().zip(&slides).filter(|(_, slides)| **slides);
        sliding.for_each(|(layer, _)| layer.attention.window = Some(window));
    }
    Ok(slides)
}
