//! Integration tests, one binary: linking is what they cost.

mod command_line;
mod fuzz;
mod gs450;
mod metric_goldens;
mod refused;
mod report;
mod rooms;
mod samples;
mod start;
mod support;

#[cfg(feature = "torch")]
mod bad_input;
#[cfg(feature = "torch")]
mod baselines;
#[cfg(feature = "torch")]
mod bench;
#[cfg(feature = "torch")]
mod chat;
#[cfg(feature = "torch")]
mod data_page;
#[cfg(feature = "torch")]
mod editors;
#[cfg(feature = "torch")]
mod engine;
#[cfg(feature = "torch")]
mod generate;
#[cfg(feature = "torch")]
mod knowledge_neurons;
#[cfg(feature = "torch")]
mod methods;
#[cfg(feature = "torch")]
mod model_parity;
#[cfg(feature = "torch")]
mod odd_folders;
#[cfg(feature = "torch")]
mod patch;
#[cfg(feature = "torch")]
mod patch_matrix;
#[cfg(feature = "torch")]
mod patch_shown;
#[cfg(feature = "torch")]
mod planning;
#[cfg(feature = "torch")]
mod predict;
#[cfg(feature = "torch")]
mod probing;
#[cfg(feature = "torch")]
mod public_sets;
#[cfg(feature = "torch")]
mod reference_models;
#[cfg(feature = "torch")]
mod repair;
#[cfg(feature = "torch")]
mod run;
#[cfg(feature = "torch")]
mod study;
#[cfg(feature = "torch")]
mod sweep;
#[cfg(feature = "torch")]
mod tokenizers;
#[cfg(feature = "torch")]
mod verify;
