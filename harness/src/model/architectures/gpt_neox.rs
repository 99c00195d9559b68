//! GPT-NeoX (Pythia): blocks that are parallel, unless `config.json` says otherwise, whose FFN has a norm of its
//! own; a part of each head is rotated. After `transformers`' `modeling_gpt_neox.py`.

use super::by_head;
use super::llama::THETA;
use crate::model::blueprint::{
    AttentionPlan, Blueprint, EmbeddingPlan, ExitPlan, FfnPlan, FfnReads, HeadPlan, Heads,
    LayerPlan, LinearPlan, NormKind, NormPlan,
};
use crate::model::rope::{Rope, RopeDefaults};
use crate::model::settings::Settings;

/// Share of a head that is rotated where `config.json` does not say.
const PARTIAL: Option<f64> = Some(0.25);

pub(super) fn read(settings: &Settings<'_>) -> Result<Blueprint, String> {
    let (d_model, d_ff) = (settings.size("hidden_size")?, settings.size("intermediate_size")?);
    let (vocabulary, layers) = (settings.size("vocab_size")?, settings.size("num_hidden_layers")?);
    let context = settings.size("max_position_embeddings")?;
    let heads = settings.size("num_attention_heads")?;
    let heads = Heads::new(heads, heads, Heads::share(d_model, heads, "hidden_size")?)?;
    let norm = NormKind::Layer { eps: settings.number("layer_norm_eps", 1e-5)? };
    let (theta, partial, head_dim) = (THETA, PARTIAL, heads.dim);
    let defaults = RopeDefaults { theta, partial, head_dim, context, own: &[] };
    let rope = Rope::read(settings.0, &defaults)?;
    let activation = settings.activation("hidden_act", "gelu")?;
    let bias = settings.flag("attention_bias", true)?;
    let parallel = settings.flag("use_parallel_residual", true)?;
    let layer = |index: usize| {
        let name = |part: &str| format!("gpt_neox.layers.{index}.{part}");
        let linear = |part: &str, size, bias| LinearPlan::new(name(part), size, bias);
        let own = NormPlan::new(name("post_attention_layernorm"), norm);
        LayerPlan {
            attention_norm: Some(NormPlan::new(name("input_layernorm"), norm)),
            attention: AttentionPlan {
                heads,
                projections: vec![
                    linear("attention.query_key_value", [3 * d_model, d_model], bias)
                        .ordered(by_head(heads.query, heads.dim)),
                ],
                output: linear("attention.dense", [d_model, d_model], bias),
                exit: ExitPlan::Plain,
                norms: None,
                rope: Some(rope),
                window: None,
                scale: heads.scale(),
            },
            ffn_reads: match parallel {
                true => FfnReads::Beside(own),
                false => FfnReads::After(Some(own)),
            },
            ffn: FfnPlan {
                input: vec![linear("mlp.dense_h_to_4h", [d_ff, d_model], true)],
                gated: false,
                activation,
                output: linear("mlp.dense_4h_to_h", [d_model, d_ff], true),
                exit: ExitPlan::Plain,
            },
        }
    };
    Ok(Blueprint {
        family: "gpt_neox",
        prefix: "gpt_neox.",
        d_model,
        d_ff,
        vocabulary,
        context,
        embedding: EmbeddingPlan::plain("gpt_neox.embed_in.weight"),
        layers: (0..layers).map(layer).collect(),
        final_norm: NormPlan::new("gpt_neox.final_layer_norm", norm),
        head: HeadPlan {
            name: "embed_out",
            tied: settings.flag("tie_word_embeddings", false)?,
            bias: false,
            divisor: 1.0,
        },
    })
}
