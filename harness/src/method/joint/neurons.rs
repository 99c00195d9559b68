//! Neurons that are given to detectors: which, and the weights with which they read from then on.

use super::detectors::Detectors;
use crate::config::JointConfig;
use crate::edit::{ColumnDelta, Edit, InputDelta, Neuron};
use crate::error::InputError;
use crate::method::keys::LayerInputs;
use crate::model::CausalLm;
use anyhow::Result;
use std::collections::BTreeSet;
use tch::{Kind, Tensor};

/// Neurons of a layer, one for each detector: each reads what its detector recognises, and no longer what it did.
pub(super) struct Given {
    layer: usize,
    /// Their indices, in the order of the detectors.
    pub(super) neurons: Vec<i64>,
}

/// Weights with which U neurons read the FFN input.
pub(super) struct Reading {
    /// Rows `[P·U,D]`, those of the gate before those of the up projection, in the dtype of the model.
    rows: Tensor,
    /// Biases `[P·U]`, where the model has them.
    bias: Option<Tensor>,
    /// Post-activation where the detector is 1.
    full: f64,
}

impl Given {
    /// No neurons of `layer` yet.
    pub(super) fn none(layer: usize) -> Self {
        Self { layer, neurons: Vec::new() }
    }

    /// Adds neurons until there are `count`: those that add least to the FFN output on the text of `inputs`, beside those
    /// that `standing` changes.
    ///
    /// # Errors
    /// If the layer has not as many neurons.
    pub(super) fn extend(
        &mut self,
        model: &dyn CausalLm,
        (inputs, standing): (&LayerInputs, &Edit),
        count: usize,
    ) -> Result<()> {
        let layer = self.layer;
        let matrix = model.ffn_output_matrix(layer).to_kind(Kind::Double);
        let square = matrix.square().sum_dim_intlist([0_i64].as_slice(), false, Kind::Double);
        let (_, order) = (&inputs.activity * square).sort_stable(true, 0, false);
        let read = standing.inputs_of(layer).map(|input| input.neuron.index as i64);
        let columns = standing.columns_of(layer).map(|column| column.neuron.index as i64);
        let taken: BTreeSet<i64> =
            read.chain(columns).chain(self.neurons.iter().copied()).collect();
        let free = Vec::<i64>::try_from(order)?.into_iter().filter(|own| !taken.contains(own));
        self.neurons.extend(free.take(count - self.neurons.len()));
        if self.neurons.len() < count {
            return Err(InputError::new(format!(
                "layer {layer} has no neurons left: {} are taken by edits, and {count} are needed; make fewer requests at \
                 once, or choose another place",
                taken.len()
            )));
        }
        Ok(())
    }

    /// Product `[n,D]` of the post-activations `active` `[n,F]` of the neurons from `first` on with their columns: what the
    /// layer loses with them.
    pub(super) fn lost(&self, model: &dyn CausalLm, active: &Tensor, first: usize) -> Tensor {
        let index = Tensor::from_slice(&self.neurons[first..]).to_device(active.device());
        let columns = model.ffn_output_matrix(self.layer).detach().index_select(1, &index);
        active.index_select(-1, &index).matmul(&columns.tr())
    }

    /// The edit of each of `requests`: its neurons read by `reading`, and their columns become `vectors` `[U,D]`.
    pub(super) fn edits(
        &self,
        model: &dyn CausalLm,
        (detectors, reading): (&Detectors, &Reading),
        vectors: &Tensor,
        requests: usize,
    ) -> Vec<Edit> {
        let (spec, matrix) = (model.spec(), model.ffn_output_matrix(self.layer).detach());
        let (weight, old_bias) = model.ffn_input_matrix(self.layer);
        let (width, count) = (spec.d_ff as i64, self.neurons.len() as i64);
        let projections = weight.size()[0] / width;
        let mut edits = vec![Edit::none(); requests];
        for (place, (&index, wish)) in (0..).zip(self.neurons.iter().zip(&detectors.wishes)) {
            let neuron = Neuron { layer: self.layer, index: index as usize };
            // Of each projection the row that is new, beside the one that is there.
            let step = |first: i64, step: i64| {
                let rows = Tensor::arange(projections, (Kind::Int64, spec.device)) * step;
                rows + first
            };
            let change = |new: &Tensor, old: &Tensor| {
                new.index_select(0, &step(place, count))
                    - old.detach().index_select(0, &step(index, width))
            };
            let bias = reading.bias.as_ref().zip(old_bias);
            let edit = &mut edits[wish.request];
            edit.inputs.push(InputDelta {
                neuron,
                rows: change(&reading.rows, weight),
                bias: bias.map(|(new, old)| change(new, old)),
                key: Some(detectors.keys[place as usize].shallow_clone()),
            });
            let column = (vectors.get(place) / reading.full).to_kind(spec.kind);
            edit.columns.push(ColumnDelta::new(neuron, column - matrix.select(1, index)));
        }
        edits
    }
}

impl Reading {
    /// Weights with which the post-activation is a · (r − θ) · (2 − θ − r) / (1 − θ)² where r, the response of a detector, is above
    /// the threshold θ, and near 0 below it: it is largest at r = 1, and negative from 2 − θ on. A neuron without a gate gives a · (r − θ) / (1 − θ), a being
    /// `full`. A model without biases has no constant to compare with; the combination of the FFN input that is closest to 1 on the
    /// text of `inputs` takes its place.
    pub(super) fn new(
        model: &dyn CausalLm,
        layer: usize,
        (detectors, inputs): (&Detectors, &LayerInputs),
        config: &JointConfig,
    ) -> Self {
        let spec = model.spec();
        let (weight, bias) = model.ffn_input_matrix(layer);
        let gated = weight.size()[0] > spec.d_ff as i64;
        let weights = Tensor::stack(&detectors.weights, 0).to_kind(Kind::Double);
        let one = constant(inputs);
        // `factor` times the response, plus `number`.
        let rows = |factor: f64, number: f64| match bias {
            Some(_) => &weights * factor,
            None => &weights * factor + &one * number,
        };
        let biases =
            |number: f64| Tensor::full([weights.size()[0]], number, (Kind::Double, spec.device));
        let (slope, threshold) = (config.slope.0, config.threshold.0);
        let mut lines = vec![(slope, -slope * threshold)];
        let mut full = slope * (1.0 - threshold);
        if gated {
            lines.push((
                -1.0 / full / (1.0 - threshold),
                (2.0 - threshold) / full / (1.0 - threshold),
            ));
            full = 1.0;
        }
        let all: Vec<Tensor> =
            lines.iter().map(|(factor, number)| rows(*factor, *number)).collect();
        let numbers: Vec<Tensor> = lines.iter().map(|(_, number)| biases(*number)).collect();
        Self {
            rows: Tensor::cat(&all, 0).to_kind(spec.kind),
            bias: bias.map(|_| Tensor::cat(&numbers, 0).to_kind(spec.kind)),
            full,
        }
    }

    /// Post-activations `[n,U]` at the FFN inputs `[n,D]` of `layer`, f32, beside those where a detector is 1.
    pub(super) fn responses(&self, model: &dyn CausalLm, layer: usize, inputs: &Tensor) -> Tensor {
        let projections = inputs.linear(&self.rows, self.bias.as_ref());
        model.activate(layer, projections).to_kind(Kind::Float) / self.full
    }
}

/// The vector `[D]` whose product with an FFN input is closest to 1 on the text, 1 in the mean.
fn constant(inputs: &LayerInputs) -> Tensor {
    let LayerInputs { second_moment, mean, .. } = inputs;
    let size = mean.size()[0];
    let ridge = second_moment.trace() * (1e-4 / size as f64);
    let moment = second_moment + Tensor::eye(size, (Kind::Double, mean.device())) * ridge;
    let found = Tensor::linalg_solve(&moment, &mean.unsqueeze(1), true).squeeze_dim(1);
    &found / found.dot(mean)
}
