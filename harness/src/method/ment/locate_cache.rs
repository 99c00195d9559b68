//! Neurons that were located on a trace: settings that differ only in later stages locate once.

use super::super::{LlmError, RepairContext};
use crate::config::{Locate, MentConfig};
use crate::edit::Neuron;
use crate::engine::device::Clock;
use anyhow::Result;
use std::cell::RefCell;

/// Neurons that were located on one trace.
#[derive(Debug, Default)]
pub struct LocateCache(RefCell<Vec<LocatedEntry>>);

#[derive(Debug)]
struct LocatedEntry {
    error: LlmError,
    locate: Locate,
    candidates: usize,
    neurons: Vec<Neuron>,
    /// Seconds of locating them.
    seconds: f64,
}

impl LocateCache {
    /// The neurons that `find` finds for `error` of `context` under `config`, and the seconds that
    /// knowing them has saved.
    pub(super) fn or_find(
        &self,
        context: &RepairContext<'_>,
        error: &LlmError,
        config: &MentConfig,
        find: impl FnOnce() -> Result<Vec<Neuron>>,
    ) -> Result<(Vec<Neuron>, f64)> {
        let (locate, candidates) = (&config.locate, config.candidates.0);
        let same = |known: &&LocatedEntry| {
            known.error == *error && known.locate == *locate && known.candidates == candidates
        };
        if let Some(known) = self.0.borrow().iter().find(same) {
            return Ok((known.neurons.clone(), known.seconds));
        }
        let clock = Clock::start(context.model.spec().device);
        let neurons = find()?;
        let (error, locate, seconds) = (*error, locate.clone(), clock.seconds());
        let known = LocatedEntry { error, locate, candidates, neurons: neurons.clone(), seconds };
        self.0.borrow_mut().push(known);
        Ok((neurons, 0.0))
    }
}
