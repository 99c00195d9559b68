//! Phi-1 to Phi-2: Llama with a parallel block, layer norms, biases, and a part of each head rotated. After
//! `transformers`' `modeling_phi.py`.

use super::llama::Variant;
use crate::model::blueprint::{Blueprint, FfnReads, LinearPlan, NormKind, NormPlan};
use crate::model::settings::Settings;

pub(super) fn read(settings: &Settings<'_>) -> Result<Blueprint, String> {
    settings.only("qk_layernorm", false)?;
    let norm = NormKind::Layer { eps: settings.number("layer_norm_eps", 1e-5)? };
    let variant = Variant {
        norm,
        qkv_bias: true,
        activation: ("hidden_act", "gelu_new"),
        partial: Some(0.5),
        ..Variant::new("phi", settings)?
    };
    let mut blueprint = variant.blueprint(settings)?;
    let (d_model, d_ff) = (blueprint.d_model, blueprint.d_ff);
    for (index, layer) in blueprint.layers.iter_mut().enumerate() {
        let linear =
            |part, size| LinearPlan::new(format!("model.layers.{index}.{part}"), size, true);
        let (query, _) = layer.attention.heads.widths();
        layer.attention.output = linear("self_attn.dense", [d_model, query]);
        layer.ffn_reads = FfnReads::Same;
        layer.ffn.input = vec![linear("mlp.fc1", [d_ff, d_model])];
        layer.ffn.gated = false;
        layer.ffn.output = linear("mlp.fc2", [d_model, d_ff]);
    }
    blueprint.final_norm = NormPlan::new("model.final_layernorm", norm);
    blueprint.head.bias = true;
    Ok(blueprint)
}
