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
