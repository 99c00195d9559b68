//! Outcome of an edit: the prediction before and after, the patched neurons, the time.

use crate::edit::Neuron;
use serde::{Deserialize, Serialize};

/// Outcome of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The target became the argmax.
    Solved,
    /// The quota did not suffice; everything was undone.
    Skipped,
    /// An earlier edit of the same datum had solved it (`across_errors = "keep"` only).
    AlreadySolved,
}

/// The prediction at one position, before or after an edit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Most probable token id.
    pub argmax: u32,
    /// Probability of the argmax.
    pub argmax_probability: f64,
    /// Rank of the target, from 1.
    pub target_rank: u32,
    /// Probability of the target.
    pub target_probability: f64,
}

/// One patched neuron, in the order of patching.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Patched {
    /// Neuron that was patched.
    #[serde(flatten)]
    pub neuron: Neuron,
    /// Place of the neuron in the attribution order, from 0.
    pub candidate: usize,
    /// Ranks the target climbed, negative where it fell (Equation 3, first part).
    pub rank_gain: i64,
    /// Change of ln(P target / P argmax) (Equation 3, second part).
    pub log_ratio_gain: f64,
}

/// Size of an edit of weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EditSize {
    /// Numbers that describe it: the columns of its neurons, the factors of its updates, or whole matrices.
    pub parameters: usize,
    /// Frobenius norm of the change, ‖ΔW‖.
    pub norm: f64,
    /// The norm over that of the matrices that it changes, ‖ΔW‖ / ‖W‖.
    pub relative: f64,
}

/// Wall time of the phases of one repair, seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Phases {
    /// Running the sequence and reading the prediction off. The errors of a datum share the run, and
    /// it counts for the first; on a case of a benchmark it counts for each method.
    pub trace: f64,
    /// Attribution.
    pub locate: f64,
    /// Oracle parameters.
    pub estimate: f64,
    /// Simulation of candidates.
    pub plan: f64,
    /// Committing edits.
    pub apply: f64,
}

impl Phases {
    /// All phases together: the paper's TimeCost.
    pub fn total(&self) -> f64 {
        self.trace + self.locate + self.estimate + self.plan + self.apply
    }
}
