//! Joint neuron repair, a method of this project: for each request a few neurons that matter after all of its prompts
//! and hardly fire elsewhere; their columns are solved together for all requests, with the predictions after prompts
//! to keep and on a text held in place.

mod kept;
mod locate;
mod solve;

use self::kept::Kept;
use super::keys::KeyStatistics;
use super::{LlmError, Method, Repair, RepairContext, Request, Together, WantedToken, outcome};
use crate::config::{JointConfig, MethodKind};
use crate::edit::{Edit, Phases};
use crate::engine::device::Clock;
use crate::engine::prompt_end::PromptEnd;
use crate::engine::trace::Trace;
use crate::model::{CausalLm, Sequences};
use crate::system::signal;
use anyhow::Result;
use std::cell::OnceCell;
use std::ops::Range;

/// Joint neuron repair under one setting.
pub(super) struct Joint {
    pub(super) config: JointConfig,
    /// Sequences of the text.
    pub(super) text: KeyStatistics,
    /// The text, run through the unedited model when it is first needed.
    pub(super) kept: OnceCell<Kept>,
}

/// The wanted tokens of all requests as ends of prompts.
struct Rows {
    ends: Vec<PromptEnd>,
    /// Wanted token of each end.
    targets: Vec<i64>,
    /// The ends of each prompt of each request: wanted tokens after the same text, one after the other.
    prompts: Vec<Vec<Range<usize>>>,
}

impl Rows {
    /// Runs the prompts of `requests` under `standing`, once each; layers from `first` on are kept.
    fn new(
        (model, standing): (&dyn CausalLm, &Edit),
        requests: &[Request],
        first: usize,
    ) -> Result<Self> {
        let mut rows = Self { ends: Vec::new(), targets: Vec::new(), prompts: Vec::new() };
        for Request { wanted, .. } in requests {
            let mut prompts = Vec::new();
            for group in by_prompt(wanted) {
                signal::check()?;
                let longest = &group[0].ids;
                let trace = Trace::new(model, &sequence(model, longest), standing.clone());
                let start = rows.ends.len();
                for WantedToken { ids, target, .. } in group {
                    rows.ends.push(PromptEnd::new(model, &trace.prefix(ids.len()), *target, first));
                    rows.targets.push(i64::from(*target));
                }
                prompts.push(start..rows.ends.len());
            }
            rows.prompts.push(prompts);
        }
        Ok(rows)
    }
}

/// The tokens that are wanted after texts of which each begins the one before it, longest text first, in groups.
fn by_prompt(wanted: &[WantedToken]) -> Vec<Vec<&WantedToken>> {
    let mut order: Vec<&WantedToken> = wanted.iter().collect();
    order.sort_by_key(|wanted| std::cmp::Reverse(wanted.ids.len()));
    let mut groups: Vec<Vec<&WantedToken>> = Vec::new();
    for wanted in order {
        match groups.iter_mut().find(|group| group[0].ids.starts_with(&wanted.ids)) {
            Some(group) => group.push(wanted),
            None => groups.push(vec![wanted]),
        }
    }
    groups
}

/// `ids` as a batch of one.
fn sequence(model: &dyn CausalLm, ids: &[u32]) -> Sequences {
    Sequences::several(std::iter::once(ids), model.spec().device)
}

impl Joint {
    /// Layers whose neurons are patched: not the last, whose columns write to the output and nothing else.
    fn layers(&self, model: &dyn CausalLm) -> Range<usize> {
        let last = model.spec().layers - 1;
        let first = (model.spec().layers as f64 * self.config.from.0) as usize;
        first.min(last.saturating_sub(1))..last.max(1)
    }
}

impl Together for Joint {
    fn edits(
        &self,
        model: &dyn CausalLm,
        standing: &Edit,
        requests: &[Request],
    ) -> Result<Vec<Edit>> {
        let layers = self.layers(model);
        if self.kept.get().is_none() {
            let kept = Kept::new(model, &self.text, layers.clone())?;
            let _ = self.kept.set(kept);
        }
        let kept = self.kept.get().expect("just set");
        let rows = Rows::new((model, standing), requests, layers.start)?;
        let neurons = locate::locate(model, &rows, kept, (&self.config, layers.clone()))?;
        let near = kept::near((model, standing), requests, layers.start)?;
        let text = kept.under(model, standing)?;
        solve::solve((model, &self.config), (&rows, &neurons), [&near, &text], layers.start)
    }
}

impl Method for Joint {
    fn label(&self) -> &str {
        &self.config.label
    }

    fn kind(&self) -> MethodKind {
        MethodKind::Joint
    }

    fn effort(&self) -> usize {
        1 + self.config.steps.0
    }

    fn repair(&self, context: &RepairContext<'_>, error: &LlmError) -> Result<Repair> {
        let clock = Clock::start(context.model.spec().device);
        let request = Request { wanted: vec![WantedToken::new(context, error)?], keep: Vec::new() };
        let edit = self.edits(context.model, &context.trace.edit, &[request])?.remove(0);
        let seconds = Phases { estimate: clock.seconds(), ..Phases::default() };
        outcome::whole(context, error, edit, seconds)
    }

    fn together(&self) -> Option<&dyn Together> {
        Some(self)
    }

    fn deviations(&self) -> Vec<String> {
        let JointConfig { neurons, steps, rate, .. } = &self.config;
        vec![format!(
            "no approach of the paper, but one of this project: the {} neurons whose columns matter most to the target \
             for how much they fire on the text of keys.from; their columns solved by Adam (rate {}, at most {} steps), \
             the predictions on that text held in place",
            neurons.0, rate.0, steps.0
        )]
    }
}

#[cfg(test)]
mod tests {
    use super::by_prompt;
    use crate::method::WantedToken;

    #[test]
    fn tokens_of_one_target_are_one_prompt() {
        let wanted = |ids: &[u32]| WantedToken { ids: ids.to_vec(), target: 0, subject: None };
        let wanted = [wanted(&[1, 2]), wanted(&[1, 2, 3]), wanted(&[4, 5]), wanted(&[1, 3])];
        let lengths: Vec<Vec<usize>> = by_prompt(&wanted)
            .into_iter()
            .map(|group| group.into_iter().map(|wanted| wanted.ids.len()).collect())
            .collect();
        assert_eq!(lengths, [vec![3, 2], vec![2], vec![2]]);
    }
}
