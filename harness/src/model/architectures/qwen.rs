//! Qwen2 (also Qwen2.5): Llama with biases on queries, keys and values. Qwen3: with norms on queries and keys
//! instead. After `transformers`' `modeling_qwen2.py` and `modeling_qwen3.py`.

use super::llama::{Variant, slide};
use crate::model::blueprint::{Blueprint, NormPlan, QueryKeyNormPlan};
use crate::model::settings::Settings;

/// Layers without a window where `config.json` does not say.
const WITHOUT_WINDOW: usize = 28;

/// Entries of a head of Qwen3 where `config.json` does not say.
const HEAD_DIM: usize = 128;

pub(super) fn read2(settings: &Settings<'_>) -> Result<Blueprint, String> {
    let variant = Variant { qkv_bias: true, ..Variant::new("qwen2", settings)? };
    let mut blueprint = variant.blueprint(settings)?;
    slide_upper(&mut blueprint, settings)?;
    Ok(blueprint)
}

pub(super) fn read3(settings: &Settings<'_>) -> Result<Blueprint, String> {
    let variant = Variant { head_dim: Some(HEAD_DIM), ..Variant::new("qwen3", settings)? };
    let variant = variant.with_bias_keys(settings)?;
    let mut blueprint = variant.blueprint(settings)?;
    for (index, layer) in blueprint.layers.iter_mut().enumerate() {
        let norm = |part| {
            NormPlan::new(format!("model.layers.{index}.self_attn.{part}_norm"), variant.norm)
        };
        layer.attention.norms =
            Some(QueryKeyNormPlan { query: norm("q"), key: norm("k"), over_all: false });
    }
    slide_upper(&mut blueprint, settings)?;
    Ok(blueprint)
}

/// Gives the layers from `max_window_layers` on a window, if windows are used at all.
fn slide_upper(blueprint: &mut Blueprint, settings: &Settings<'_>) -> Result<(), String> {
    let full = settings.0["max_window_layers"].as_u64().map_or(WITHOUT_WINDOW, |own| own as usize);
    if settings.flag("use_sliding_window", false)? {
        slide(blueprint, settings, |index| index >= full)?;
    } else if settings.texts("layer_types")?.iter().flatten().any(|kind| *kind != "full_attention")
    {
        return Err(
            "layer_types names layers with a window, and use_sliding_window is false".into()
        );
    }
    Ok(())
}
