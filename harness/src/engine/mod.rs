//! Ways of running a model: each does in one pass what a plain implementation does in hundreds,
//! and tests hold each to [`forward`], the plain one.
//!
//! [`decode`] lets a sequence grow, [`greedy`] many at once; [`trace`] runs sequences once; [`replay`] runs edits on a trace;
//! [`gradient`] asks a trace for gradients, [`above`] runs its upper layers with changes to take them of, and [`tails`]
//! does so for the last tokens of many sequences; `inputs` serves edits of what neurons read;
//! [`integrated_gradients`] (of a [`prompt_end`]) and [`probe`]
//! are what they are named after. [`memory`] keeps all of them within a budget, [`batches`] groups sequences
//! of like length.

pub mod above;
pub mod batches;
pub mod block;
pub mod decode;
pub mod device;
pub mod forward;
pub mod gradient;
pub mod greedy;
mod inputs;
pub mod integrated_gradients;
pub mod memory;
pub mod probe;
pub mod prompt_end;
pub mod replay;
pub mod tails;
pub mod trace;
