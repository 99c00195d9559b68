//! A benchmark harness for neuron-level patching of language models, after *Neuron-level LLM
//! Patching for Code Generation* (MENT).
//!
//! Data flows one way: [`config`] → [`plan`] → [`run`] → [`record`] → [`store`] → [`report`].
//! Beside that, `patch` repairs a model of one's own and [`study`] looks at edits that stay.
//! Everything that touches libtorch stands behind the feature `torch`; without it the crate still
//! reads configs, plans, and reports.

#[cfg(feature = "torch")]
pub mod bench;
pub mod benchmark;
pub mod check;
pub mod cli;
pub mod command;
pub mod config;
pub mod dataset;
pub mod difference;
pub mod edit;
pub mod error;
pub mod log;
pub mod manifest;
pub mod metric;
pub mod plan;
mod process;
pub mod prompt;
mod published;
pub mod record;
pub mod report;
pub mod show;
pub mod store;
pub mod study;
pub mod sweep;
mod trial;
pub mod verify;

#[cfg(feature = "torch")]
pub mod device;
#[cfg(feature = "torch")]
pub mod engine;
#[cfg(feature = "torch")]
pub mod generate;
#[cfg(feature = "torch")]
pub mod method;
#[cfg(feature = "torch")]
pub mod model;
#[cfg(feature = "torch")]
pub mod patch;
#[cfg(feature = "torch")]
pub mod predict;
#[cfg(feature = "torch")]
mod progress;
#[cfg(feature = "torch")]
pub mod retrieval;
#[cfg(feature = "torch")]
pub mod run;
#[cfg(feature = "torch")]
mod signal;
