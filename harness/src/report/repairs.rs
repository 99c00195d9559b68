//! Every repair of a run, of whichever experiment.

use super::by_class::Observed;
use super::costs::ALL;
use crate::dataset::DatasetName;
use crate::manifest::Identity;
use crate::record::{Outcome, Patched, Phases, Record};
use crate::trial::{Prompts, Trial};
use std::collections::HashMap;

/// What a method did about an error, or a case of a benchmark.
pub(super) struct Repair<'r> {
    /// Its data set, or the type of its subtype.
    pub(super) scope: &'r str,
    pub(super) method: &'r str,
    /// Tokens before the one that is wrong.
    pub(super) tokens: usize,
    /// Token id that was to come.
    pub(super) target: u32,
    /// Its rank before the edit.
    pub(super) rank: u32,
    pub(super) solved: bool,
    pub(super) neurons: &'r [Patched],
    pub(super) seconds: Phases,
}

impl<'r> Repair<'r> {
    /// Something to say of it: a class, and a value.
    pub(super) fn observed(&self, class: usize, value: f64) -> Observed<'r> {
        Observed { scope: self.scope, method: self.method, class, value }
    }
}

/// Repairs of all methods.
pub(super) struct Repairs<'r> {
    /// In the order of the tables.
    pub(super) methods: Vec<&'r str>,
    /// Those that do not compete, and edit nothing.
    pub(super) controls: Vec<&'r str>,
    /// Data sets, or types; behind several of them [`ALL`].
    pub(super) scopes: Vec<&'r str>,
    pub(super) all: Vec<Repair<'r>>,
}

impl<'r> Repairs<'r> {
    /// Errors that an earlier edit had solved already are left out.
    pub(super) fn of(records: &'r [Record], identity: &'r Identity) -> Self {
        let prompts = Prompts::of(records);
        let repair = |record: &'r Record| {
            let trial = Trial::of(record).filter(|t| t.outcome != Outcome::AlreadySolved)?;
            let tokens = prompts.get(&trial)?.tokens;
            Some(Repair {
                scope: trial.scope,
                method: trial.method,
                tokens,
                target: trial.target,
                rank: trial.before.target_rank,
                solved: trial.outcome == Outcome::Solved,
                neurons: trial.neurons,
                seconds: *trial.seconds,
            })
        };
        let all: Vec<Repair<'r>> = records.iter().filter_map(repair).collect();
        let mut methods: Vec<&str> = Vec::new();
        for repair in &all {
            if !methods.contains(&repair.method) {
                methods.push(repair.method);
            }
        }
        // Format 1 does not name the methods.
        let known: HashMap<&str, usize> =
            identity.methods.keys().map(String::as_str).zip(0..).collect();
        methods.sort_by_key(|label| known.get(label).copied().unwrap_or(usize::MAX));
        let controls = methods.iter().copied().filter(|label| identity.is_control(label)).collect();
        let mut scopes: Vec<&str> = Vec::new();
        for repair in &all {
            if !scopes.contains(&repair.scope) {
                scopes.push(repair.scope);
            }
        }
        // Data sets of the paper in its order; types of a benchmark stay as they are.
        let registered = |scope: &&str| {
            DatasetName::registered().position(|name| name.label() == *scope).unwrap_or(usize::MAX)
        };
        scopes.sort_by_key(registered);
        if scopes.len() > 1 {
            scopes.push(ALL);
        }
        Self { methods, controls, scopes, all }
    }
}
