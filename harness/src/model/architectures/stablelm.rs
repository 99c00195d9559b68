//! StableLM 2 (also Stable Code): Llama with layer norms and a part of each head rotated; blocks may be parallel.
//! After `transformers`' `modeling_stablelm.py`.

use super::llama::Variant;
use crate::model::blueprint::{Blueprint, FfnReads, NormKind};
use crate::model::settings::Settings;

pub(super) fn read(settings: &Settings<'_>) -> Result<Blueprint, String> {
    settings.only("qk_layernorm", false)?;
    let variant = Variant {
        norm: NormKind::Layer { eps: settings.number("layer_norm_eps", 1e-5)? },
        qkv_bias: settings.flag("use_qkv_bias", false)?,
        partial: Some(0.25),
        ..Variant::new("stablelm", settings)?
    };
    let mut blueprint = variant.blueprint(settings)?;
    if settings.flag("use_parallel_residual", false)? {
        blueprint.layers.iter_mut().for_each(|layer| layer.ffn_reads = FfnReads::Same);
    }
    Ok(blueprint)
}
