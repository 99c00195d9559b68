//! Step 2: oracle parameters (II-B). Every layer has one vector, on the line between the input
//! side and the output side; a neuron's new column is its old one plus its layer's vector.

use super::super::preserved::beside;
use super::super::{LlmError, Oracle, RepairContext, softmax};
use super::pathways::Pathways;
use super::virtual_distribution::{raise_to_top, switch};
use crate::config::{
    Combine, Depth, Distribution, Estimate, FinalNorm, HeadBias, MentConfig, Normalize, Virtual,
};
use crate::edit::{ColumnDelta, Edit, Neuron};
use anyhow::Result;
use tch::{Kind, Tensor};

/// Change of the column of each of `neurons`, in their order. `logits` `[V]` are those at the error.
pub(super) fn columns(
    context: &RepairContext<'_>,
    error: &LlmError,
    logits: &Tensor,
    neurons: &[Neuron],
    settings: &MentConfig,
    oracle: &Oracle,
) -> Result<Vec<ColumnDelta>> {
    let config = &settings.estimate;
    let output = normalize(&output_side(context, error, logits, config, oracle)?, config.normalize);
    let input =
        config.input_side.then(|| normalize(&input_side(context, error.at), config.normalize));
    let spec = context.model.spec();
    let pathways = Pathways::new(context, error, neurons, settings);
    Ok(neurons
        .iter()
        .map(|&neuron| {
            let depth = depth(neuron.layer, spec.layers, config.depth);
            let mut vector = &output * depth;
            if let Some(input) = &input {
                vector += input * (1.0 - depth);
            }
            let change = match config.combine {
                Combine::Add => &vector * config.coefficient.0,
                Combine::Average => {
                    (&vector - column(context, neuron)) * share(config.coefficient.0)
                }
            };
            let mut delta = pathways.only(&change, &vector, neuron.layer);
            if config.orthogonal {
                delta = beside_earlier(&context.trace.edit, neuron.layer, delta);
            }
            ColumnDelta::new(neuron, delta.to_kind(spec.kind))
        })
        .collect())
}

/// `delta` `[D]`, f32, without the part that lies in the span of the vectors of `earlier` edits of `layer`. Where they
/// span everything there is nothing beside them, and it stays as it is.
fn beside_earlier(earlier: &Edit, layer: usize, delta: Tensor) -> Tensor {
    let columns = earlier.columns_of(layer).map(|column| column.delta.unsqueeze(1));
    let vectors: Vec<Tensor> = columns.collect();
    if vectors.is_empty() || vectors.len() as i64 >= delta.size()[0] {
        return delta;
    }
    let (span, _) = Tensor::linalg_qr(&Tensor::cat(&vectors, 1).to_kind(Kind::Float), "reduced");
    beside(&delta.unsqueeze(1), &span).squeeze_dim(1)
}

/// Weight of the vector in a weighted mean with the column, c / (1 + c).
fn share(coefficient: f64) -> f64 {
    coefficient / (1.0 + coefficient)
}

/// The factor on a delta for each time that its neuron has been patched before, for one error. A sum
/// takes the same delta again. A mean takes one from the column as it then is, so that the distance to
/// the vector, and with it the delta, has shrunk to 1 - c/(1 + c).
pub(super) fn again(config: &Estimate) -> f64 {
    match config.combine {
        Combine::Add => 1.0,
        Combine::Average => 1.0 - share(config.coefficient.0),
    }
}

/// The column of `neuron` under the edits that stand, `[D]`, f32.
fn column(context: &RepairContext<'_>, neuron: Neuron) -> Tensor {
    let matrix = context.model.ffn_output_matrix(neuron.layer);
    let column = matrix.select(1, neuron.index as i64).to_kind(Kind::Float);
    // Not in place: the column may share its memory with the weights.
    context.trace.edit.column(neuron).map_or(column.shallow_clone(), |standing| column + standing)
}

/// r_o of Equation 2, `[D]`: the state before the head that would give the virtual distribution.
fn output_side(
    context: &RepairContext<'_>,
    error: &LlmError,
    logits: &Tensor,
    config: &Estimate,
    oracle: &Oracle,
) -> Result<Tensor> {
    let wanted = over_vocabulary(context, error, logits, config, oracle.rows())?;
    let mut representation = oracle.representation(&wanted);
    if config.final_norm == FinalNorm::Invert {
        let (weight, bias) = context.model.final_norm_affine();
        if let Some(bias) = bias.filter(|_| is_whole(config.distribution)) {
            representation -= bias;
        }
        representation /= weight;
    }
    Ok(representation)
}

/// The vector over the vocabulary that the head's pseudoinverse is applied to, `[rows]`, f32.
fn over_vocabulary(
    context: &RepairContext<'_>,
    error: &LlmError,
    logits: &Tensor,
    config: &Estimate,
    rows: usize,
) -> Result<Tensor> {
    let device = context.model.spec().device;
    if config.distribution == Distribution::OneHotDifference {
        return Ok(one_hot_difference(error, rows).to_device(device));
    }
    let actual = if config.distribution == Distribution::Logits {
        match context.model.head_bias().filter(|_| config.head_bias == HeadBias::Subtract) {
            Some(bias) => (logits - bias).to_kind(Kind::Float),
            None => logits.to_kind(Kind::Float),
        }
    } else {
        softmax(logits)
    };
    let actual = actual.narrow(0, 0, rows as i64);
    let mut wanted = match config.virtual_distribution {
        Virtual::Raised => raise_to_top(&actual, error.target),
        Virtual::Switched => switch(&actual, error.target, error.argmax),
        Virtual::OneHot => {
            one_hot(rows, &[(error.target, 1.0)]).to_device(device).to_kind(actual.kind())
        }
    };
    if config.distribution == Distribution::Difference {
        wanted -= actual;
        if i64::try_from(wanted.count_nonzero(None))? == 0 {
            // The target ties with the argmax, or that is no row: there is nothing to swap.
            wanted = one_hot_difference(error, rows).to_device(device);
        }
    }
    Ok(wanted)
}

/// One at the target, minus one at the argmax.
fn one_hot_difference(error: &LlmError, rows: usize) -> Tensor {
    one_hot(rows, &[(error.target, 1.0), (error.argmax, -1.0)])
}

/// Zero but at some tokens (which may be rows that take no part), `[rows]`.
fn one_hot(rows: usize, tokens: &[(u32, f32)]) -> Tensor {
    let mut wanted = vec![0_f32; rows];
    for &(token, value) in tokens {
        if let Some(entry) = wanted.get_mut(token as usize) {
            *entry = value;
        }
    }
    Tensor::from_slice(&wanted)
}

/// True if the distribution stands for a state, rather than for a change of it.
fn is_whole(distribution: Distribution) -> bool {
    matches!(distribution, Distribution::Probabilities | Distribution::Logits)
}

/// r_i of Equation 2, `[D]`: the embedding of the last token before the error, without its position.
fn input_side(context: &RepairContext<'_>, at: usize) -> Tensor {
    let id = context.ids.get(at as i64);
    context.model.token_embedding(&id).to_kind(Kind::Float)
}

fn normalize(vector: &Tensor, how: Normalize) -> Tensor {
    match how {
        Normalize::None => vector.shallow_clone(),
        Normalize::Range => vector / (vector.max() - vector.min()),
        Normalize::Unit => vector / vector.norm(),
    }
}

fn depth(layer: usize, layers: usize, how: Depth) -> f64 {
    match how {
        Depth::Entering => layer as f64 / layers as f64,
        Depth::Leaving => (layer + 1) as f64 / layers as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::{again, share};
    use crate::config::{Coefficient, Combine, Estimate};

    /// A column of one entry, averaged again and again with a vector, one patch after the other.
    #[test]
    fn repeated_patches_average_from_the_column_as_it_then_is() {
        let (coefficient, vector, start) = (0.25, 3.0, -1.0);
        let config = Estimate {
            combine: Combine::Average,
            coefficient: Coefficient(coefficient),
            ..Estimate::default()
        };
        let (mut column, mut patched) = (start, start);
        let mut delta = (vector - start) * share(coefficient);
        for _ in 0..6 {
            column = (column + coefficient * vector) / (1.0 + coefficient);
            patched += delta;
            delta *= again(&config);
            assert!((column - patched).abs() < 1e-12, "{column} is not {patched}");
        }
        assert_eq!(again(&Estimate::default()), 1.0);
    }
}
