//! Whether a record of a probed edit can be true.

use crate::record::{Change, Outcome, PatchRecord, Probed};
use anyhow::{Context, Result, ensure};

/// A solved case has its target on top and 1 to quota neurons; a skipped one has neither, and its
/// edit, which is none, changes no probe.
pub(super) fn check(patch: &PatchRecord, quota: Option<f64>) -> Result<()> {
    let PatchRecord { id, method, after, neurons, probes, .. } = patch;
    let quota = quota.with_context(|| {
        format!("trial {id} is of `{method}`, which the manifest does not name")
    })?;
    let unchanged = |change: &Change| {
        change.rank_before == change.rank_after
            && change.probability_before == change.probability_after
    };
    let untouched = unchanged(&probes.target) && unchanged(&probes.argmax_is);
    let sound = match patch.outcome {
        Outcome::Solved => {
            after.target_rank == 1 && (1.0..=quota).contains(&(neurons.len() as f64))
        }
        Outcome::Skipped => after.target_rank > 1 && untouched,
        Outcome::AlreadySolved => neurons.is_empty() && untouched,
    };
    ensure!(
        sound,
        "trial {id} of `{method}` contradicts itself: {:?} with {} neurons of a quota of {quota}, the \
         target at rank {}, its probes {}",
        patch.outcome,
        neurons.len(),
        after.target_rank,
        if untouched { "unchanged" } else { "changed" }
    );
    let Probed { related, target, argmax, argmax_is, now, now_is } = probes.as_ref();
    let long = |change: &Change| {
        let Change { rank_before, rank_after, probability_before, probability_after } = change;
        let lists = [rank_before.len(), rank_after.len()];
        let others = [probability_before.len(), probability_after.len()];
        lists.into_iter().chain(others).all(|length| length == argmax.len())
    };
    ensure!(
        [target, argmax_is, now_is].into_iter().all(long)
            && now.len() == argmax.len()
            && *related <= argmax.len(),
        "trial {id} of `{method}` contradicts itself: its lists of probes are of unequal length"
    );
    Ok(())
}
