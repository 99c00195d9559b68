//! Errors repaired in one go, by a method that can.

use super::run::{MadeRepair, SequenceCourse};
use crate::edit::{Edit, Outcome, Phases};
use crate::engine::device::Clock;
use crate::method::attempt::Attempt;
use crate::method::{Method, Repair, Request, Together};
use anyhow::Result;

impl SequenceCourse<'_> {
    /// The errors `group`, repaired together on top of `standing`, the patches `ids`. The part of the edit that is of
    /// an error it does not solve is taken out again, as a failed repair leaves nothing behind; that repeats until all
    /// errors with a part are solved.
    pub(super) fn repair_together(
        &self,
        (method, together): (&dyn Method, &dyn Together),
        group: &[usize],
        standing: &Edit,
        ids: &[String],
    ) -> Result<Vec<MadeRepair>> {
        let model = self.loaded.model.as_ref();
        let clock = Clock::start(model.spec().device);
        let before = self.seen(group, standing)?;
        let is_wrong = |place: &usize| before[*place].target_rank > 1;
        let wrong: Vec<usize> = (0..group.len()).filter(is_wrong).collect();
        let request = |&place: &usize| {
            let wanted = vec![self.wanted(group[place])];
            Request { wanted, keep: Vec::new() }
        };
        let requests: Vec<Request> = wrong.iter().map(request).collect();
        let made = if requests.is_empty() {
            Vec::new()
        } else {
            together.edits(model, standing, &requests)?
        };
        let mut edits: Vec<Option<Edit>> = vec![None; group.len()];
        for (&place, edit) in wrong.iter().zip(made) {
            edits[place] = Some(edit);
        }
        let under = |edits: &[Option<Edit>]| {
            let whole = edits.iter().flatten().fold(standing.clone(), |sum, own| sum.and(own));
            self.seen(group, &whole.merged())
        };
        let tried = under(&edits)?;
        let mut after = tried.clone();
        loop {
            let fails = |place: &usize| edits[*place].is_some() && after[*place].target_rank > 1;
            let failed: Vec<usize> = (0..group.len()).filter(fails).collect();
            if failed.is_empty() {
                break;
            }
            failed.into_iter().for_each(|place| edits[place] = None);
            after = under(&edits)?;
        }
        let seconds = clock.seconds() / wrong.len().max(1) as f64;
        let phases = Phases { estimate: seconds, ..Phases::default() };
        let attempts = edits.into_iter().enumerate().map(|(place, edit)| {
            let before = before[place];
            let (outcome, after, seconds) = match (before.target_rank, &edit) {
                (1, _) => (Outcome::AlreadySolved, before, Phases::default()),
                (_, Some(_)) => (Outcome::Solved, after[place], phases),
                (_, None) => (Outcome::Skipped, tried[place], phases),
            };
            let repair = Repair {
                edit: edit.unwrap_or_else(Edit::none),
                solved: outcome != Outcome::Skipped,
                located: Vec::new(),
                neurons: Vec::new(),
                parallel: None,
                after,
                seconds,
            };
            Attempt { before, outcome, repair, halvings: 0 }
        });
        let label = method.label();
        attempts.zip(group).map(|(own, &index)| self.made(label, index, &own, ids)).collect()
    }
}
