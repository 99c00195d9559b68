//! Whether a record of a probed edit can be true.

use crate::record::{Change, Outcome, PatchRecord};
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
    ensure!(
        probes.is_whole(),
        "trial {id} of `{method}` contradicts itself: its lists of probes are of unequal length"
    );
    Ok(())
}
