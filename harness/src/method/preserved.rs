//! Directions of keys that an edit should leave alone: those that a text uses, and the keys of earlier edits.

use super::keys::KeyStatistics;
use crate::edit::Edit;
use crate::error::InputError;
use crate::model::CausalLm;
use anyhow::Result;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use tch::{Kind, Tensor};

/// Directions that a text uses, by layer, each computed when it is first asked for.
pub(super) struct Preserved {
    /// Label of the method, for errors.
    label: String,
    threshold: f64,
    in_use: RefCell<BTreeMap<usize, Rc<Tensor>>>,
}

impl Preserved {
    /// Directions with a mean square of at least `threshold` are in use.
    pub(super) fn new(label: &str, threshold: f64) -> Self {
        Self { label: label.into(), threshold, in_use: RefCell::default() }
    }

    /// The directions of `layer` that the text of `statistics` uses, `[F,k]`, orthonormal, f64.
    ///
    /// # Errors
    /// If all of them are in use, or the user stops.
    pub(super) fn in_use(
        &self,
        statistics: &KeyStatistics,
        layer: usize,
        model: &dyn CausalLm,
    ) -> Result<Rc<Tensor>> {
        if let Some(found) = self.in_use.borrow().get(&layer) {
            return Ok(Rc::clone(found));
        }
        let found = statistics.of(layer, model)?.in_use(self.threshold);
        if found.size()[1] == model.spec().d_ff as i64 {
            return Err(InputError::new(format!(
                "`{}`: no direction of layer {layer} has a mean square below threshold = {}, so that no update is \
                 free; raise it",
                self.label, self.threshold
            )));
        }
        let found = Rc::new(found);
        self.in_use.borrow_mut().insert(layer, Rc::clone(&found));
        Ok(found)
    }
}

/// The keys that the updates of `edit` in `layer` were made for, `[F,m]`, f64.
pub(super) fn keys_of(edit: &Edit, layer: usize) -> Option<Tensor> {
    let keys: Vec<&Tensor> =
        edit.updates_of(layer).filter_map(|update| update.keys.as_ref()).collect();
    (!keys.is_empty()).then(|| Tensor::cat(&keys, 0).to_kind(Kind::Double).tr())
}

/// The part of the columns of `vectors` `[F,n]` beside the orthonormal columns of `span` `[F,k]`.
pub(super) fn beside(vectors: &Tensor, span: &Tensor) -> Tensor {
    vectors - span.matmul(&span.tr().matmul(vectors))
}
