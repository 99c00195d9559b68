//! Gemma 3, the text model: norms before and after attention and FFN, each by a factor that is one more than its
//! weight, norms of queries and keys, layers with a window and other rotary frequencies, and a scaled embedding.
//! After `transformers`' `modeling_gemma3.py`.

use super::llama::{THETA, Variant, slide};
use crate::model::blueprint::{
    Blueprint, ExitPlan, FfnReads, NormKind, NormPlan, QueryKeyNormPlan,
};
use crate::model::rope::{Rope, RopeDefaults};
use crate::model::settings::Settings;
use serde_json::{Map, Value};

/// Base of the rotary frequencies of the layers without a window, where `config.json` names none.
const GLOBAL_THETA: f64 = 1_000_000.0;

/// Entries of a head where `config.json` does not say.
const HEAD_DIM: usize = 256;

/// Every layer with this number, counted from 1, has no window.
const PATTERN: usize = 6;

/// Rotary keys that are read here, as there are two settings.
const ROPE_KEYS: [&str; 4] =
    ["rope_theta", "rope_local_base_freq", "rope_scaling", "rope_parameters"];

pub(super) fn read(settings: &Settings<'_>) -> Result<Blueprint, String> {
    for key in ["final_logit_softcapping", "attn_logit_softcapping"] {
        settings.only(key, Value::Null)?;
    }
    settings.only("use_bidirectional_attention", false)?;
    let bias = settings.flag("attention_bias", false)?;
    let norm = NormKind::RmsPlusOne { eps: settings.number("rms_norm_eps", 1e-6)? };
    let variant = Variant {
        norm,
        qkv_bias: bias,
        output_bias: bias,
        head_dim: Some(HEAD_DIM),
        activation: ("hidden_activation", "gelu_pytorch_tanh"),
        tied: true,
        own_rope_keys: &ROPE_KEYS,
        ..Variant::new("gemma3_text", settings)?
    };
    let mut blueprint = variant.blueprint(settings)?;
    let pattern = settings.size_if_any("sliding_window_pattern")?.unwrap_or(PATTERN);
    let slides = slide(&mut blueprint, settings, |index| !(index + 1).is_multiple_of(pattern))?;
    let head_dim = blueprint.layers[0].attention.heads.dim;
    let rope = |local| rope(settings, local, (head_dim, blueprint.context));
    let (local, global) = (rope(true)?, rope(false)?);
    let scale = settings.number("query_pre_attn_scalar", HEAD_DIM as f64)?.powf(-0.5);
    for (index, (layer, slides)) in blueprint.layers.iter_mut().zip(slides).enumerate() {
        let norm = |part| NormPlan::new(format!("model.layers.{index}.{part}"), norm);
        layer.attention.rope = Some(if slides { local } else { global });
        layer.attention.scale = scale;
        layer.attention.norms = Some(QueryKeyNormPlan {
            query: norm("self_attn.q_norm"),
            key: norm("self_attn.k_norm"),
            over_all: false,
        });
        layer.attention.exit = ExitPlan::Normed(norm("post_attention_layernorm"));
        layer.ffn_reads = FfnReads::After(Some(norm("pre_feedforward_layernorm")));
        layer.ffn.exit = ExitPlan::Normed(norm("post_feedforward_layernorm"));
    }
    blueprint.embedding.scale = (blueprint.d_model as f64).sqrt();
    Ok(blueprint)
}

/// The rotary settings of the layers with a window (`local`) or without: by layer type, as `transformers` 5
/// writes them, or by keys of their own, as those before it did.
fn rope(
    settings: &Settings<'_>,
    local: bool,
    (head_dim, context): (usize, usize),
) -> Result<Rope, String> {
    let config = settings.0;
    let by_type = config["rope_parameters"].as_object();
    let kind = if local { "sliding_attention" } else { "full_attention" };
    let mut own = Map::new();
    match by_type {
        Some(by_type) => {
            let known =
                |key: &&String| !["sliding_attention", "full_attention"].contains(&key.as_str());
            if let Some(other) = by_type.keys().find(known) {
                return Err(format!("rope_parameters.{other} belongs to no type of layer"));
            }
            own.insert("rope_parameters".into(), by_type.get(kind).cloned().unwrap_or_default());
        }
        None if local => {
            own.insert("rope_theta".into(), config["rope_local_base_freq"].clone());
        }
        None => {
            for key in ["rope_theta", "rope_scaling"] {
                own.insert(key.into(), config[key].clone());
            }
        }
    }
    let theta = if local { THETA } else { GLOBAL_THETA };
    let defaults = RopeDefaults { theta, partial: None, head_dim, context, own: &[] };
    Rope::read(&Value::Object(own), &defaults)
}
