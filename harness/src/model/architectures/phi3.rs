//! Phi-3 (also Phi-4 with plain positions): Llama with one projection for queries, keys and values, one for gate
//! and up, and a window. After `transformers`' `modeling_phi3.py`.

use super::llama::{Variant, slide_all};
use crate::model::blueprint::{Blueprint, LinearPlan, NormKind};
use crate::model::settings::Settings;

pub(super) fn read(settings: &Settings<'_>) -> Result<Blueprint, String> {
    let norm = NormKind::Rms { eps: settings.number("rms_norm_eps", 1e-5)? };
    let variant = Variant { norm, partial: Some(1.0), ..Variant::new("phi3", settings)? };
    let mut blueprint = variant.blueprint(settings)?;
    let (d_model, d_ff) = (blueprint.d_model, blueprint.d_ff);
    for (index, layer) in blueprint.layers.iter_mut().enumerate() {
        let fused = |part, out| {
            LinearPlan::new(format!("model.layers.{index}.{part}"), [out, d_model], false)
        };
        let (query, key) = layer.attention.heads.widths();
        layer.attention.projections = vec![fused("self_attn.qkv_proj", query + 2 * key)];
        layer.ffn.input = vec![fused("mlp.gate_up_proj", 2 * d_ff)];
    }
    slide_all(&mut blueprint, settings)?;
    Ok(blueprint)
}
