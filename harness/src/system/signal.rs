//! Ctrl-C: the first one ends the run after the trial at hand, the second one at once. Records
//! are appended as they are measured, so both leave a run that can be continued.

use crate::error::Interrupted;
use anyhow::{Context, Result};
use std::sync::atomic::{AtomicBool, Ordering};

static STOP: AtomicBool = AtomicBool::new(false);

/// Starts listening; once a process.
pub(crate) fn listen() -> Result<()> {
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        tracing::warn!("finishing the trial at hand (Ctrl-C again to stop at once) …");
    })
    .context("Ctrl-C cannot be caught")
}

/// [`Interrupted`] once the user asked to stop.
pub(crate) fn check() -> Result<()> {
    if STOP.load(Ordering::SeqCst) { Err(Interrupted.into()) } else { Ok(()) }
}
