//! The operating system: logs, progress bars, signals, memory use and files.

pub(crate) mod files;
pub mod log;
pub(crate) mod process;
#[cfg(feature = "torch")]
pub(crate) mod progress;
#[cfg(feature = "torch")]
pub(crate) mod signal;
