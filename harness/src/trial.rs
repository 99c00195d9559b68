//! A trial of either experiment, as it is shown.

use crate::record::{Observation, Outcome, Patched, Phases, Probed, Record, Texts, TrialId};

/// A trial of either experiment.
pub(crate) struct Trial<'r> {
    pub(crate) id: &'r TrialId,
    /// Its data set, or the type of its subtype.
    pub(crate) scope: &'r str,
    pub(crate) method: &'r str,
    pub(crate) outcome: Outcome,
    pub(crate) target: u32,
    pub(crate) texts: &'r Texts,
    pub(crate) before: &'r Observation,
    pub(crate) after: &'r Observation,
    pub(crate) neurons: &'r [Patched],
    pub(crate) parallel: Option<usize>,
    pub(crate) seconds: &'r Phases,
    pub(crate) record: &'r Record,
}

impl<'r> Trial<'r> {
    /// `None` of other records.
    pub(crate) fn of(record: &'r Record) -> Option<Self> {
        match record {
            Record::Trial(trial) => Some(Self {
                id: &trial.id,
                scope: trial.dataset.label(),
                method: &trial.method,
                outcome: trial.outcome,
                target: trial.target,
                texts: &trial.texts,
                before: &trial.before,
                after: &trial.after,
                neurons: &trial.neurons,
                parallel: trial.parallel,
                seconds: &trial.seconds,
                record,
            }),
            Record::Patch(patch) => Some(Self {
                id: &patch.id,
                scope: &patch.name.of,
                method: &patch.method,
                outcome: patch.outcome,
                target: patch.target,
                texts: &patch.texts,
                before: &patch.before,
                after: &patch.after,
                neurons: &patch.neurons,
                parallel: patch.parallel,
                seconds: &patch.seconds,
                record,
            }),
            Record::Datum(_) | Record::Prediction(_) | Record::Case(_) => None,
        }
    }

    /// Where it belongs, in words.
    pub(crate) fn place(&self) -> String {
        match self.record {
            Record::Trial(trial) => {
                format!("{} {}, gold token {}", self.scope, trial.datum, trial.position)
            }
            Record::Patch(patch) => patch.name.to_string(),
            _ => unreachable!("no other record is a trial"),
        }
    }

    /// What was prompted: its tokens, its text, and what should follow; if `record` is the one that knows.
    pub(crate) fn prompt(&self, record: &'r Record) -> Option<(usize, &'r str, &'r str)> {
        match (self.record, record) {
            (Record::Trial(trial), Record::Datum(datum)) => {
                let own = datum.dataset == trial.dataset && datum.datum == trial.datum;
                own.then_some((datum.prompt_tokens, &*datum.prompt_text, &*datum.gold_text))
            }
            (Record::Patch(patch), Record::Case(case)) => {
                let own = case.name == patch.name;
                own.then_some((case.prompt_tokens, &*case.prompt_text, &*case.target_text))
            }
            _ => None,
        }
    }

    /// What the edit does elsewhere, a sentence a line.
    pub(crate) fn elsewhere(&self) -> Vec<String> {
        match self.record {
            Record::Trial(trial) if !trial.unrelated.is_empty() => {
                let kept = trial.unrelated.iter().filter(|probe| probe.argmax_kept).count();
                vec![format!("unrelated predictions kept: {kept} of {}", trial.unrelated.len())]
            }
            Record::Patch(patch) => probed(&patch.probes),
            _ => Vec::new(),
        }
    }
}

/// One line for each of the two probe sets.
fn probed(probes: &Probed) -> Vec<String> {
    let Probed { related, target, argmax, now, .. } = probes;
    let sets = [("same subtype", 0..*related), ("other subtypes", *related..argmax.len())];
    let line = |(name, set): (&str, std::ops::Range<usize>)| {
        let mean = |ranks: &[u32]| {
            let sum: f64 = ranks[set.clone()].iter().map(|&rank| f64::from(rank)).sum();
            sum / set.len().max(1) as f64
        };
        let top = set.clone().filter(|&index| target.rank_after[index] == 1).count();
        let kept = set.clone().filter(|&index| now[index] == argmax[index]).count();
        format!(
            "probed on {} of the {name}: target at mean rank {:.1} → {:.1}, on top in {top}; argmax kept \
             in {kept}",
            set.len(),
            mean(&target.rank_before),
            mean(&target.rank_after)
        )
    };
    sets.into_iter().map(line).collect()
}

/// A token as text, or by its id, where the record (of format 1) has no text.
pub(crate) fn token(text: &str, id: u32) -> String {
    if text.is_empty() { format!("(id {id})") } else { format!("{text:?} (id {id})") }
}

/// An outcome in words.
pub(crate) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Solved => "solved",
        Outcome::Skipped => "skipped",
        Outcome::AlreadySolved => "already solved",
    }
}
