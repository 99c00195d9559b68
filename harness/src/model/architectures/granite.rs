//! Granite: Llama with factors on the embedding, the attention scores, what each half of a block adds, and the
//! logits. After `transformers`' `modeling_granite.py`.

use super::llama::Variant;
use crate::model::blueprint::{Blueprint, ExitPlan};
use crate::model::settings::Settings;

pub(super) fn read(settings: &Settings<'_>) -> Result<Blueprint, String> {
    let variant = Variant::new("granite", settings)?.with_bias_keys(settings)?;
    let mut blueprint = variant.blueprint(settings)?;
    let residual = settings.number("residual_multiplier", 1.0)?;
    let attention = settings.number("attention_multiplier", 1.0)?;
    for layer in &mut blueprint.layers {
        layer.attention.scale = attention;
        layer.attention.exit = ExitPlan::Scaled(residual);
        layer.ffn.exit = ExitPlan::Scaled(residual);
    }
    blueprint.embedding.scale = settings.number("embedding_multiplier", 1.0)?;
    blueprint.head.divisor = settings.number("logits_scaling", 1.0)?;
    Ok(blueprint)
}
