//! An edit written into the weights, and taken back.

use super::{Edit, Neuron};
use crate::model::CausalLm;
use tch::Tensor;

/// An edit written into the weights; dropping it restores the saved weights bit for bit, also
/// when the scope is left by an error or a panic.
pub struct Applied<'m> {
    model: &'m dyn CausalLm,
    saved: Vec<(Place, Tensor)>,
}

/// Weights that an edit changes.
#[derive(Clone, Copy)]
enum Place {
    Column(Neuron),
    Matrix(usize),
    /// A row of the FFN input matrix of a layer.
    InputRow(usize, usize),
    /// An entry of its bias.
    InputBias(usize, usize),
}

impl<'m> Applied<'m> {
    /// Adds every change of `edit` to the weights of `model`.
    ///
    /// # Panics
    /// If it has a hint, which is no change of the weights.
    pub fn new(model: &'m dyn CausalLm, edit: &Edit) -> Self {
        assert!(edit.hint.is_none(), "a text before the prompts is no change of the weights");
        let mut applied = Self { model, saved: Vec::with_capacity(edit.columns.len()) };
        for column in &edit.columns {
            applied.add(Place::Column(column.neuron), &column.delta);
        }
        for input in &edit.inputs {
            let Neuron { layer, index } = input.neuron;
            for projection in 0..input.rows.size()[0] {
                let row = projection as usize * model.spec().d_ff + index;
                applied.add(Place::InputRow(layer, row), &input.rows.get(projection));
                if let Some(bias) = &input.bias {
                    applied.add(Place::InputBias(layer, row), &bias.narrow(0, projection, 1));
                }
            }
        }
        for update in &edit.updates {
            applied.add(Place::Matrix(update.layer), &update.change.matrix());
        }
        applied
    }

    fn add(&mut self, place: Place, change: &Tensor) {
        let mut weight = self.weight(place);
        self.saved.push((place, weight.copy()));
        let _ = weight.g_add_(change);
    }

    /// A view that autograd does not watch: graphs made before keep their gradients, as the
    /// weights are restored bit for bit before the gradients are used.
    fn weight(&self, place: Place) -> Tensor {
        match place {
            Place::Column(Neuron { layer, index }) => {
                self.model.ffn_output_matrix(layer).data().select(1, index as i64)
            }
            Place::Matrix(layer) => self.model.ffn_output_matrix(layer).data(),
            Place::InputRow(layer, row) => {
                self.model.ffn_input_matrix(layer).0.data().select(0, row as i64)
            }
            Place::InputBias(layer, row) => {
                let bias = self.model.ffn_input_matrix(layer).1.expect("a bias that changes");
                bias.data().narrow(0, row as i64, 1)
            }
        }
    }
}

impl Drop for Applied<'_> {
    fn drop(&mut self) {
        // Backwards, so that weights edited twice end at their first saved copy.
        for (place, saved) in self.saved.iter().rev() {
            self.weight(*place).copy_(saved);
        }
    }
}
