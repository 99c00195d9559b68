//! An edit: everything that one repair changes.

use super::{ColumnDelta, InputDelta, Neuron, Reach, Update};
use std::rc::Rc;
use tch::Tensor;

/// Changes of a model that act together. Those of one matrix add up.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    /// Vectors added to columns; the most common kind, and the cheapest.
    pub columns: Vec<ColumnDelta>,
    /// Matrices added to FFN output matrices.
    pub updates: Vec<Update>,
    /// Rows added to the input weights of neurons: with them the post-activations change.
    pub inputs: Vec<InputDelta>,
    /// Text before every prompt, which changes no weight.
    pub hint: Option<Hint>,
}

/// Ids that stand before every prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The ids.
    pub ids: Rc<[u32]>,
    /// Ids at the beginning of a prompt that stay before them: the begin-of-sequence token.
    pub after: usize,
}

impl Hint {
    /// `prompt` with the hint in it.
    pub fn before(&self, prompt: &[u32]) -> Vec<u32> {
        let (start, rest) = prompt.split_at(self.after.min(prompt.len()));
        [start, &self.ids, rest].concat()
    }
}

impl Edit {
    /// The edit that changes nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// The edit of these columns.
    pub fn of(columns: Vec<ColumnDelta>) -> Self {
        Self { columns, ..Self::default() }
    }

    /// The edit of these matrices.
    pub fn by(updates: Vec<Update>) -> Self {
        Self { updates, ..Self::default() }
    }

    /// This edit followed by `more`. Of two hints, the later one stands alone.
    pub fn and(&self, more: &Self) -> Self {
        Self {
            columns: [&self.columns[..], &more.columns].concat(),
            updates: [&self.updates[..], &more.updates].concat(),
            inputs: [&self.inputs[..], &more.inputs].concat(),
            hint: more.hint.as_ref().or(self.hint.as_ref()).cloned(),
        }
    }

    /// True if it changes nothing.
    pub fn is_none(&self) -> bool {
        self.first_layer().is_none() && self.hint.is_none()
    }

    /// The columns of one layer.
    pub fn columns_of(&self, layer: usize) -> impl Iterator<Item = &ColumnDelta> {
        self.columns.iter().filter(move |column| column.neuron.layer == layer)
    }

    /// The updates of one layer.
    pub fn updates_of(&self, layer: usize) -> impl Iterator<Item = &Update> {
        self.updates.iter().filter(move |update| update.layer == layer)
    }

    /// Changes of input weights in one layer.
    pub fn inputs_of(&self, layer: usize) -> impl Iterator<Item = &InputDelta> {
        self.inputs.iter().filter(move |input| input.neuron.layer == layer)
    }

    /// True if the post-activations of `layer` are others under it, whatever enters the layer.
    pub fn changes_inputs(&self, layer: usize) -> bool {
        self.inputs_of(layer).next().is_some()
    }

    /// Contribution `[..,D]` to the FFN output of `layer` where the post-activations, under it, are `active` `[..,F]`;
    /// `None` if it changes nothing there.
    ///
    /// # Panics
    /// If a column of it acts at the end only.
    pub fn contribution(&self, layer: usize, active: &Tensor) -> Option<Tensor> {
        let columns = self.columns_of(layer).map(|column| {
            assert!(column.reach == Reach::All, "an edit that stands acts at every position");
            column.contribution(active)
        });
        let updates = self.updates_of(layer).map(|update| update.change.contribution(active));
        columns.chain(updates).reduce(|sum, own| sum + own)
    }

    /// Change of the column of `neuron`, `[D]`; `None` if there is none.
    pub fn column(&self, neuron: Neuron) -> Option<Tensor> {
        let columns = self.columns.iter().filter(|column| column.neuron == neuron);
        let columns = columns.map(|column| column.delta.shallow_clone());
        let updates = self.updates.iter().filter_map(|update| update.column(neuron));
        columns.chain(updates).reduce(|sum, own| sum + own)
    }

    /// Two edits: of what acts at every position, and of what acts at the end only.
    pub fn by_reach(&self) -> (Self, Self) {
        let columns = self.columns.iter().cloned();
        let (all, end) = columns.partition(|column| column.reach == Reach::All);
        (Self { columns: all, ..self.clone() }, Self::of(end))
    }

    /// True if all of it can be written into the weights: no column acts at some positions only, and no text
    /// stands before the prompts.
    pub fn is_of_weights(&self) -> bool {
        self.hint.is_none() && self.columns.iter().all(|column| column.reach == Reach::All)
    }

    /// The lowest layer edited; `None` if no weight is.
    pub fn first_layer(&self) -> Option<usize> {
        let columns = self.columns.iter().map(|column| column.neuron.layer);
        let inputs = self.inputs.iter().map(|input| input.neuron.layer);
        columns.chain(inputs).chain(self.updates.iter().map(|update| update.layer)).min()
    }
}
