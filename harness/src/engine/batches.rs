//! Batches of sequences: prompts with a common beginning run as one sequence that branches, the others in
//! batches of similar length, so that little padding is needed. Results are returned in the original order.

use crate::model::Sequences;
use tch::{Device, Tensor};

/// The largest share of a batch that may be filling.
const FILLING: f64 = 0.1;

/// Groups of indices into `lengths`, of at most `tokens` tokens each, filling included (or of a
/// single sequence). Shortest first; every index once.
pub fn batches(lengths: &[usize], tokens: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&index| lengths[index]);
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut held = 0; // tokens of the last batch, without filling
    for index in order {
        let length = lengths[index];
        if let Some(batch) = batches.last_mut() {
            let area = length * (batch.len() + 1);
            let filling = (area - held - length) as f64;
            if area <= tokens && filling <= FILLING * area as f64 {
                batch.push(index);
                held += length;
                continue;
            }
        }
        batches.push(vec![index]);
        held = length;
    }
    batches
}

/// Prompts that are run together.
pub struct Batch {
    /// Their places among all prompts, in the order of the ends of `sequences`.
    pub prompts: Vec<usize>,
    /// The prompts themselves.
    pub sequences: Sequences,
}

/// All `prompts`, of at least one token each, in batches of at most `tokens` tokens (or of a single
/// prompt).
pub fn together(prompts: &[&[u32]], tokens: usize, device: Device) -> Vec<Batch> {
    let (akin, alone): (Vec<_>, Vec<_>) = families(prompts, tokens.min(FAMILY))
        .into_iter()
        .partition(|family| family.prompts.len() > 1);
    let alone: Vec<usize> = alone.into_iter().flat_map(|family| family.prompts).collect();
    let lengths: Vec<usize> = alone.iter().map(|&index| prompts[index].len()).collect();
    let branching = akin.into_iter().map(|Family { stem, prompts: of, .. }| {
        let sequences = Sequences::branching(stem, of.iter().map(|&index| prompts[index]), device);
        Batch { prompts: of, sequences }
    });
    let separate = batches(&lengths, tokens).into_iter().map(|of| {
        let of: Vec<usize> = of.into_iter().map(|index| alone[index]).collect();
        let sequences = Sequences::several(of.iter().map(|&index| prompts[index]), device);
        Batch { prompts: of, sequences }
    });
    branching.chain(separate).collect()
}

/// Prompts that begin alike.
#[derive(Debug)]
struct Family {
    prompts: Vec<usize>,
    /// Number of tokens that all prompts begin with. If there are several, the last token of each is not
    /// among them.
    stem: usize,
    /// Tokens, with the stem counted once.
    tokens: usize,
}

/// Tokens of a family at most: its attention mask has as many rows and columns.
const FAMILY: usize = 2048;

/// A prompt joins others where that saves at least this share of its tokens: those of all branches
/// meet in one attention mask, which costs something too.
const SAVED: f64 = 0.25;

/// Each prompt in one family, most in that of a neighbour by alphabet; families of at most `tokens`
/// tokens, or of a single prompt.
fn families(prompts: &[&[u32]], tokens: usize) -> Vec<Family> {
    let mut order: Vec<usize> = (0..prompts.len()).collect();
    order.sort_by_key(|&index| prompts[index]);
    let mut families: Vec<Family> = Vec::new();
    for index in order {
        let prompt = prompts[index];
        if let Some(family) = families.last_mut() {
            let members = family.prompts.len();
            // The last token of a prompt is its own: an edit may act there alone.
            let first = prompts[family.prompts[0]];
            let shared = &first[..family.stem.min(first.len() - 1)];
            let stem = common(&prompt[..prompt.len() - 1], shared);
            // What `prompt` need not run, less what the others no longer share.
            let saved = (members * stem).saturating_sub((members - 1) * family.stem);
            let joined = family.tokens + prompt.len() - saved;
            if saved as f64 >= SAVED * prompt.len() as f64 && joined <= tokens {
                family.prompts.push(index);
                (family.stem, family.tokens) = (stem, joined);
                continue;
            }
        }
        families.push(Family { prompts: vec![index], stem: prompt.len(), tokens: prompt.len() });
    }
    families
}

/// Number of tokens that both begin with.
fn common(one: &[u32], other: &[u32]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

/// `rows` `[N,..]`, of which row r belongs at `places[r]`, each at its place.
pub(super) fn in_order(rows: &Tensor, places: &[usize]) -> Tensor {
    let mut row_of = vec![0_i64; places.len()];
    for (row, &place) in places.iter().enumerate() {
        row_of[place] = row as i64;
    }
    rows.index_select(0, &Tensor::from_slice(&row_of).to_device(rows.device()))
}

#[cfg(test)]
mod tests {
    use super::{FILLING, batches, families};
    use proptest::prelude::*;

    #[test]
    fn families_share_what_is_worth_sharing() {
        let prompts: [&[u32]; 5] =
            [&[1, 2, 3, 4], &[9, 9], &[1, 2, 3, 5, 6], &[1, 8, 8, 8], &[9, 9]];
        let found = |tokens| -> Vec<(Vec<usize>, usize, usize)> {
            let found = families(&prompts, tokens);
            found.into_iter().map(|family| (family.prompts, family.stem, family.tokens)).collect()
        };
        // The fourth shares one token with two that share three.
        let all = [(vec![0, 2], 3, 6), (vec![3], 4, 4), (vec![1, 4], 1, 3)];
        assert_eq!(found(6), all);
        assert_eq!(found(5).len(), 4, "six tokens do not fit");
    }

    proptest! {
        #[test]
        fn every_prompt_in_one_family_that_begins_alike(
            prompts in prop::collection::vec(prop::collection::vec(0_u32..3, 1..8), 0..20),
            tokens in 1_usize..40,
        ) {
            let prompts: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
            let families = families(&prompts, tokens);
            let mut all: Vec<usize> = families.iter().flat_map(|f| f.prompts.clone()).collect();
            all.sort_unstable();
            prop_assert!(all.into_iter().eq(0..prompts.len()));
            for family in families {
                let of: Vec<&[u32]> = family.prompts.iter().map(|&index| prompts[index]).collect();
                prop_assert!(of.iter().all(|prompt| prompt[..family.stem] == of[0][..family.stem]));
                prop_assert!(of.len() == 1 || of.iter().all(|prompt| prompt.len() > family.stem));
                let branches: usize = of.iter().map(|prompt| prompt.len() - family.stem).sum();
                prop_assert_eq!(family.tokens, family.stem + branches);
                prop_assert!(of.len() == 1 || family.tokens <= tokens);
            }
        }

        #[test]
        fn every_sequence_once_and_little_filling(
            lengths in prop::collection::vec(1_usize..50, 0..40),
            tokens in 1_usize..200,
        ) {
            let batches = batches(&lengths, tokens);
            let mut all: Vec<usize> = batches.concat();
            all.sort_unstable();
            prop_assert!(all.into_iter().eq(0..lengths.len()));
            for batch in batches.iter().filter(|batch| batch.len() > 1) {
                let held: usize = batch.iter().map(|&index| lengths[index]).sum();
                let area = batch.iter().map(|&index| lengths[index]).max().unwrap() * batch.len();
                prop_assert!(area <= tokens);
                prop_assert!((area - held) as f64 <= FILLING * area as f64);
            }
        }
    }
}
