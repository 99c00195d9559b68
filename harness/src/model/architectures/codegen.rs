//! CodeGen: GPT-J with one projection for queries, keys and values. After `transformers`'
//! `modeling_codegen.py`.

use super::gptj::{interleaved, plan};
use crate::model::blueprint::{Blueprint, LinearPlan};
use crate::model::settings::Settings;

/// `qkv_proj` was trained model-parallel: its rows come in this many blocks.
const MP_NUM: usize = 4;

pub(super) fn read(settings: &Settings<'_>) -> Result<Blueprint, String> {
    let mut blueprint = plan("codegen", settings)?;
    let d_model = blueprint.d_model;
    for (index, layer) in blueprint.layers.iter_mut().enumerate() {
        let heads = layer.attention.heads;
        if !heads.query.is_multiple_of(MP_NUM) {
            return Err(format!("n_head {} is not a multiple of {MP_NUM}", heads.query));
        }
        let dim = layer.attention.rope.map_or(0, |rope| rope.dim);
        let order = order(d_model, &interleaved(heads.query, heads.dim, dim));
        let name = format!("transformer.h.{index}.attn.qkv_proj");
        let linear = LinearPlan::new(name, [3 * d_model, d_model], false);
        layer.attention.projections = vec![linear.ordered(order)];
    }
    Ok(blueprint)
}

/// For each query, key and value, in this order, its row in the checkpoint. Each of the [`MP_NUM`] blocks holds
/// (query, value, key) of its share of the heads; `turning` is the order of queries and of keys.
fn order(d_model: usize, turning: &[i64]) -> Vec<i64> {
    let share = (d_model / MP_NUM) as i64;
    let row = |part: i64, entry: i64| (entry / share * 3 + part) * share + entry % share;
    let plain: Vec<i64> = (0..d_model as i64).collect();
    let parts = [(0, turning), (2, turning), (1, plain.as_slice())];
    parts.iter().flat_map(|(part, of)| of.iter().map(move |&entry| row(*part, entry))).collect()
}
