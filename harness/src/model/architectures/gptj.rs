//! GPT-J, and the plan that CodeGen changes: a parallel block, x + attn(ln x) + mlp(ln x), with rotary positions
//! that turn neighbouring entries. After `transformers`' `modeling_gptj.py`.

use super::llama::THETA;
use crate::model::blueprint::{
    AttentionPlan, Blueprint, EmbeddingPlan, ExitPlan, FfnPlan, FfnReads, HeadPlan, Heads,
    LayerPlan, LinearPlan, NormKind, NormPlan,
};
use crate::model::rope::{Rope, RopeDefaults};
use crate::model::settings::Settings;

/// Entries of a head that are rotated where `config.json` does not say.
const ROTARY_DIM: usize = 64;

pub(super) fn read(settings: &Settings<'_>) -> Result<Blueprint, String> {
    plan("gptj", settings)
}

/// The plan with three projections.
pub(super) fn plan(family: &'static str, settings: &Settings<'_>) -> Result<Blueprint, String> {
    let (d_model, context) = (settings.size("n_embd")?, settings.size("n_positions")?);
    let d_ff = settings.size_if_any("n_inner")?.unwrap_or(4 * d_model);
    let (vocabulary, layers) = (settings.size("vocab_size")?, settings.size("n_layer")?);
    let heads = settings.size("n_head")?;
    let heads = Heads::new(heads, heads, Heads::share(d_model, heads, "n_embd")?)?;
    let norm = NormKind::Layer { eps: settings.number("layer_norm_epsilon", 1e-5)? };
    let activation = settings.activation("activation_function", "gelu_new")?;
    settings.only("tie_word_embeddings", false)?;
    let rope = rope(settings, heads.dim, context)?;
    let turning = interleaved(heads.query, heads.dim, rope.dim);
    let layer = |index: usize| {
        let name = |part: &str| format!("transformer.h.{index}.{part}");
        let square = |part: &str| LinearPlan::new(name(part), [d_model, d_model], false);
        LayerPlan {
            attention_norm: Some(NormPlan::new(name("ln_1"), norm)),
            attention: AttentionPlan {
                heads,
                projections: vec![
                    square("attn.q_proj").ordered(turning.clone()),
                    square("attn.k_proj").ordered(turning.clone()),
                    square("attn.v_proj"),
                ],
                output: square("attn.out_proj"),
                exit: ExitPlan::Plain,
                norms: None,
                rope: Some(rope),
                window: None,
                scale: heads.scale(),
            },
            ffn_reads: FfnReads::Same,
            ffn: FfnPlan {
                input: vec![LinearPlan::new(name("mlp.fc_in"), [d_ff, d_model], true)],
                gated: false,
                activation,
                output: LinearPlan::new(name("mlp.fc_out"), [d_model, d_ff], true),
                exit: ExitPlan::Plain,
            },
        }
    };
    Ok(Blueprint {
        family,
        prefix: "transformer.",
        d_model,
        d_ff,
        vocabulary,
        context,
        embedding: EmbeddingPlan::plain("transformer.wte.weight"),
        layers: (0..layers).map(layer).collect(),
        final_norm: NormPlan::new("transformer.ln_f", norm),
        head: HeadPlan { name: "lm_head", tied: false, bias: true, divisor: 1.0 },
    })
}

fn rope(settings: &Settings<'_>, head_dim: usize, context: usize) -> Result<Rope, String> {
    let dim = settings.size_if_any("rotary_dim")?.unwrap_or(ROTARY_DIM);
    if !dim.is_multiple_of(2) || dim > head_dim {
        return Err(format!(
            "rotary_dim {dim} must be even and at most {head_dim}, the width of a head"
        ));
    }
    let own = &["rotary", "rotary_dim"];
    let defaults = RopeDefaults { theta: THETA, partial: None, head_dim: dim, context, own };
    let rope = Rope::read(settings.0, &defaults)?;
    if rope == Rope::plain(THETA, dim) {
        Ok(rope)
    } else {
        Err(format!("rotary settings (the architecture has rotary_dim, and a base of {THETA})"))
    }
}

/// For each entry of the heads, the entry in the checkpoint: it turns entries (2i, 2i + 1) of a head
/// together, and here entries (i, i + dim/2) are turned. Queries and keys change alike, so their products stay.
pub(super) fn interleaved(heads: usize, head_dim: usize, dim: usize) -> Vec<i64> {
    let of_head = (0..dim).step_by(2).chain((1..dim).step_by(2)).chain(dim..head_dim);
    let of_head: Vec<usize> = of_head.collect();
    let entry = |head: usize| of_head.iter().map(move |entry| (head * head_dim + entry) as i64);
    (0..heads).flat_map(entry).collect()
}
