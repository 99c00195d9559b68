//! `ment repair`: many requests repaired together, so that they hold side by side.
//!
//! [`mod@line`] is a request as it is written, [`set`] the requests of a model, [`measured`] what became of them, and
//! [`table`] shows it.

pub mod line;
pub mod measured;
pub mod set;
pub mod table;
