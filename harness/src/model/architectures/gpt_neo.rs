//! GPT-Neo: GPT-2 whose matrices lie as usual, without a factor on the attention scores; every other layer has a
//! window. After `transformers`' `modeling_gpt_neo.py`.

use super::gpt2::{Keys, plan};
use crate::model::blueprint::{Blueprint, LinearPlan};
use crate::model::settings::Settings;
use serde_json::Value;

const KEYS: Keys = Keys {
    d_model: "hidden_size",
    d_ff: "intermediate_size",
    layers: "num_layers",
    heads: "num_heads",
    context: "max_position_embeddings",
};

/// Tokens of a window where `config.json` does not say.
const WINDOW: usize = 256;

pub(super) fn read(settings: &Settings<'_>) -> Result<Blueprint, String> {
    let mut blueprint = plan("gpt_neo", settings, &KEYS, "gelu_new")?;
    let d_model = blueprint.d_model;
    let window = settings.size_if_any("window_size")?.unwrap_or(WINDOW);
    let slides = slides(settings, blueprint.layers.len())?;
    for (index, (layer, slides)) in blueprint.layers.iter_mut().zip(slides).enumerate() {
        let linear = |part: &str, bias| {
            let name = format!("transformer.h.{index}.attn.attention.{part}_proj");
            LinearPlan::new(name, [d_model, d_model], bias)
        };
        layer.attention.projections = ["q", "k", "v"].map(|part| linear(part, false)).into();
        layer.attention.output = linear("out", true);
        layer.attention.scale = 1.0;
        layer.attention.window = slides.then_some(window);
    }
    Ok(blueprint)
}

/// Windows by layer, true for one: `attention_types` is a list of (kinds, times), each repeated.
fn slides(settings: &Settings<'_>, layers: usize) -> Result<Vec<bool>, String> {
    let types = &settings.0["attention_types"];
    if types.is_null() {
        return Ok((0..layers).map(|index| index % 2 == 1).collect());
    }
    let kind = |kind: &Value| match kind.as_str() {
        Some("global") => Some(false),
        Some("local") => Some(true),
        _ => None,
    };
    let several = |entry: &Value| -> Option<Vec<bool>> {
        let kinds = entry[0].as_array()?.iter().map(kind).collect::<Option<Vec<bool>>>()?;
        let times = usize::try_from(entry[1].as_u64()?).ok().filter(|times| *times <= layers)?;
        Some(kinds.repeat(times))
    };
    let all = types.as_array().and_then(|all| all.iter().map(several).collect::<Option<Vec<_>>>());
    let all: Option<Vec<bool>> = all.map(|all| all.concat());
    all.filter(|all| all.len() == layers).ok_or_else(|| {
        format!(
            "attention_types = {types} does not name \"global\" or \"local\" for each of {layers} layers"
        )
    })
}
