//! Every repair of a run, of whichever experiment.

use crate::data::dataset::DatasetName;
use crate::edit::{Outcome, Patched, Phases};
use crate::records::Record;
use crate::records::manifest::Identity;
use crate::records::view::{Prompts, TrialView};
use crate::report::measures::costs::ALL;
use std::collections::HashMap;

/// Repair of an error, or of a case of a benchmark.
pub(crate) struct ReportedRepair<'r> {
    /// Data set, or the type of the subtype.
    pub(crate) scope: &'r str,
    pub(crate) method: &'r str,
    /// Tokens before the one that is wrong.
    pub(crate) tokens: usize,
    /// Token id that was to come.
    pub(crate) target: u32,
    /// Rank of the target before the edit.
    pub(crate) rank: u32,
    pub(crate) solved: bool,
    pub(crate) neurons: &'r [Patched],
    pub(crate) seconds: Phases,
}

impl<'r> ReportedRepair<'r> {
    /// Something to say of it: a class, and a value.
    pub(crate) fn observed(&self, class: usize, value: f64) -> Observed<'r> {
        Observed { scope: self.scope, method: self.method, class, value }
    }
}

/// Something observed of an approach in a data set: its class, and a value.
pub(crate) struct Observed<'o> {
    pub(crate) scope: &'o str,
    pub(crate) method: &'o str,
    pub(crate) class: usize,
    pub(crate) value: f64,
}

/// Repairs of all methods.
pub(crate) struct AllRepairs<'r> {
    /// In the order of the tables.
    pub(crate) methods: Vec<&'r str>,
    /// Methods that do not compete and edit nothing.
    pub(crate) controls: Vec<&'r str>,
    /// Data sets, or types; behind several of them [`ALL`].
    pub(crate) scopes: Vec<&'r str>,
    pub(crate) all: Vec<ReportedRepair<'r>>,
}

impl<'r> AllRepairs<'r> {
    /// Errors that an earlier edit had solved already are left out.
    pub(crate) fn of(records: &'r [Record], identity: &'r Identity) -> Self {
        let prompts = Prompts::of(records);
        let repair = |record: &'r Record| {
            let view = TrialView::of(record)?;
            let trial = Some(view.trial()).filter(|t| t.outcome != Outcome::AlreadySolved)?;
            let tokens = prompts.get(&view)?.tokens;
            Some(ReportedRepair {
                scope: view.scope(),
                method: &trial.method,
                tokens,
                target: trial.target,
                rank: trial.before.target_rank,
                solved: trial.outcome == Outcome::Solved,
                neurons: &trial.neurons,
                seconds: trial.seconds,
            })
        };
        let all: Vec<ReportedRepair<'r>> = records.iter().filter_map(repair).collect();
        let mut methods: Vec<&str> = Vec::new();
        for repair in &all {
            if !methods.contains(&repair.method) {
                methods.push(repair.method);
            }
        }
        // Format 1 does not name the methods.
        let known: HashMap<&str, usize> = identity.labels().zip(0..).collect();
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
