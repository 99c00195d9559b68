//! An edit is data: vectors added to columns of FFN output matrices, matrices added to them, and vectors added to the rows
//! that neurons read their input with. The weights stay untouched while methods simulate; [`Applied`] writes an edit into
//! the weights for the reference path.

#[cfg(feature = "torch")]
mod applied;
#[cfg(feature = "torch")]
mod column;
#[cfg(feature = "torch")]
mod input;
#[cfg(feature = "torch")]
mod merged;
mod outcome;
#[cfg(feature = "torch")]
mod size;
#[cfg(feature = "torch")]
mod update;
#[cfg(feature = "torch")]
mod whole;

#[cfg(feature = "torch")]
pub use self::applied::Applied;
#[cfg(feature = "torch")]
pub use self::column::{ColumnDelta, Reach};
#[cfg(feature = "torch")]
pub use self::input::InputDelta;
pub use self::outcome::{EditSize, Observation, Outcome, Patched, Phases};
#[cfg(feature = "torch")]
pub use self::update::{MatrixChange, Update};
#[cfg(feature = "torch")]
pub use self::whole::{Edit, Hint};

use serde::{Deserialize, Serialize};

/// One neuron of one FFN hidden layer. Patches change column `index` of the FFN output matrix of `layer` (`down_proj`,
/// `fc_out`); what it reads is row `index` of the FFN input matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Neuron {
    /// Layer, counted from 0 at the input side.
    pub layer: usize,
    /// Position in the FFN hidden layer, `0..d_ff`.
    pub index: usize,
}
