//! Causal self-attention with rotary positions and grouped key/value heads, as both families
//! have it, in the shapes that the engine asks for: all positions of a sequence, some positions of
//! a sequence, and one token after a sequence whose keys and values are given.

use super::Linear;
use super::past::Past;
use super::positions::{Positions, Tree};
use std::rc::Rc;
use tch::{Device, Kind, Tensor};

/// cos and sin of every position, `[context, head_dim]`, for pairs (i, i + dim/2) of the first
/// `dim` entries of a head. The entries after them are not rotated: cos 1, sin 0.
#[derive(Debug)]
pub(crate) struct Rotary {
    cos: Tensor,
    /// With the sign of its term in the rotation: minus for the first of a pair.
    sin: Tensor,
    dim: i64,
}

impl Rotary {
    pub(crate) fn new(
        dim: usize,
        head_dim: usize,
        theta: f64,
        context: usize,
        (device, kind): (Device, Kind),
    ) -> Self {
        let pairs = Tensor::arange_start_step(0, dim as i64, 2, (Kind::Float, device));
        let frequency = (pairs * (-theta.ln() / dim as f64)).exp();
        let position = Tensor::arange(context as i64, (Kind::Float, device));
        let angle = position.outer(&frequency);
        let still = [context as i64, (head_dim - dim) as i64];
        let ones = Tensor::ones(still, (Kind::Float, device));
        let zeros = Tensor::zeros(still, (Kind::Float, device));
        let (cos, sin) = (angle.cos(), angle.sin());
        Self {
            cos: Tensor::cat(&[&cos, &cos, &ones], -1).to_kind(kind),
            sin: Tensor::cat(&[&-&sin, &sin, &zeros], -1).to_kind(kind),
            dim: dim as i64,
        }
    }

    /// Rotates `x` `[B,T,heads,head_dim]`, whose first token stands at position `start`.
    fn from(&self, start: usize, x: &Tensor) -> Tensor {
        let rows = |table: &Tensor| table.narrow(0, start as i64, x.size()[1]).unsqueeze(1);
        self.rotate(x, &rows(&self.cos), &rows(&self.sin))
    }

    /// Rotates `x` `[B,T,heads,head_dim]`, whose tokens stand at `depth` `[B,T]`, or `[1,T]`.
    fn at(&self, depth: &Tensor, x: &Tensor) -> Tensor {
        let rows = |table: &Tensor| {
            let rows = table.index_select(0, &depth.flatten(0, -1));
            rows.unflatten(0, depth.size().as_slice()).unsqueeze(2)
        };
        self.rotate(x, &rows(&self.cos), &rows(&self.sin))
    }

    /// Rotates `x` `[B,T,heads,head_dim]`: all tokens of sequences, which branch as `tree` says.
    fn all(&self, tree: Option<&Tree>, x: &Tensor) -> Tensor {
        match tree {
            Some(tree) => self.at(&tree.depth, x),
            None => self.from(0, x),
        }
    }

    fn rotate(&self, x: &Tensor, cos: &Tensor, sin: &Tensor) -> Tensor {
        let half = self.dim / 2;
        let still = x.size()[3] - self.dim;
        let partner = [(half, half), (0, half), (self.dim, still)]
            .map(|(start, length)| x.narrow(-1, start, length));
        x * cos + Tensor::cat(&partner, -1) * sin
    }
}

/// Keys and values of the tokens of sequences, each `[B, kv heads, T, head_dim]`; keys rotated.
#[derive(Debug)]
pub struct KeysValues {
    pub(super) key: Tensor,
    pub(super) value: Tensor,
}

impl KeysValues {
    /// Copy of the first `tokens`, which keeps nothing else alive.
    pub(crate) fn prefix(&self, tokens: usize) -> Self {
        let cut = |t: &Tensor| t.narrow(2, 0, tokens as i64).copy();
        Self { key: cut(&self.key), value: cut(&self.value) }
    }

    /// Both.
    pub(crate) fn tensors(&self) -> [&Tensor; 2] {
        [&self.key, &self.value]
    }
}

/// The attention of one layer. Its input is normed already; its output is what it adds to the
/// residual stream.
#[derive(Debug)]
pub struct SelfAttention {
    /// Query, key and value projections, one under the other: `[(H + 2·KV)·head_dim, D]`.
    qkv: Linear,
    output: Linear,
    heads: i64,
    kv_heads: i64,
    head_dim: i64,
    rotary: Rc<Rotary>,
}

/// Widths of an attention.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads {
    pub(crate) query: usize,
    pub(crate) key_value: usize,
    pub(crate) dim: usize,
}

impl SelfAttention {
    pub(crate) fn new(
        [query, key, value]: [Linear; 3],
        output: Linear,
        heads: Heads,
        rotary: &Rc<Rotary>,
    ) -> Self {
        Self {
            qkv: Linear::stack(&[query, key, value]),
            output,
            heads: heads.query as i64,
            kv_heads: heads.key_value as i64,
            head_dim: heads.dim as i64,
            rotary: Rc::clone(rotary),
        }
    }

    /// Query heads.
    pub fn heads(&self) -> usize {
        self.heads as usize
    }

    /// Entries of all query heads.
    pub fn width(&self) -> usize {
        (self.heads * self.head_dim) as usize
    }

    /// Every token over itself and those before it, in the `tree` if the sequences branch:
    /// `[B,T,D]` to `[B,T,D]`.
    pub fn causal(&self, input: &Tensor, tree: Option<&Tree>) -> Tensor {
        let (query, KeysValues { key, value }) = self.project(input, |x| self.rotary.all(tree, x));
        self.mix(&query, &key, &value, tree.map(|tree| &tree.sees), tree.is_none())
    }

    /// Does what [`SelfAttention::causal`] does for sequences that do not branch, and returns the keys and
    /// values too.
    pub fn causal_keeping(&self, input: &Tensor) -> (Tensor, KeysValues) {
        let (query, kept) = self.project(input, |x| self.rotary.from(0, x));
        (self.mix(&query, &kept.key, &kept.value, None, true), kept)
    }

    /// One more token of each sequence, `[B,1,D]` to `[B,1,D]`, over itself and the `past`, to which
    /// its key and value are added.
    pub fn next(&self, past: &mut Past, input: &Tensor) -> Tensor {
        let position = past.tokens();
        let (query, own) = self.project(input, |x| self.rotary.from(position, x));
        let KeysValues { key, value } = past.push(&own);
        self.mix(&query, &key, &value, None, false)
    }

    /// Queries `[B,H,T,head_dim]`, keys and values of `input` `[B,T,D]`; `rotate` knows where its
    /// tokens stand.
    fn project(
        &self,
        input: &Tensor,
        rotate: impl FnOnce(&Tensor) -> Tensor,
    ) -> (Tensor, KeysValues) {
        let projected = self.split(&self.qkv.forward(input));
        let turning = self.heads + self.kv_heads;
        let rotated = rotate(&projected.narrow(2, 0, turning));
        let query = rotated.narrow(2, 0, self.heads).transpose(1, 2);
        let key = rotated.narrow(2, self.heads, self.kv_heads).transpose(1, 2);
        let value = projected.narrow(2, turning, self.kv_heads).transpose(1, 2);
        (query, KeysValues { key, value })
    }

    /// The tokens at Q positions of each sequence over those that they see: `[B,T,D]` to `[B,Q,D]`.
    pub fn at(&self, positions: &Positions, input: &Tensor) -> Tensor {
        let (width, device) = (self.heads * self.head_dim, input.device());
        let query = self.split(&self.qkv.rows(0, width).forward(&positions.of(input)));
        let query = self.rotary.at(&positions.depth(device), &query).transpose(1, 2);
        let KeysValues { key, value } = self.keys_values(input, positions.tree());
        let mask = positions.mask(input.size()[1], device);
        self.mix(&query, &key, &value, mask.as_ref(), false)
    }

    /// Keys and values of all tokens of `input` `[B,T,D]`, which branch as `tree` says.
    pub fn keys_values(&self, input: &Tensor, tree: Option<&Tree>) -> KeysValues {
        let (first, width) = (self.heads * self.head_dim, 2 * self.kv_heads * self.head_dim);
        let projected = self.split(&self.qkv.rows(first, width).forward(input));
        let part = |start| projected.narrow(2, start, self.kv_heads);
        KeysValues {
            key: self.rotary.all(tree, &part(0)).transpose(1, 2),
            value: part(self.kv_heads).transpose(1, 2),
        }
    }

    /// Tokens `[N,D]` that each stand alone after one of several sequences: the first `rows.0` of
    /// them after the tokens of `rows.1` (a batch of one), and so on. Returns `[N,D]`.
    pub fn after(&self, rows: &[(i64, &KeysValues)], input: &Tensor) -> Tensor {
        let projected = self.split(&self.qkv.forward(&input.unsqueeze(1)));
        let mut start = 0;
        let mixed: Vec<Tensor> = rows
            .iter()
            .map(|&(count, past)| {
                let own = projected.narrow(0, start, count);
                start += count;
                self.mix_after(&own, past)
            })
            .collect();
        self.output.forward(&Tensor::cat(&mixed, 0))
    }

    /// One sequence's rows of [`SelfAttention::after`]: `[n,1,heads,head_dim]` to `[n,H·head_dim]`.
    /// The past is shared by all rows, so each kv head meets it in one matrix product.
    fn mix_after(&self, projected: &Tensor, past: &KeysValues) -> Tensor {
        let (rows, groups) = (projected.size()[0], self.heads / self.kv_heads);
        let turning = self.heads + self.kv_heads;
        let position = past.key.size()[2];
        let rotated = self.rotary.from(position as usize, &projected.narrow(2, 0, turning));
        let query = rotated
            .narrow(2, 0, self.heads)
            .view([rows, self.kv_heads, groups, self.head_dim])
            .transpose(0, 1)
            * (1.0 / (self.head_dim as f64).sqrt());
        let own = |t: Tensor| t.view([rows, self.kv_heads, 1, self.head_dim]).transpose(0, 1);
        let own_key = own(rotated.narrow(2, self.heads, self.kv_heads));
        let own_value = own(projected.narrow(2, turning, self.kv_heads));

        let flat = query.reshape([self.kv_heads, rows * groups, self.head_dim]);
        let over_past = flat.matmul(&past.key.squeeze_dim(0).transpose(-1, -2));
        let over_own = (query * own_key).sum_dim_intlist([-1_i64].as_slice(), true, None);
        let over_own = over_own.reshape([self.kv_heads, rows * groups, 1]);
        let weights = Tensor::cat(&[over_past, over_own], -1).softmax(-1, None);
        let mixed = weights.narrow(-1, 0, position).matmul(&past.value.squeeze_dim(0));
        let shape = [self.kv_heads, rows, groups, self.head_dim];
        let own_weight = weights.narrow(-1, position, 1).view([self.kv_heads, rows, groups, 1]);
        let mixed = mixed.view(shape) + own_weight * own_value;
        mixed.transpose(0, 1).reshape([rows, self.heads * self.head_dim])
    }

    /// `[B,T,n·head_dim]` to `[B,T,n,head_dim]`.
    fn split(&self, projected: &Tensor) -> Tensor {
        projected.unflatten(-1, [-1, self.head_dim].as_slice())
    }

    fn mix(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        mask: Option<&Tensor>,
        causal: bool,
    ) -> Tensor {
        let grouped = self.heads != self.kv_heads;
        let mixed = Tensor::scaled_dot_product_attention(
            query, key, value, mask, 0.0, causal, None, grouped,
        );
        self.output.forward(&mixed.transpose(1, 2).flatten(2, 3))
    }
}
