//! The failures a caller can act on. Everything else is a plain [`anyhow::Error`].
//!
//! `main` turns them into exit codes: 2 for [`InputError`], 130 for [`Interrupted`], 1 otherwise.

/// The input (config, data set, checkpoint, results folder, command line) is at fault, not the
/// harness. The text says what is wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InputError(pub String);

impl InputError {
    /// An [`anyhow::Error`] that carries `message` as the user's fault.
    #[allow(clippy::new_ret_no_self)] // always raised, never kept
    pub fn new(message: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self(message.into()))
    }
}

/// The user asked to stop; what was measured so far is on disk.
#[derive(Debug, thiserror::Error)]
#[error("stopped; all measurements so far are kept: run the same command again to continue")]
pub struct Interrupted;

/// Logits that hold NaN or an infinity: a prediction that has no rank and no probability. A run that
/// meets it in a trial records no result for that trial.
#[derive(Debug, thiserror::Error)]
#[error("logits are not finite (NaN or infinite), so they cannot be ranked")]
pub struct NonFinite;
