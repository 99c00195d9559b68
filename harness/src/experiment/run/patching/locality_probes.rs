//! Prompts of other data, on which edits are probed.

use super::super::prepare::PreparedPrompt;
use crate::edit::Edit;
use crate::engine::probe::Probes;
use crate::experiment::plan::spread;
use crate::method::observe;
use crate::model::CausalLm;
use crate::records::UnrelatedProbe;
use anyhow::Result;

/// Prompts spread over all data, traced once.
pub(super) struct LocalityProbes<'m> {
    /// Data set and datum of each.
    data: Vec<(usize, usize)>,
    probes: Probes<'m>,
}

impl<'m> LocalityProbes<'m> {
    /// `count` of `prompts`, held in `memory` bytes.
    pub(super) fn new(
        model: &'m dyn CausalLm,
        prompts: &[PreparedPrompt<'_>],
        count: usize,
        memory: usize,
    ) -> Self {
        let chosen = spread(prompts.len(), count).into_iter().map(|index| &prompts[index]);
        let chosen: Vec<&PreparedPrompt<'_>> = chosen.collect();
        let ids: Vec<Vec<u32>> = chosen.iter().map(|prompt| prompt.ids.prompt.clone()).collect();
        let data = chosen.iter().map(|p| (p.planned.dataset, p.planned.datum)).collect();
        Self { data, probes: Probes::new(model, &ids, memory) }
    }

    /// Measures the effect of `edit`, which puts `target` on top after `prompt`, on the other prompts.
    pub(super) fn probe(
        &self,
        prompt: &PreparedPrompt<'_>,
        edit: &Edit,
        target: u32,
    ) -> Result<Vec<UnrelatedProbe>> {
        if self.data.is_empty() {
            return Ok(Vec::new());
        }
        let own = (prompt.planned.dataset, prompt.planned.datum);
        let before = observe(self.probes.before(), target)?;
        let after = observe(&self.probes.after(edit), target)?;
        let seen = before.iter().zip(&after).zip(&self.data);
        Ok(seen
            .filter(|(_, datum)| **datum != own)
            .map(|((before, after), _)| UnrelatedProbe {
                argmax_kept: before.argmax == after.argmax,
                target_rank_before: before.target_rank,
                target_rank_after: after.target_rank,
                target_probability_before: before.target_probability,
                target_probability_after: after.target_probability,
            })
            .collect())
    }
}
