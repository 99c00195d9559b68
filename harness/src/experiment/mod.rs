//! Experiments: what is prompted, runs of the patching and probing experiments, sweeps over their settings,
//! studies of edits that stay, and the checks before and after.

pub mod check;
pub mod plan;
#[cfg(feature = "torch")]
pub mod prompt;
#[cfg(feature = "torch")]
pub mod retrieval;
#[cfg(feature = "torch")]
pub mod run;
pub mod study;
pub mod sweep;
pub mod verify;
