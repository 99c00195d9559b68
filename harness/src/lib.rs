//! A benchmark harness for neuron-level patching of language models, after *Neuron-level LLM Patching for
//! Code Generation* (MENT, arXiv 2312.05356).
//!
//! ```text
//! config ──→ plan ──→ run ──→ record ──→ store ──→ report
//!              │       │                             tables, pictures, claims, page
//!   dataset ───┤       ├── method ──→ engine ──→ model
//!   benchmark ─┘       │   an error in, an edit out
//!                      └── metric: predictions in, numbers out
//!
//! patch, generate, predict    a model of one's own, on the same methods and engine
//! study                       edits that stay: chains of thought, many edits in sequence
//! ```
//!
//! Data flows one way: [`config`] → [`experiment`] → [`records`] → [`report`]. Folders are rooms, and each
//! uses only those below it: [`cli`], `bench`, [`experiment`], [`own_model`], [`report`], [`table`],
//! [`records`],
//! `method`, `engine`, [`edit`], `model`, [`metric`], [`config`], [`data`], [`system`]. Everything that
//! touches libtorch is behind the feature `torch`; without it the crate still reads configs, plans and
//! reports.
//!
//! # Terms
//!
//! | term | meaning |
//! |---|---|
//! | datum | an input with the output wanted for it, as one prompt and its gold tokens |
//! | error | a gold token that the unedited model does not predict, given the gold tokens before it |
//! | neuron | a unit of an FFN hidden layer; its parameters are a column of the FFN output matrix |
//! | patch | a vector that is added to the column of one neuron |
//! | edit | the patches that repair one error; data, the weights stay as they are |
//! | repair | what a method does about an error: an edit, or nothing where the error is skipped |
//! | patch file | the edits of one prompt and target as a file, which `ment apply` writes into a checkpoint |
//! | case | a sample of a benchmark with one of its targets: the error of the probing experiment |
//! | probe | an edit seen at the end of another prompt |
//! | trial | an error or a case under one method; a line of the records |
//! | record | one line of `trials.jsonl`: a datum, a trial, a prediction or a case |
//! | run | an experiment's records, with the manifest of all that determines them, in one folder |
//! | sweep | runs that differ in the settings of a grid |
//! | study | a measurement of edits that stay, with a journal of its own |
//!
//! # Example
//!
//! A table of a run, from its records alone; `examples/` repairs a model and has a method of one's own.
//!
//! ```no_run
//! let run = ment::records::store::read("results/patching".as_ref())?;
//! for table in ment::report::tables(&run.records, &run.manifest)? {
//!     println!("{}", table.terminal(100, false));
//! }
//! # anyhow::Ok(())
//! ```

#[cfg(feature = "torch")]
pub mod bench;
pub mod cli;
pub mod config;
pub mod data;
pub mod edit;
#[cfg(feature = "torch")]
pub mod engine;
pub mod error;
pub mod experiment;
#[cfg(feature = "torch")]
pub mod method;
pub mod metric;
#[cfg(feature = "torch")]
pub mod model;
pub mod own_model;
pub mod records;
pub mod report;
pub mod system;
pub mod table;
