//! Material of a run: data sets, the benchmark of generalization and specificity, models, and the figures of
//! the paper.

pub mod benchmark;
pub mod corpus;
pub mod dataset;
pub mod model_folder;
pub(crate) mod paper;
