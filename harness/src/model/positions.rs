//! One position in each sequence of a batch, and batches of sequences of unequal length.

use tch::{Device, Kind, Tensor};

/// One position in each sequence of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Positions(Vec<i64>);

impl Positions {
    /// The same position in each of `sequences`.
    pub fn same(position: usize, sequences: usize) -> Self {
        Self(vec![position as i64; sequences])
    }

    /// How many sequences.
    pub fn sequences(&self) -> usize {
        self.0.len()
    }

    /// These positions for `times` copies of the batch, one after the other.
    pub(crate) fn repeat(&self, times: usize) -> Self {
        Self(self.0.repeat(times))
    }

    /// The states there: `[B,T,X]` to `[B,1,X]`.
    pub(crate) fn of(&self, states: &Tensor) -> Tensor {
        match self.shared() {
            Some(position) => states.narrow(1, position, 1),
            None => {
                let index = self.index(states.device()).view([-1, 1, 1]);
                states.gather(1, &index.expand([-1, -1, states.size()[2]], false), false)
            }
        }
    }

    /// `[B]`, on `device`.
    pub(crate) fn index(&self, device: Device) -> Tensor {
        match self.shared() {
            Some(position) => Tensor::full([self.0.len() as i64], position, (Kind::Int64, device)),
            None => Tensor::from_slice(&self.0).to_device(device),
        }
    }

    /// Which of `tokens` each position may look at, `[B,1,1,T]`; `None` where it is all of them.
    pub(crate) fn mask(&self, tokens: i64, device: Device) -> Option<Tensor> {
        if self.shared() == Some(tokens - 1) {
            return None;
        }
        let tokens = Tensor::arange(tokens, (Kind::Int64, device));
        Some(tokens.le_tensor(&self.index(device).view([-1, 1, 1, 1])))
    }

    /// The position, where it is the same in all sequences.
    fn shared(&self) -> Option<i64> {
        let first = *self.0.first()?;
        self.0.iter().all(|&position| position == first).then_some(first)
    }
}

/// Sequences run together, filled up on the right: attention is causal, so what stands after the
/// end of a sequence changes nothing in it.
#[derive(Debug)]
pub struct Sequences {
    /// `[B,T]`.
    pub ids: Tensor,
    /// The last token of each.
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
        Self {
            ids: Tensor::from_slice(&padded).view(shape).to_device(device),
            ends: Positions(sequences.iter().map(|ids| ids.len() as i64 - 1).collect()),
        }
    }
}
