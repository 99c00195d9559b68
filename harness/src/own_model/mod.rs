//! A user's own model: prediction, generation, and patches that are kept as files and written into
//! checkpoints.

#[cfg(feature = "torch")]
pub mod generate;
#[cfg(feature = "torch")]
pub mod kept;
#[cfg(feature = "torch")]
pub mod patch;
#[cfg(feature = "torch")]
pub mod predict;
#[cfg(feature = "torch")]
pub mod requests;
pub mod token_diff;
