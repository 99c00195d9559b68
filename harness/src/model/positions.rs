//! Positions in the sequences of a batch, and batches of sequences of unequal length or of a common
//! beginning.

use std::rc::Rc;
use tch::{Device, Kind, Tensor};

/// A sequence that branches: after a common stem it continues in several ways, which do not see each other.
/// So prompts that begin alike are one sequence, and what they share is run once.
#[derive(Debug)]
pub struct Tree {
    /// Number of tokens before each token, `[1,T]`.
    pub(crate) depth: Tensor,
    /// Visibility: true if the token of a row sees that of a column, `[1,1,T,T]`.
    pub(crate) sees: Tensor,
}

/// The same number Q of positions in each sequence of a batch.
#[derive(Clone, Debug)]
pub struct Positions {
    /// Positions of the first sequence, then of the second, and so on.
    of: Vec<i64>,
    sequences: usize,
    /// Visibility of the tokens of each sequence, if it is not simply causal.
    tree: Option<Rc<Tree>>,
}

impl Positions {
    /// The same position in each of `sequences`.
    pub fn same(position: usize, sequences: usize) -> Self {
        Self { of: vec![position as i64; sequences], sequences, tree: None }
    }

    /// Number of sequences.
    pub fn sequences(&self) -> usize {
        self.sequences
    }

    /// Number of positions in all sequences together.
    pub fn count(&self) -> usize {
        self.of.len()
    }

    /// Branching of the sequences; `None` if they do not branch.
    pub fn tree(&self) -> Option<&Tree> {
        self.tree.as_deref()
    }

    /// These positions for `times` copies of the batch, one after the other.
    pub(crate) fn repeat(&self, times: usize) -> Self {
        let (of, sequences) = (self.of.repeat(times), self.sequences * times);
        Self { of, sequences, tree: self.tree.clone() }
    }

    /// The states there: `[B,T,X]` to `[B,Q,X]`.
    pub(crate) fn of(&self, states: &Tensor) -> Tensor {
        match self.shared() {
            Some(position) => states.narrow(1, position, 1),
            None => {
                let index = self.index(states.device()).unsqueeze(-1);
                states.gather(1, &index.expand([-1, -1, states.size()[2]], false), false)
            }
        }
    }

    /// Token indices of the positions, `[B,Q]`, on `device`.
    fn index(&self, device: Device) -> Tensor {
        Tensor::from_slice(&self.of).view([self.sequences as i64, -1]).to_device(device)
    }

    /// One at these positions and zero elsewhere, `[B,T,1]`, for sequences of `tokens` tokens.
    pub(crate) fn marked(&self, tokens: i64, device: Device) -> Tensor {
        let none = Tensor::zeros([self.sequences as i64, tokens], (Kind::Bool, device));
        none.scatter_value(1, &self.index(device), 1).unsqueeze(-1)
    }

    /// Number of tokens before each position, `[B,Q]`, on `device`.
    pub(crate) fn depth(&self, device: Device) -> Tensor {
        let index = self.index(device);
        match &self.tree {
            Some(tree) => {
                tree.depth.flatten(0, -1).index_select(0, &index.flatten(0, -1)).view_as(&index)
            }
            None => index,
        }
    }

    /// Mask of the `tokens` that each position sees, `[B,1,Q,T]`; `None` if it sees all of them.
    pub(crate) fn mask(&self, tokens: i64, device: Device) -> Option<Tensor> {
        if let Some(tree) = &self.tree {
            let rows = tree
                .sees
                .view([tokens, tokens])
                .index_select(0, &self.index(device).flatten(0, -1));
            return Some(rows.view([self.sequences as i64, 1, -1, tokens]));
        }
        if self.shared() == Some(tokens - 1) {
            return None;
        }
        let index = self.index(device).unsqueeze(1).unsqueeze(-1);
        Some(Tensor::arange(tokens, (Kind::Int64, device)).le_tensor(&index))
    }

    /// The position, where each sequence has one and it is the same in all.
    fn shared(&self) -> Option<i64> {
        let first = *self.of.first()?;
        let one_each = self.of.len() == self.sequences;
        (one_each && self.of.iter().all(|&position| position == first)).then_some(first)
    }
}

/// The last tokens of each sequence of a batch, Q of each: those of shorter tails are filled up with their last.
#[derive(Debug)]
pub struct Tail {
    /// Number of tokens before each, `[B,Q]`.
    pub(super) depth: Tensor,
    /// The same of all T tokens of the sequences and of the tails after them, `[B,T+Q]`.
    pub(super) depth_of_all: Tensor,
    /// Visibility, `[B,1,Q,T+Q]`: the tokens before the tail, and those of the tail up to each.
    pub(super) sees: Tensor,
    /// Places of the tokens that are no filling among all B·Q, `[n]`.
    kept: Tensor,
    /// Row of `kept` of each of the B·Q tokens, `[B·Q]`.
    row: Tensor,
}

impl Tail {
    /// Tails of sequences that are given by their lengths and by the number of tokens whose last is the first of the tail.
    pub(crate) fn new(sequences: &[(usize, usize)], device: Device) -> Self {
        let tokens = sequences.iter().map(|(length, _)| *length).max().unwrap_or(0);
        let most = sequences.iter().map(|(length, from)| length - from + 1).max().unwrap_or(0);
        let (mut depth, mut all, mut sees) = (Vec::new(), Vec::new(), Vec::new());
        let (mut kept, mut row) = (Vec::new(), Vec::new());
        for (batch, &(length, from)) in sequences.iter().enumerate() {
            let own = length - from + 1;
            let start = from - 1;
            let places: Vec<usize> = (0..most).map(|place| place.min(own - 1)).collect();
            let first = kept.len();
            kept.extend((0..own).map(|place| (batch * most + place) as i64));
            row.extend(places.iter().map(|place| (first + place) as i64));
            depth.extend(places.iter().map(|place| (start + place) as i64));
            all.extend((0..tokens).map(|token| token as i64));
            all.extend(places.iter().map(|place| (start + place) as i64));
            for &place in &places {
                sees.extend((0..tokens).map(|token| token < start));
                sees.extend((0..most).map(|other| other <= place));
            }
        }
        let (batch, most) = (sequences.len() as i64, most as i64);
        let placed = |values: &[i64]| Tensor::from_slice(values).to_device(device);
        let sees = Tensor::from_slice(&sees).to_device(device);
        Self {
            depth: placed(&depth).view([batch, most]),
            depth_of_all: placed(&all).view([batch, -1]),
            sees: sees.view([batch, 1, most, -1]),
            kept: placed(&kept),
            row: placed(&row),
        }
    }

    /// One more token of each sequence, after `grown` tokens that were added one by one to sequences of these `lengths`,
    /// which are filled up to `tokens` tokens.
    pub(crate) fn next(lengths: &[usize], tokens: usize, grown: usize, device: Device) -> Self {
        let (mut all, mut sees) = (Vec::new(), Vec::new());
        for &length in lengths {
            all.extend((0..tokens).chain(length..=length + grown).map(|depth| depth as i64));
            sees.extend((0..tokens).map(|token| token < length));
            sees.extend(std::iter::repeat_n(true, grown + 1));
        }
        let batch = lengths.len() as i64;
        let placed = |values: &[i64]| Tensor::from_slice(values).to_device(device);
        let depth: Vec<i64> = lengths.iter().map(|&length| (length + grown) as i64).collect();
        let kept: Vec<i64> = (0..batch).collect();
        Self {
            depth: placed(&depth).unsqueeze(1),
            depth_of_all: placed(&all).view([batch, -1]),
            sees: Tensor::from_slice(&sees).to_device(device).view([batch, 1, 1, -1]),
            kept: placed(&kept),
            row: placed(&kept),
        }
    }

    /// Number of tokens before each, `[B,Q]`.
    pub(crate) fn depth(&self) -> &Tensor {
        &self.depth
    }

    /// The states of the tails, `[B,T,X]` to `[B,Q,X]`.
    pub(crate) fn of(&self, states: &Tensor) -> Tensor {
        let index = self.depth.unsqueeze(-1).expand([-1, -1, states.size()[2]], false);
        states.gather(1, &index, false)
    }

    /// The tokens that are no filling, sequence by sequence: `[B,Q,X]` to `[n,X]`.
    pub(crate) fn rows(&self, states: &Tensor) -> Tensor {
        states.flatten(0, 1).index_select(0, &self.kept)
    }

    /// The reverse of [`Tail::rows`]: `[n,X]` to `[B,Q,X]`.
    pub(crate) fn filled(&self, rows: &Tensor) -> Tensor {
        rows.index_select(0, &self.row).unflatten(0, self.depth.size().as_slice())
    }
}

/// Sequences run together, filled up on the right: attention is causal, so what stands after the
/// end of a sequence changes nothing in it.
#[derive(Debug)]
pub struct Sequences {
    /// `[B,T]`.
    pub ids: Tensor,
    /// The last token of each, or of each branch.
    pub ends: Positions,
}

impl Sequences {
    /// One sequence, `[T]`.
    pub fn one(ids: &Tensor) -> Self {
        Self { ids: ids.unsqueeze(0), ends: Positions::same(ids.size()[0] as usize - 1, 1) }
    }

    /// Several sequences of at least one token each.
    pub fn several<'a>(sequences: impl Iterator<Item = &'a [u32]>, device: Device) -> Self {
        let sequences: Vec<&[u32]> = sequences.collect();
        let longest = sequences.iter().map(|ids| ids.len()).max().unwrap_or(0);
        let mut padded = Vec::with_capacity(sequences.len() * longest);
        for ids in &sequences {
            padded.extend(ids.iter().map(|&id| i64::from(id)));
            padded.extend(std::iter::repeat_n(0, longest - ids.len()));
        }
        let shape = [sequences.len() as i64, longest as i64];
        let of: Vec<i64> = sequences.iter().map(|ids| ids.len() as i64 - 1).collect();
        Self {
            ids: Tensor::from_slice(&padded).view(shape).to_device(device),
            ends: Positions { sequences: of.len(), of, tree: None },
        }
    }

    /// One sequence that branches after the first `stem` tokens, at least one, which `prompts` share;
    /// each prompt is longer and has an end.
    pub fn branching<'a>(
        stem: usize,
        prompts: impl Iterator<Item = &'a [u32]>,
        device: Device,
    ) -> Self {
        let (mut ids, mut depth, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        let mut piece = Vec::new(); // of each token, where the stem or branch that it is in begins
        let mut grow = |tokens: &[u32], before: usize| {
            piece.resize(ids.len() + tokens.len(), ids.len());
            ids.extend(tokens.iter().map(|&id| i64::from(id)));
            depth.extend((before..before + tokens.len()).map(|depth| depth as i64));
            ids.len() as i64 - 1
        };
        for prompt in prompts {
            if ends.is_empty() {
                grow(&prompt[..stem], 0);
            }
            ends.push(grow(&prompt[stem..], stem));
        }
        let tokens = ids.len();
        let sees: Vec<bool> = (0..tokens * tokens)
            .map(|cell| (cell / tokens, cell % tokens))
            .map(|(row, column)| column <= row && (column < stem || column >= piece[row]))
            .collect();
        let tokens = tokens as i64;
        let tree = Tree {
            depth: Tensor::from_slice(&depth).view([1, tokens]).to_device(device),
            sees: Tensor::from_slice(&sees).view([1, 1, tokens, tokens]).to_device(device),
        };
        Self {
            ids: Tensor::from_slice(&ids).view([1, tokens]).to_device(device),
            ends: Positions { of: ends, sequences: 1, tree: Some(Rc::new(tree)) },
        }
    }
}
