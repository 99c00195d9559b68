//! Causal self-attention with grouped key and value heads, in the shapes that the engine asks for: all
//! positions of a sequence, some positions of a sequence, and one token after a sequence whose keys and
//! values are given. Rotary positions, norms of queries and keys, and a window are there or not.

use super::layers::{Exit, Linear, Norm};
use super::past::Past;
use super::positions::{Positions, Tail, Tree};
use super::rope::Rope;
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
    /// The tables of `rope` for heads of `head_dim` entries.
    pub(super) fn new(
        rope: &Rope,
        head_dim: usize,
        context: usize,
        (device, kind): (Device, Kind),
    ) -> Self {
        let frequency: Vec<f32> = rope.frequencies().iter().map(|&own| own as f32).collect();
        let frequency = Tensor::from_slice(&frequency).to_device(device);
        let position = Tensor::arange(context as i64, (Kind::Float, device));
        let angle = position.outer(&frequency);
        let still = [context as i64, (head_dim - rope.dim) as i64];
        let ones = Tensor::ones(still, (Kind::Float, device));
        let zeros = Tensor::zeros(still, (Kind::Float, device));
        let (cos, sin) = (angle.cos() * rope.amplitude(), angle.sin() * rope.amplitude());
        Self {
            cos: Tensor::cat(&[&cos, &cos, &ones], -1).to_kind(kind),
            sin: Tensor::cat(&[&-&sin, &sin, &zeros], -1).to_kind(kind),
            dim: rope.dim as i64,
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
    pub(super) qkv: Linear,
    pub(super) output: Linear,
    /// Step from the output to what is added to the residual stream.
    pub(super) exit: Exit,
    pub(super) heads: i64,
    pub(super) kv_heads: i64,
    pub(super) head_dim: i64,
    /// Norms of queries and keys before they are rotated.
    pub(super) norms: Option<QueryKeyNorms>,
    /// `None` where positions enter with the embedding.
    pub(super) rotary: Option<Rc<Rotary>>,
    /// Number of tokens that a token sees, itself included; `None` if it sees all before it.
    pub(super) window: Option<i64>,
    /// Factor on the products of queries and keys.
    pub(super) scale: f64,
}

/// Norms of queries and keys.
#[derive(Debug)]
pub(super) struct QueryKeyNorms {
    pub(super) query: Norm,
    pub(super) key: Norm,
    /// True if a norm is over all heads together, false if it is over each head.
    pub(super) over_all: bool,
}

/// Positions of the tokens of a batch.
enum Places<'p> {
    /// One after the other from here on.
    From(usize),
    /// At these depths, `[B,T]` or `[1,T]`.
    At(&'p Tensor),
}

impl<'p> Places<'p> {
    /// All tokens of sequences, which branch as `tree` says.
    fn all(tree: Option<&'p Tree>) -> Self {
        tree.map_or(Self::From(0), |tree| Self::At(&tree.depth))
    }
}

impl SelfAttention {
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
        let (query, KeysValues { key, value }) = self.project(input, &Places::all(tree));
        let Some(tree) = tree else { return self.mix_all(&query, &key, &value) };
        let sees = match self.window_within(input.size()[1]) {
            Some(window) => tree.sees.logical_and(&nearer(&tree.depth, &tree.depth, window)),
            None => tree.sees.shallow_clone(),
        };
        self.mix(&query, &key, &value, Some(&sees), false)
    }

    /// Does what [`SelfAttention::causal`] does for sequences that do not branch, and returns the keys and
    /// values too.
    pub fn causal_keeping(&self, input: &Tensor) -> (Tensor, KeysValues) {
        let (query, kept) = self.project(input, &Places::From(0));
        (self.mix_all(&query, &kept.key, &kept.value), kept)
    }

    /// One more token of each sequence, `[B,1,D]` to `[B,1,D]`, over itself and the `past`, to which
    /// its key and value are added.
    pub fn next(&self, past: &mut Past, input: &Tensor) -> Tensor {
        let position = past.tokens();
        let (query, own) = self.project(input, &Places::From(position));
        let KeysValues { key, value } = past.push(&own);
        let tokens = position as i64 + 1;
        let seen = self.window.map_or(tokens, |window| window.min(tokens));
        let seen = |states: &Tensor| states.narrow(2, tokens - seen, seen);
        self.mix(&query, &seen(&key), &seen(&value), None, false)
    }

    /// Queries `[B,H,T,head_dim]`, keys and values of `input` `[B,T,D]`, whose tokens stand at `places`.
    fn project(&self, input: &Tensor, places: &Places<'_>) -> (Tensor, KeysValues) {
        let projected = self.split(&self.qkv.forward(input));
        let (turned, value) = self.turn(&projected, places);
        let query = turned.narrow(2, 0, self.heads).transpose(1, 2);
        let key = turned.narrow(2, self.heads, self.kv_heads).transpose(1, 2);
        (query, KeysValues { key, value: value.transpose(1, 2) })
    }

    /// Queries and keys of `projected` `[B,T,H + 2·KV,head_dim]`, normed and rotated, one after the other,
    /// and the values.
    fn turn(&self, projected: &Tensor, places: &Places<'_>) -> (Tensor, Tensor) {
        let turning = self.heads + self.kv_heads;
        let both = projected.narrow(2, 0, turning);
        let value = projected.narrow(2, turning, self.kv_heads);
        let Some(norms) = &self.norms else { return (self.rotate(places, &both), value) };
        let query = norms.apply(&norms.query, &both.narrow(2, 0, self.heads));
        let key = norms.apply(&norms.key, &both.narrow(2, self.heads, self.kv_heads));
        (self.rotate(places, &Tensor::cat(&[query, key], 2)), value)
    }

    /// Rotates `x` `[B,T,heads,head_dim]`.
    fn rotate(&self, places: &Places<'_>, x: &Tensor) -> Tensor {
        match (&self.rotary, places) {
            (None, _) => x.shallow_clone(),
            (Some(rotary), Places::From(start)) => rotary.from(*start, x),
            (Some(rotary), Places::At(depth)) => rotary.at(depth, x),
        }
    }

    /// The tokens at Q positions of each sequence over those that they see: `[B,T,D]` to `[B,Q,D]`.
    pub fn at(&self, positions: &Positions, input: &Tensor) -> Tensor {
        let (width, device) = (self.heads * self.head_dim, input.device());
        let mut query = self.split(&self.qkv.rows(0, width).forward(&positions.of(input)));
        if let Some(norms) = &self.norms {
            query = norms.apply(&norms.query, &query);
        }
        let depth = positions.depth(device);
        let query = self.rotate(&Places::At(&depth), &query).transpose(1, 2);
        let KeysValues { key, value } = self.keys_values(input, positions.tree());
        let tokens = input.size()[1];
        let mut mask = positions.mask(tokens, device);
        if let Some(window) = self.window_within(tokens) {
            let near = match positions.tree() {
                Some(tree) => nearer(&depth, &tree.depth, window),
                None => nearer(&depth, &in_sequence(tokens, device), window),
            };
            mask = Some(mask.map_or_else(|| near.shallow_clone(), |mask| mask.logical_and(&near)));
        }
        self.mix(&query, &key, &value, mask.as_ref(), false)
    }

    /// Keys and values of all tokens of `input` `[B,T,D]`, which branch as `tree` says.
    pub fn keys_values(&self, input: &Tensor, tree: Option<&Tree>) -> KeysValues {
        let (first, width) = (self.heads * self.head_dim, 2 * self.kv_heads * self.head_dim);
        let projected = self.split(&self.qkv.rows(first, width).forward(input));
        let part = |start| projected.narrow(2, start, self.kv_heads);
        let mut key = part(0);
        if let Some(norms) = &self.norms {
            key = norms.apply(&norms.key, &key);
        }
        KeysValues {
            key: self.rotate(&Places::all(tree), &key).transpose(1, 2),
            value: part(self.kv_heads).transpose(1, 2),
        }
    }

    /// The tokens of tails, `[B,Q,D]` to `[B,Q,D]`, over themselves and over the tokens before them, whose keys and values
    /// are in `past`, that of whole sequences. Returns the keys and values of all of them, too.
    pub fn tail(&self, past: &KeysValues, tail: &Tail, input: &Tensor) -> (Tensor, KeysValues) {
        let (query, own) = self.project(input, &Places::At(&tail.depth));
        let key = Tensor::cat(&[&past.key, &own.key], 2);
        let value = Tensor::cat(&[&past.value, &own.value], 2);
        let sees = match self.window {
            Some(window) => tail.sees.logical_and(&nearer(&tail.depth, &tail.depth_of_all, window)),
            None => tail.sees.shallow_clone(),
        };
        (self.mix(&query, &key, &value, Some(&sees), false), KeysValues { key, value })
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
        self.exit.apply(self.output.forward(&Tensor::cat(&mixed, 0)))
    }

    /// One sequence's rows of [`SelfAttention::after`]: `[n,1,heads,head_dim]` to `[n,H·head_dim]`.
    /// The past is shared by all rows, so each kv head meets it in one matrix product.
    fn mix_after(&self, projected: &Tensor, past: &KeysValues) -> Tensor {
        let (rows, groups) = (projected.size()[0], self.heads / self.kv_heads);
        let tokens = past.key.size()[2];
        let (rotated, value) = self.turn(projected, &Places::From(tokens as usize));
        // The token itself is one of the window.
        let position = self.window.map_or(tokens, |window| tokens.min(window - 1));
        let seen = |states: &Tensor| states.narrow(2, tokens - position, position).squeeze_dim(0);
        let query = rotated
            .narrow(2, 0, self.heads)
            .view([rows, self.kv_heads, groups, self.head_dim])
            .transpose(0, 1)
            * self.scale;
        let own = |t: Tensor| t.view([rows, self.kv_heads, 1, self.head_dim]).transpose(0, 1);
        let own_key = own(rotated.narrow(2, self.heads, self.kv_heads));
        let own_value = own(value);

        let flat = query.reshape([self.kv_heads, rows * groups, self.head_dim]);
        let over_past = flat.matmul(&seen(&past.key).transpose(-1, -2));
        let over_own = (query * own_key).sum_dim_intlist([-1_i64].as_slice(), true, None);
        let over_own = over_own.reshape([self.kv_heads, rows * groups, 1]);
        let weights = Tensor::cat(&[over_past, over_own], -1).softmax(-1, None);
        let mixed = weights.narrow(-1, 0, position).matmul(&seen(&past.value));
        let shape = [self.kv_heads, rows, groups, self.head_dim];
        let own_weight = weights.narrow(-1, position, 1).view([self.kv_heads, rows, groups, 1]);
        let mixed = mixed.view(shape) + own_weight * own_value;
        mixed.transpose(0, 1).reshape([rows, self.heads * self.head_dim])
    }

    /// `[B,T,n·head_dim]` to `[B,T,n,head_dim]`.
    fn split(&self, projected: &Tensor) -> Tensor {
        projected.unflatten(-1, [-1, self.head_dim].as_slice())
    }

    /// The window, if it is shorter than `tokens` tokens.
    fn window_within(&self, tokens: i64) -> Option<i64> {
        self.window.filter(|&window| window < tokens)
    }

    /// All tokens of sequences that do not branch.
    fn mix_all(&self, query: &Tensor, key: &Tensor, value: &Tensor) -> Tensor {
        let (tokens, device) = (query.size()[2], query.device());
        let Some(window) = self.window_within(tokens) else {
            return self.mix(query, key, value, None, true);
        };
        let places = in_sequence(tokens, device);
        let sees = nearer(&places, &places, window).tril(0);
        self.mix(query, key, value, Some(&sees), false)
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
            query, key, value, mask, 0.0, causal, self.scale, grouped,
        );
        self.exit.apply(self.output.forward(&mixed.transpose(1, 2).flatten(2, 3)))
    }
}

impl QueryKeyNorms {
    /// Norms `x` `[B,T,heads,head_dim]` by `norm`.
    fn apply(&self, norm: &Norm, x: &Tensor) -> Tensor {
        if self.over_all { norm.forward(&x.flatten(2, 3)).view_as(x) } else { norm.forward(x) }
    }
}

/// Positions `[1,tokens]` of a sequence.
fn in_sequence(tokens: i64, device: Device) -> Tensor {
    Tensor::arange(tokens, (Kind::Int64, device)).unsqueeze(0)
}

/// Mask of tokens at depth `column` `[1,T]`, or `[B,T]`, that are less than `window` tokens before one at depth `row`
/// `[B,Q]`:
/// `[B,1,Q,T]`.
fn nearer(row: &Tensor, column: &Tensor, window: i64) -> Tensor {
    (row.unsqueeze(-1) - column.unsqueeze(1)).lt(window).unsqueeze(1)
}
