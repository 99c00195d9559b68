//! GPT-2, and the plan that GPT-BigCode and GPT-Neo change: learned positions, layer norms, an FFN without gate.
//! GPT-2's matrices lie transposed in a checkpoint (`Conv1D`). After `transformers`' `modeling_gpt2.py`.

use crate::model::blueprint::{
    AttentionPlan, Blueprint, EmbeddingPlan, ExitPlan, FfnPlan, FfnReads, HeadPlan, Heads,
    LayerPlan, LinearPlan, NormKind, NormPlan, PositionPlan,
};
use crate::model::settings::Settings;

/// The spellings of the sizes.
pub(super) struct Keys {
    pub(super) d_model: &'static str,
    pub(super) d_ff: &'static str,
    pub(super) layers: &'static str,
    pub(super) heads: &'static str,
    pub(super) context: &'static str,
}

/// GPT-2's own.
pub(super) const KEYS: Keys = Keys {
    d_model: "n_embd",
    d_ff: "n_inner",
    layers: "n_layer",
    heads: "n_head",
    context: "n_positions",
};

/// The plan with one projection for queries, keys and values, its matrices not transposed.
pub(super) fn plan(
    family: &'static str,
    settings: &Settings<'_>,
    keys: &Keys,
    activation: &str,
) -> Result<Blueprint, String> {
    let (d_model, context) = (settings.size(keys.d_model)?, settings.size(keys.context)?);
    let d_ff = settings.size_if_any(keys.d_ff)?.unwrap_or(4 * d_model);
    let (vocabulary, layers) = (settings.size("vocab_size")?, settings.size(keys.layers)?);
    let heads = settings.size(keys.heads)?;
    let heads = Heads::new(heads, heads, Heads::share(d_model, heads, keys.d_model)?)?;
    let norm = NormKind::Layer { eps: settings.number("layer_norm_epsilon", 1e-5)? };
    let activation = settings.activation("activation_function", activation)?;
    let layer = |index: usize| {
        let name = |part: &str| format!("transformer.h.{index}.{part}");
        let linear = |part: &str, size| LinearPlan::new(name(part), size, true);
        LayerPlan {
            attention_norm: Some(NormPlan::new(name("ln_1"), norm)),
            attention: AttentionPlan {
                heads,
                projections: vec![linear("attn.c_attn", [3 * d_model, d_model])],
                output: linear("attn.c_proj", [d_model, d_model]),
                exit: ExitPlan::Plain,
                norms: None,
                rope: None,
                window: None,
                scale: heads.scale(),
            },
            ffn_reads: FfnReads::After(Some(NormPlan::new(name("ln_2"), norm))),
            ffn: FfnPlan {
                input: vec![linear("mlp.c_fc", [d_ff, d_model])],
                gated: false,
                activation,
                output: linear("mlp.c_proj", [d_model, d_ff]),
                exit: ExitPlan::Plain,
            },
        }
    };
    let positions = PositionPlan { name: "transformer.wpe.weight".into(), rows: context, first: 0 };
    Ok(Blueprint {
        family,
        prefix: "transformer.",
        d_model,
        d_ff,
        vocabulary,
        context,
        embedding: EmbeddingPlan {
            positions: Some(positions),
            ..EmbeddingPlan::plain("transformer.wte.weight")
        },
        layers: (0..layers).map(layer).collect(),
        final_norm: NormPlan::new("transformer.ln_f", norm),
        head: HeadPlan {
            name: "lm_head",
            tied: settings.flag("tie_word_embeddings", true)?,
            bias: false,
            divisor: 1.0,
        },
    })
}

pub(super) fn read(settings: &Settings<'_>) -> Result<Blueprint, String> {
    settings.only("add_cross_attention", false)?;
    let mut blueprint = plan("gpt2", settings, &KEYS, "gelu_new")?;
    let by_root = settings.flag("scale_attn_weights", true)?;
    let by_layer = settings.flag("scale_attn_by_inverse_layer_idx", false)?;
    for (index, layer) in blueprint.layers.iter_mut().enumerate() {
        let LayerPlan { attention, ffn, .. } = layer;
        attention.scale = if by_root { attention.heads.scale() } else { 1.0 };
        if by_layer {
            attention.scale /= (index + 1) as f64;
        }
        let linear = attention.projections.iter_mut().chain([&mut attention.output]);
        let linear = linear.chain(&mut ffn.input).chain([&mut ffn.output]);
        linear.for_each(|linear| linear.transposed = true);
    }
    Ok(blueprint)
}
