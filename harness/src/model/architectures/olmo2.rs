//! OLMo 2: Llama with norms after attention and FFN, instead of before, and norms over all queries and over all
//! keys. After `transformers`' `modeling_olmo2.py`.

use super::llama::Variant;
use crate::model::blueprint::{
    Blueprint, ExitPlan, FfnReads, NormKind, NormPlan, QueryKeyNormPlan,
};
use crate::model::settings::Settings;

pub(super) fn read(settings: &Settings<'_>) -> Result<Blueprint, String> {
    let norm = NormKind::Rms { eps: settings.number("rms_norm_eps", 1e-5)? };
    let variant = Variant { norm, ..Variant::new("olmo2", settings)?.with_bias_keys(settings)? };
    let variant = Variant { mlp_bias: false, ..variant }; // OLMo 2 has no such key
    let mut blueprint = variant.blueprint(settings)?;
    for (index, layer) in blueprint.layers.iter_mut().enumerate() {
        let norm = |part| NormPlan::new(format!("model.layers.{index}.{part}"), norm);
        layer.attention_norm = None;
        layer.attention.norms = Some(QueryKeyNormPlan {
            query: norm("self_attn.q_norm"),
            key: norm("self_attn.k_norm"),
            over_all: true,
        });
        layer.attention.exit = ExitPlan::Normed(norm("post_attention_layernorm"));
        layer.ffn_reads = FfnReads::After(None);
        layer.ffn.exit = ExitPlan::Normed(norm("post_feedforward_layernorm"));
    }
    Ok(blueprint)
}
