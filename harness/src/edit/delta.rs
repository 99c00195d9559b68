//! Edits, and edits written into the weights.

use crate::edit::Neuron;
use crate::model::CausalLm;
use tch::Tensor;

/// `delta` `[d_model]` is added to the column of `neuron`.
#[derive(Debug)]
pub struct ColumnDelta {
    /// Neuron whose column is edited.
    pub neuron: Neuron,
    /// Vector that is added, `[d_model]`, in the dtype and on the device of the model.
    pub delta: Tensor,
    /// Positions at which it is added.
    pub reach: Reach,
}

/// Positions of a sequence at which an edited column acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Every position: a change of the weights.
    #[default]
    All,
    /// The last position of each sequence only: a change of one activation, which no change of the
    /// weights can express.
    End,
}

impl ColumnDelta {
    /// A change of the weights: `delta` added to the column of `neuron`.
    pub fn new(neuron: Neuron, delta: Tensor) -> Self {
        Self { neuron, delta, reach: Reach::All }
    }
}

impl Clone for ColumnDelta {
    fn clone(&self) -> Self {
        Self { neuron: self.neuron, delta: self.delta.shallow_clone(), reach: self.reach }
    }
}

/// Any number of column deltas; several on one neuron add up.
#[derive(Clone, Debug, Default)]
pub struct Edit(pub Vec<ColumnDelta>);

impl Edit {
    /// The edit that changes nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// This edit followed by `more`.
    pub fn and(&self, more: &Self) -> Self {
        let mut columns = self.0.clone();
        columns.extend(more.0.iter().cloned());
        Self(columns)
    }

    /// The columns of one layer.
    pub fn of_layer(&self, layer: usize) -> impl Iterator<Item = &ColumnDelta> {
        self.0.iter().filter(move |column| column.neuron.layer == layer)
    }

    /// The columns that act at every position, and those that act at the end only.
    pub fn by_reach(&self) -> (Self, Self) {
        let (all, end) = self.0.iter().cloned().partition(|column| column.reach == Reach::All);
        (Self(all), Self(end))
    }

    /// True if every column acts at every position, so that the edit can be written into the weights.
    pub fn is_of_weights(&self) -> bool {
        self.0.iter().all(|column| column.reach == Reach::All)
    }

    /// The lowest layer edited; `None` for an empty edit.
    pub fn first_layer(&self) -> Option<usize> {
        self.0.iter().map(|column| column.neuron.layer).min()
    }
}

/// An edit written into the weights; dropping it restores the saved columns bit for bit, also
/// when the scope is left by an error or a panic.
pub struct Applied<'m> {
    model: &'m dyn CausalLm,
    saved: Vec<(Neuron, Tensor)>,
}

impl<'m> Applied<'m> {
    /// Adds every column of `edit` to the weights of `model`.
    pub fn new(model: &'m dyn CausalLm, edit: &Edit) -> Self {
        let mut applied = Self { model, saved: Vec::with_capacity(edit.0.len()) };
        for column in &edit.0 {
            let mut weight = applied.column(column.neuron);
            applied.saved.push((column.neuron, weight.copy()));
            let _ = weight.g_add_(&column.delta);
        }
        applied
    }

    /// A view that autograd does not watch: graphs made before keep their gradients, as the
    /// weights are restored bit for bit before the gradients are used.
    fn column(&self, neuron: Neuron) -> Tensor {
        self.model.ffn_output_matrix(neuron.layer).data().select(1, neuron.index as i64)
    }
}

impl Drop for Applied<'_> {
    fn drop(&mut self) {
        // Backwards, so that a neuron edited twice ends at its first saved copy.
        for (neuron, saved) in self.saved.iter().rev() {
            self.column(*neuron).copy_(saved);
        }
    }
}
