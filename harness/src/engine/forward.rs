//! The plain forward pass: the reference that every faster path is held to.

use super::block::block;
use super::decode::Decoder;
use crate::edit::{Applied, Edit};
use crate::model::{CausalLm, Sequences, Tree};
use tch::{Kind, Tensor};

/// Logits `[B,T,V]` of `ids` `[B,T]` under `edit`, by one pass over all layers.
pub fn logits(model: &dyn CausalLm, ids: &Tensor, edit: &Edit) -> Tensor {
    model.head(&model.final_norm(&residual(model, ids, None, edit)))
}

/// Logits `[E,V]` at the ends of `sequences` under `edit`.
pub fn logits_at_ends(model: &dyn CausalLm, sequences: &Sequences, edit: &Edit) -> Tensor {
    let Sequences { ids, ends } = sequences;
    let states = ends.of(&residual(model, ids, ends.tree(), edit));
    model.head(&model.final_norm(&states)).flatten(0, 1)
}

/// The residual `[B,T,D]` leaving the last block; the sequences branch as `tree` says.
pub fn residual(model: &dyn CausalLm, ids: &Tensor, tree: Option<&Tree>, edit: &Edit) -> Tensor {
    let mut residual = model.embed(ids, &positions(ids, tree));
    for layer in 0..model.spec().layers {
        residual = block(model, layer, &residual, tree, edit).output;
    }
    residual
}

/// Positions of `ids` `[B,T]`, `[1,T]`, which branch as `tree` says.
pub(crate) fn positions(ids: &Tensor, tree: Option<&Tree>) -> Tensor {
    match tree {
        Some(tree) => tree.depth.shallow_clone(),
        None => Tensor::arange(ids.size()[1], (Kind::Int64, ids.device())).unsqueeze(0),
    }
}

/// Logits `[V]` at the last of `ids` `[T]` with `edit` written into the weights and taken back:
/// the way the paper describes an edit, and the slowest. Columns that act at the end only are written
/// before the last token is run, after the others.
pub fn logits_with_weights_edited(model: &dyn CausalLm, ids: &Tensor, edit: &Edit) -> Tensor {
    let (all, end) = edit.by_reach();
    let _all = Applied::new(model, &all);
    if end.columns.is_empty() || ids.numel() == 1 {
        let _end = Applied::new(model, &end);
        let residual = residual(model, &ids.unsqueeze(0), None, &Edit::none());
        return model.head(&model.final_norm(&residual.select(1, -1))).squeeze_dim(0);
    }
    let ids = Vec::<i64>::try_from(ids).expect("ids are integers");
    let ids: Vec<u32> = ids.into_iter().map(|id| id as u32).collect();
    let (last, before) = ids.split_last().expect("more than one token");
    let mut decoder = Decoder::new(model, before, Edit::none(), 1);
    let _end = Applied::new(model, &end);
    decoder.push(*last);
    decoder.logits().shallow_clone()
}

/// Index of the largest of each row of `logits` `[n,V]`, the first of equals: `[n]`.
pub(crate) fn argmax(logits: &Tensor) -> Tensor {
    let best = logits.max_dim(-1, true).0;
    logits.eq_tensor(&best).to_kind(Kind::Int8).argmax(-1, false)
}
