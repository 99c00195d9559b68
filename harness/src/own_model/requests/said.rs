//! Texts that a model says: many at once, under many edits.

use crate::edit::Edit;
use crate::engine::batches::batches;
use crate::engine::trace::Trace;
use crate::error::NonFinite;
use crate::model::{Loaded, Sequences};
use crate::own_model::patch::repair::argmaxes;
use crate::system::{progress, signal};
use anyhow::Result;
use tch::Tensor;

/// Tokens that are run at once.
const AT_ONCE: usize = 1024;

/// Finds out of each of `texts`, ids and the number of them that are a prompt, and under each of `edits`, whether the model
/// writes the rest greedily after the prompt: it does if each id is the most probable one after those before it. Each
/// text is run once, and the edits are replayed on it. A list for each edit.
///
/// # Errors
/// If libtorch fails, or the user stops.
pub(super) fn said(
    loaded: &Loaded,
    edits: &[&Edit],
    texts: &[(&[u32], usize)],
) -> Result<Vec<Vec<bool>>> {
    let model = loaded.model.as_ref();
    let device = model.spec().device;
    let lengths: Vec<usize> = texts.iter().map(|(ids, _)| ids.len()).collect();
    let mut found = vec![vec![true; texts.len()]; edits.len()];
    let bar = progress::bar("measured", texts.len());
    for batch in batches(&lengths, AT_ONCE) {
        let sequences = batch.iter().map(|&place| texts[place].0);
        let sequences = Sequences::several(sequences, device);
        let tokens = sequences.ids.size()[1] as usize;
        let (mut rows, mut wanted) = (Vec::new(), Vec::new());
        for (sequence, &place) in batch.iter().enumerate() {
            let (ids, from) = texts[place];
            rows.extend((from..ids.len()).map(|next| (sequence * tokens + next - 1) as i64));
            wanted.extend(ids[from..].iter().map(|&id| (place, id)));
        }
        let rows = Tensor::from_slice(&rows).to_device(device);
        let unedited = Trace::new(model, &sequences, Edit::none());
        for (edit, found) in edits.iter().zip(&mut found) {
            signal::check()?;
            let mut trace = unedited.shallow_clone();
            trace.commit(model, edit);
            match argmaxes(&trace.logits_of(model, &rows)) {
                Ok(argmaxes) => {
                    for (argmax, &(place, id)) in argmaxes.into_iter().zip(&wanted) {
                        found[place] &= argmax == id;
                    }
                }
                // A model that is broken says nothing.
                Err(error) if error.is::<NonFinite>() => {
                    batch.iter().for_each(|&place| found[place] = false);
                }
                Err(error) => return Err(error),
            }
        }
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    Ok(found)
}
