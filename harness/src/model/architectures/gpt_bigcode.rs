//! GPT-BigCode (SantaCoder, StarCoder): GPT-2 whose matrices lie as usual, with one key and value head for all
//! queries. After `transformers`' `modeling_gpt_bigcode.py`.

use super::by_head;
use super::gpt2::{KEYS, plan};
use crate::model::blueprint::{Blueprint, Heads, LinearPlan};
use crate::model::settings::Settings;

pub(super) fn read(settings: &Settings<'_>) -> Result<Blueprint, String> {
    settings.only("add_cross_attention", false)?;
    let mut blueprint = plan("gpt_bigcode", settings, &KEYS, "gelu_pytorch_tanh")?;
    let multi_query = settings.flag("multi_query", true)?;
    let by_root = settings.flag("scale_attn_weights", true)?;
    let d_model = blueprint.d_model;
    for (index, layer) in blueprint.layers.iter_mut().enumerate() {
        let attention = &mut layer.attention;
        let Heads { query, dim, .. } = attention.heads;
        attention.scale = if by_root { attention.heads.scale() } else { 1.0 };
        let name = format!("transformer.h.{index}.attn.c_attn");
        if multi_query {
            attention.heads = Heads::new(query, 1, dim)?;
            attention.projections = vec![LinearPlan::new(name, [d_model + 2 * dim, d_model], true)];
        } else {
            let linear = LinearPlan::new(name, [3 * d_model, d_model], true);
            attention.projections = vec![linear.ordered(by_head(query, dim))];
        }
    }
    Ok(blueprint)
}
