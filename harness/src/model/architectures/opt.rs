//! OPT: learned positions, layer norms before attention and FFN, ReLU. After `transformers`' `modeling_opt.py`.

use crate::model::blueprint::{
    AttentionPlan, Blueprint, EmbeddingPlan, ExitPlan, FfnPlan, FfnReads, HeadPlan, Heads,
    LayerPlan, LinearPlan, NormKind, NormPlan, PositionPlan,
};
use crate::model::settings::Settings;

/// Row of the first position.
const FIRST_POSITION: usize = 2;

/// OPT's config has no key for it.
const EPS: f64 = 1e-5;

pub(super) fn read(settings: &Settings<'_>) -> Result<Blueprint, String> {
    let (d_model, d_ff) = (settings.size("hidden_size")?, settings.size("ffn_dim")?);
    let (vocabulary, layers) = (settings.size("vocab_size")?, settings.size("num_hidden_layers")?);
    let context = settings.size("max_position_embeddings")?;
    let heads = settings.size("num_attention_heads")?;
    let heads = Heads::new(heads, heads, Heads::share(d_model, heads, "hidden_size")?)?;
    settings.only("do_layer_norm_before", true)?;
    settings.only("_remove_final_layer_norm", false)?;
    settings.only("layer_norm_elementwise_affine", true)?;
    settings.only("word_embed_proj_dim", d_model)?;
    let bias = settings.flag("enable_bias", true)?;
    let activation = settings.activation("activation_function", "relu")?;
    let norm = NormKind::Layer { eps: EPS };
    let layer = |index: usize| {
        let name = |part: &str| format!("model.decoder.layers.{index}.{part}");
        let linear = |part: &str, size| LinearPlan::new(name(part), size, bias);
        let square = |part: &str| linear(&format!("self_attn.{part}_proj"), [d_model, d_model]);
        LayerPlan {
            attention_norm: Some(NormPlan::new(name("self_attn_layer_norm"), norm)),
            attention: AttentionPlan {
                heads,
                projections: ["q", "k", "v"].map(square).into(),
                output: square("out"),
                exit: ExitPlan::Plain,
                norms: None,
                rope: None,
                window: None,
                scale: heads.scale(),
            },
            ffn_reads: FfnReads::After(Some(NormPlan::new(name("final_layer_norm"), norm))),
            ffn: FfnPlan {
                input: vec![linear("fc1", [d_ff, d_model])],
                gated: false,
                activation,
                output: linear("fc2", [d_model, d_ff]),
                exit: ExitPlan::Plain,
            },
        }
    };
    Ok(Blueprint {
        family: "opt",
        prefix: "model.",
        d_model,
        d_ff,
        vocabulary,
        context,
        embedding: EmbeddingPlan {
            positions: Some(PositionPlan {
                name: "model.decoder.embed_positions.weight".into(),
                rows: context + FIRST_POSITION,
                first: FIRST_POSITION,
            }),
            ..EmbeddingPlan::plain("model.decoder.embed_tokens.weight")
        },
        layers: (0..layers).map(layer).collect(),
        final_norm: NormPlan::new("model.decoder.final_layer_norm", norm),
        head: HeadPlan {
            name: "lm_head",
            tied: settings.flag("tie_word_embeddings", true)?,
            bias: false,
            divisor: 1.0,
        },
    })
}
