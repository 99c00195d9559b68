//! Consistency checks of the records of trials.

use crate::edit::Outcome;
use crate::records::{Change, ProbeTrial, Trial};
use anyhow::{Context, Result, ensure};

/// Checks that a solved trial has its target on top and 1 to `quota` patches, and a skipped one has neither. A
/// method whose edits are no patches of neurons has no quota, and no patches.
///
/// # Errors
/// If it has not, or the manifest does not name its method, so that there is no quota.
pub(crate) fn check_trial(trial: &Trial, quota: Option<Option<f64>>) -> Result<()> {
    let Trial { id, method, outcome, after, neurons, .. } = trial;
    let quota = quota.with_context(|| {
        format!("trial {id} is of `{method}`, which the manifest does not name")
    })?;
    let (rank, patches) = (after.target_rank, neurons.len());
    let sound = match outcome {
        Outcome::Solved => {
            let counted = |quota: f64| (1.0..=quota).contains(&(patches as f64));
            rank == 1 && quota.map_or(patches == 0, counted)
        }
        Outcome::Skipped => rank > 1,
        Outcome::AlreadySolved => patches == 0,
    };
    ensure!(
        sound,
        "trial {id} of `{method}` contradicts itself: {outcome:?} with {patches} neurons of a quota of \
         {}, the target at rank {rank}",
        quota.unwrap_or_default()
    );
    Ok(())
}

/// Does the checks of [`check_trial`], and checks that the empty edit of a skipped trial changes no probe,
/// and that every list of probes is whole.
///
/// # Errors
/// As [`check_trial`].
pub(crate) fn check_probe_trial(own: &ProbeTrial, quota: Option<Option<f64>>) -> Result<()> {
    let ProbeTrial { trial, probes, .. } = own;
    check_trial(trial, quota)?;
    let unchanged = |change: &Change| {
        change.rank_before == change.rank_after
            && change.probability_before == change.probability_after
    };
    let untouched = unchanged(&probes.target) && unchanged(&probes.argmax_is);
    let Trial { id, method, outcome, .. } = trial;
    ensure!(
        untouched || *outcome == Outcome::Solved,
        "trial {id} of `{method}` contradicts itself: {outcome:?}, and its probes changed"
    );
    ensure!(
        probes.is_whole(),
        "trial {id} of `{method}` contradicts itself: its lists of probes are of unequal length"
    );
    Ok(())
}
