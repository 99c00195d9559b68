//! Work cut into pieces that fit into memory: by an estimate beforehand, and by halving where
//! the estimate was wrong.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

/// Number of times a piece was halved since the program began.
static HALVINGS: AtomicU32 = AtomicU32::new(0);

std::thread_local! {
    /// True while running out of memory is handled here, so that the panic need not be shown.
    static ANSWERED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Number of times that work was cut in half because memory ran out, since the program began.
pub fn halvings() -> u32 {
    HALVINGS.load(Ordering::Relaxed)
}

/// Runs `work` over consecutive pieces of the items with these costs, in bytes, each piece of at
/// most `budget` bytes or a single item. A piece that runs out of memory is cut in half and tried
/// again; a single item that does, panics as `work` did.
///
/// `work` must be repeatable: it is run again from the start of a piece.
pub fn in_pieces<R>(
    costs: &[usize],
    budget: usize,
    mut work: impl FnMut(Range<usize>) -> R,
) -> Vec<R> {
    let mut results = Vec::new();
    let mut start = 0;
    while start < costs.len() {
        let mut end = start + 1;
        let mut bytes = costs[start];
        while end < costs.len() && bytes + costs[end] <= budget {
            bytes += costs[end];
            end += 1;
        }
        halving(start..end, &mut work, &mut results);
        start = end;
    }
    results
}

fn halving<R>(piece: Range<usize>, work: &mut impl FnMut(Range<usize>) -> R, results: &mut Vec<R>) {
    if piece.len() == 1 {
        results.push(work(piece));
        return;
    }
    silence_answered_panics();
    ANSWERED.set(true);
    let tried = catch_unwind(AssertUnwindSafe(|| work(piece.clone())));
    ANSWERED.set(false);
    match tried {
        Ok(result) => results.push(result),
        Err(panic) if is_out_of_memory(panic.as_ref()) => {
            HALVINGS.fetch_add(1, Ordering::Relaxed);
            let middle = piece.start + piece.len() / 2;
            halving(piece.start..middle, work, results);
            halving(middle..piece.end, work, results);
        }
        Err(panic) => resume_unwind(panic),
    }
}

/// Recognizes the messages of libtorch on the CPU and on CUDA, with which `tch` panics.
fn is_out_of_memory(panic: &(dyn std::any::Any + Send)) -> bool {
    panic.downcast_ref::<String>().is_some_and(|message| out_of_memory(message))
}

fn out_of_memory(message: &str) -> bool {
    message.contains("can't allocate memory") || message.contains("out of memory")
}

/// A panic that [`halving`] answers is no news for the user.
fn silence_answered_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let silent = ANSWERED.get() && info.payload_as_str().is_some_and(out_of_memory);
            if !silent {
                usual(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::{halvings, in_pieces};
    use proptest::prelude::*;
    use tch::{Device, Kind, Tensor};

    proptest! {
        /// Every item once, in order, and no piece above the budget unless it is one item.
        #[test]
        fn pieces_cover_the_items(
            costs in prop::collection::vec(0_usize..20, 0..30),
            budget in 0_usize..60,
        ) {
            let pieces = in_pieces(&costs, budget, |piece| piece);
            prop_assert!(pieces.iter().cloned().flatten().eq(0..costs.len()));
            for piece in pieces {
                let bytes: usize = costs[piece.clone()].iter().sum();
                prop_assert!(bytes <= budget || piece.len() == 1);
            }
        }
    }

    /// Every piece of more than two items requests more memory from libtorch than there is.
    #[test]
    fn a_piece_that_runs_out_of_memory_is_halved() {
        let before = halvings();
        let pieces = in_pieces(&[1; 5], usize::MAX, |piece| {
            if piece.len() > 2 {
                let _ = Tensor::zeros([1 << 50], (Kind::Float, Device::Cpu));
            }
            piece
        });
        assert_eq!(pieces, [0..2, 2..3, 3..5]);
        assert!(halvings() >= before + 2);
    }

    #[test]
    #[should_panic(expected = "not about memory")]
    fn other_panics_go_on() {
        in_pieces(&[1; 4], usize::MAX, |_| panic!("not about memory"));
    }
}
