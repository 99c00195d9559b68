//! The network that a [`super::blueprint::Blueprint`] describes.

use super::attention::SelfAttention;
use super::layers::{Activation, Exit, Linear, Norm};
use super::{CausalLm, Spec, StoredInput, StoredMatrix};
use tch::Tensor;

/// Input of the FFN of a block.
#[derive(Debug)]
pub(super) enum FfnInput {
    /// The residual stream after the attention, normed or itself.
    After(Option<Norm>),
    /// The residual stream that enters the block, by a norm of its own.
    Beside(Norm),
    /// Input of the attention.
    Same,
}

/// An FFN up to what it adds to the residual stream.
#[derive(Debug)]
pub(super) struct FeedForward {
    /// Gate over up projection, `[2F,D]`, or the only projection, `[F,D]`.
    pub(super) input: Linear,
    /// The matrices that it is made of, in the checkpoint.
    pub(super) input_stored: Vec<StoredInput>,
    pub(super) gated: bool,
    pub(super) activation: Activation,
    /// `[D,F]`.
    pub(super) output: Linear,
    /// Its name in the checkpoint.
    pub(super) output_name: String,
    /// True if the checkpoint holds it as `[F,D]`.
    pub(super) output_transposed: bool,
    pub(super) exit: Exit,
}

impl FeedForward {
    /// `[..,D]` to the input of the output matrix, `[..,F]`.
    fn post_activation(&self, x: &Tensor) -> Tensor {
        self.activate(self.input.forward_any_layout(x))
    }

    /// Post-activations `[..,n]` from projections, `[..,2n]` or `[..,n]`.
    fn activate(&self, projections: Tensor) -> Tensor {
        if !self.gated {
            return self.activation.apply(projections);
        }
        let width = projections.size()[projections.dim() - 1] / 2;
        let (gate, up) = (projections.narrow(-1, 0, width), projections.narrow(-1, width, width));
        self.activation.apply(gate) * up
    }
}

/// A block.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) attention_norm: Option<Norm>,
    pub(super) attention: SelfAttention,
    pub(super) ffn_input: FfnInput,
    pub(super) ffn: FeedForward,
}

/// The output head; its matrix may be the embedding's.
#[derive(Debug)]
pub(super) struct Head(pub(super) Linear);

/// A decoder.
#[derive(Debug)]
pub(super) struct Decoder {
    pub(super) spec: Spec,
    /// `[V,D]`.
    pub(super) embedding: Tensor,
    /// Factor on the rows of the embedding.
    pub(super) scale: f64,
    /// Vectors of the positions, and the row of the first one.
    pub(super) positions: Option<(Tensor, i64)>,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: Norm,
    pub(super) head: Head,
}

impl CausalLm for Decoder {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn token_embedding(&self, ids: &Tensor) -> Tensor {
        let rows = Tensor::embedding(&self.embedding, ids, -1, false, false);
        if self.scale == 1.0 { rows } else { rows * self.scale }
    }

    fn embed(&self, ids: &Tensor, position: &Tensor) -> Tensor {
        let tokens = self.token_embedding(ids);
        match &self.positions {
            None => tokens,
            Some((table, first)) => {
                tokens + Tensor::embedding(table, &(position + *first), -1, false, false)
            }
        }
    }

    fn attention(&self, layer: usize) -> &SelfAttention {
        &self.layers[layer].attention
    }

    fn attention_input(&self, layer: usize, residual: &Tensor) -> Tensor {
        let norm = self.layers[layer].attention_norm.as_ref();
        norm.map_or_else(|| residual.shallow_clone(), |norm| norm.forward(residual))
    }

    fn ffn_input(
        &self,
        layer: usize,
        residual: &Tensor,
        attention_input: &Tensor,
        attention: &Tensor,
    ) -> Tensor {
        match &self.layers[layer].ffn_input {
            FfnInput::After(Some(norm)) => norm.forward(&(residual + attention)),
            FfnInput::After(None) => residual + attention,
            FfnInput::Beside(norm) => norm.forward(residual),
            FfnInput::Same => attention_input.shallow_clone(),
        }
    }

    fn post_activation(&self, layer: usize, ffn_input: &Tensor) -> Tensor {
        self.layers[layer].ffn.post_activation(ffn_input)
    }

    fn activate(&self, layer: usize, projections: Tensor) -> Tensor {
        self.layers[layer].ffn.activate(projections)
    }

    fn ffn_input_matrix(&self, layer: usize) -> (&Tensor, Option<&Tensor>) {
        let input = &self.layers[layer].ffn.input;
        (&input.weight, input.bias.as_ref())
    }

    fn ffn_input_stored(&self, layer: usize) -> &[StoredInput] {
        &self.layers[layer].ffn.input_stored
    }

    fn ffn_output(&self, layer: usize, post_activation: &Tensor) -> Tensor {
        self.layers[layer].ffn.output.forward_any_layout(post_activation)
    }

    fn ffn_exit(&self, layer: usize) -> &Exit {
        &self.layers[layer].ffn.exit
    }

    fn ffn_output_matrix(&self, layer: usize) -> &Tensor {
        &self.layers[layer].ffn.output.weight
    }

    fn ffn_output_stored(&self, layer: usize) -> StoredMatrix<'_> {
        let ffn = &self.layers[layer].ffn;
        StoredMatrix { name: &ffn.output_name, transposed: ffn.output_transposed }
    }

    fn final_norm(&self, residual: &Tensor) -> Tensor {
        self.norm.forward(residual)
    }

    fn final_norm_affine(&self) -> (&Tensor, Option<&Tensor>) {
        self.norm.affine()
    }

    fn head(&self, normed: &Tensor) -> Tensor {
        self.head.0.forward(normed)
    }

    fn head_matrix(&self) -> &Tensor {
        &self.head.0.weight
    }

    fn head_bias(&self) -> Option<&Tensor> {
        self.head.0.bias.as_ref()
    }
}
