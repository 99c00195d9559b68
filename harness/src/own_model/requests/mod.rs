//! `ment repair`: many requests repaired together, so that they hold side by side.
//!
//! [`mod@line`] is a request as it is written, [`set`] the requests of a model, [`held`] refuses edits that change too
//! much, [`measured`] says what became of the requests, and [`report`], [`table`] and [`page`] show it.

pub mod held;
pub mod line;
pub mod measured;
pub mod page;
pub mod report;
mod said;
pub mod set;
pub mod table;
