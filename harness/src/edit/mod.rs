//! An edit is data: vectors added to columns of FFN output matrices. The weights stay untouched
//! while methods simulate; [`Applied`] writes an edit into the weights for the reference path.

#[cfg(feature = "torch")]
mod delta;
mod outcome;

#[cfg(feature = "torch")]
pub use self::delta::{Applied, ColumnDelta, Edit, Reach};
pub use self::outcome::{Observation, Outcome, Patched, Phases};

use serde::{Deserialize, Serialize};

/// One neuron of one FFN hidden layer; its parameters are column `index` of the FFN output
/// matrix of `layer` (`down_proj`, `fc_out`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Neuron {
    /// Layer, counted from 0 at the input side.
    pub layer: usize,
    /// Position in the FFN hidden layer, `0..d_ff`.
    pub index: usize,
}
