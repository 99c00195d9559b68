//! Data sets, the benchmark of generalization and specificity, and the figures of the paper.

pub mod benchmark;
pub mod dataset;
pub(crate) mod paper;
