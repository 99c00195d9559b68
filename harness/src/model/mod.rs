//! Decoder language models, opened at the places neuron-level methods need.
//!
//! All architectures share one residual stream: a block adds what comes of the attention output and of the FFN
//! output to it, and the FFN output is a matrix product of the *post-activations*. So one trait serves
//! every way of running a model that [`crate::engine`] has. An architecture is a file of
//! `architectures/`, which reads a `config.json` into a `Blueprint`; the network follows from it.

mod architectures;
mod attention;
mod blueprint;
pub mod chat;
mod decoder;
mod hub;
mod layers;
mod past;
mod pickle;
mod positions;
mod room;
mod rope;
mod settings;
mod tensors;
pub mod tokenizer;
mod weights;

pub use self::attention::{KeysValues, SelfAttention};
pub use self::hub::{Headers, Loaded, Options, check, load, load_weights};
pub(crate) use self::hub::{checksums, load_again};
pub use self::layers::Exit;
pub(crate) use self::layers::{LayerNorm, Linear};
pub use self::past::Past;
pub(crate) use self::pickle::Checksums;
pub use self::positions::{Positions, Sequences, Tail, Tree};
pub(crate) use self::tensors::Tensors;
pub(crate) use self::weights::{Checkpoint, Stored, weight_files};

use tch::{Device, Kind, Tensor};

/// Sizes of a model, and where it lives.
#[derive(Clone, Debug)]
pub struct Spec {
    /// `model_type` of `config.json`.
    pub family: &'static str,
    /// Number of blocks, L.
    pub layers: usize,
    /// Width of the residual stream, D.
    pub d_model: usize,
    /// Neurons of one FFN hidden layer, F.
    pub d_ff: usize,
    /// Entries of the matrices of one block: what a token is multiplied with.
    pub block_parameters: usize,
    /// Rows of the embedding and of the output head, V.
    pub vocabulary: usize,
    /// Longest sequence in tokens.
    pub context: usize,
    /// Device of the weights.
    pub device: Device,
    /// The dtype of weights and activations.
    pub kind: Kind,
}

/// A matrix as a checkpoint holds it.
#[derive(Clone, Copy, Debug)]
pub struct StoredMatrix<'n> {
    /// Name of the tensor.
    pub name: &'n str,
    /// True if its rows are columns of the model's matrix.
    pub transposed: bool,
}

/// A part of the rows of an FFN input matrix as a checkpoint holds it.
#[derive(Clone, Debug)]
pub struct StoredInput {
    /// Name of the tensor.
    pub name: String,
    /// Name of the tensor of its bias.
    pub bias: Option<String>,
    /// True if it is held as `[D,rows]`.
    pub transposed: bool,
    /// Number of its rows.
    pub rows: usize,
}

/// A causal language model. `B` is the batch, `T` the tokens; the other letters are [`Spec`]'s.
pub trait CausalLm {
    /// Sizes and placement.
    fn spec(&self) -> &Spec;
    /// Contribution of tokens to the residual stream entering layer 0, wherever they stand: ids `[..]` to `[..,D]`.
    fn token_embedding(&self, ids: &Tensor) -> Tensor;
    /// The residual stream `[B,T,D]` entering layer 0, of ids `[B,T]` at the positions `[1,T]` or `[B,T]`.
    fn embed(&self, ids: &Tensor, position: &Tensor) -> Tensor;
    /// The attention of `layer`.
    fn attention(&self, layer: usize) -> &SelfAttention;
    /// Input of the attention of `layer`, from the `residual` `[..,D]` entering it.
    fn attention_input(&self, layer: usize, residual: &Tensor) -> Tensor;
    /// Input of the FFN, `[..,D]`. From the residual entering the layer, what its attention read and what its attention
    /// adds, each `[..,D]`.
    fn ffn_input(
        &self,
        layer: usize,
        residual: &Tensor,
        attention_input: &Tensor,
        attention: &Tensor,
    ) -> Tensor;
    /// Input of the FFN output matrix, `[..,F]`: one activation a neuron. From the FFN input `[..,D]`.
    fn post_activation(&self, layer: usize, ffn_input: &Tensor) -> Tensor;
    /// Post-activations `[..,n]` of n neurons from their projections `[..,P·n]`: where there is a gate (P = 2), its
    /// projections stand before the others.
    fn activate(&self, layer: usize, projections: Tensor) -> Tensor;
    /// The FFN input matrix `[P·F,D]`, rows of the gate before those of the up projection, and its bias `[P·F]`. Neuron j has
    /// row j, and F + j.
    fn ffn_input_matrix(&self, layer: usize) -> (&Tensor, Option<&Tensor>);
    /// Places of those matrices in the checkpoint, in the order of the rows.
    fn ffn_input_stored(&self, layer: usize) -> &[StoredInput];
    /// FFN output `[..,D]` from the post-activations `[..,F]`: their product with the FFN output matrix, and
    /// the bias.
    fn ffn_output(&self, layer: usize, post_activation: &Tensor) -> Tensor;
    /// Step from the FFN output to what is added to the residual stream.
    fn ffn_exit(&self, layer: usize) -> &Exit;
    /// The FFN output matrix `[D,F]`; column j holds the parameters of neuron j.
    fn ffn_output_matrix(&self, layer: usize) -> &Tensor;
    /// That matrix in the checkpoint.
    fn ffn_output_stored(&self, layer: usize) -> StoredMatrix<'_>;
    /// Norm before the output head, `[..,D]` to `[..,D]`.
    fn final_norm(&self, residual: &Tensor) -> Tensor;
    /// Elementwise weight and bias of the final norm, each `[D]`.
    fn final_norm_affine(&self) -> (&Tensor, Option<&Tensor>);
    /// Logits `[..,V]` from normed states `[..,D]`.
    fn head(&self, normed: &Tensor) -> Tensor;
    /// The output head's matrix `[V,D]`.
    fn head_matrix(&self) -> &Tensor;
    /// The output head's bias `[V]`, where the architecture has one.
    fn head_bias(&self) -> Option<&Tensor>;
}
