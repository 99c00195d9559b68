//! StarCoder2: Llama with layer norms, biases, an FFN without gate, and a window. After `transformers`'
//! `modeling_starcoder2.py`.

use super::llama::{Variant, slide_all};
use crate::model::blueprint::{Blueprint, LinearPlan, NormKind};
use crate::model::settings::Settings;

pub(super) fn read(settings: &Settings<'_>) -> Result<Blueprint, String> {
    let bias = settings.flag("use_bias", true)?;
    let variant = Variant {
        norm: NormKind::Layer { eps: settings.number("norm_epsilon", 1e-5)? },
        qkv_bias: bias,
        output_bias: bias,
        activation: ("hidden_act", "gelu_pytorch_tanh"),
        tied: true,
        ..Variant::new("starcoder2", settings)?
    };
    let mut blueprint = variant.blueprint(settings)?;
    let (d_model, d_ff) = (blueprint.d_model, blueprint.d_ff);
    for (index, layer) in blueprint.layers.iter_mut().enumerate() {
        let mlp =
            |part, size| LinearPlan::new(format!("model.layers.{index}.mlp.{part}"), size, bias);
        layer.ffn.input = vec![mlp("c_fc", [d_ff, d_model])];
        layer.ffn.gated = false;
        layer.ffn.output = mlp("c_proj", [d_model, d_ff]);
    }
    slide_all(&mut blueprint, settings)?;
    Ok(blueprint)
}
