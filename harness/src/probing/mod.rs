//! The probing experiment (paper, III-A and III-D): a sample of a benchmark is patched, and the edit
//! is probed on others.

mod case;
mod fit;

pub use self::case::Case;
pub use self::fit::{Fit, describe, fit};

use crate::benchmark::{Benchmark, Place};
use crate::config::{Demonstration, Order, Query};
use crate::dataset::Pair;
use crate::prompt::render;

/// The text of the sample at `place` up to its argmax symbol, after the demonstrations of its subtype.
pub fn text(benchmark: &Benchmark, place: Place, templates: (&Demonstration, &Query)) -> String {
    let (subtype, sample) = (&benchmark.subtypes[place.subtype], benchmark.sample(place));
    let demonstrations: Vec<&Pair> = subtype.demonstrations.iter().collect();
    let order = Order::MostSimilarFirst; // as they are listed
    render(templates, order, &demonstrations, &sample.intent) + &sample.before
}
