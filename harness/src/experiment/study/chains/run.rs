//! The chains, measured.

use super::judge::names;
use super::record::{Chain, ChainStep, Edited, RepairedChainToken};
use super::{ChainCase, Chains, Extent};
use crate::config::Config;
use crate::edit::Edit;
use crate::error::InputError;
use crate::experiment::run::FailedTrials;
use crate::method::{self, Method};
use crate::model::Loaded;
use crate::own_model::generate::{Ended, GenerateSettings, Sampling, Stops, generate};
use crate::own_model::kept::{Drift, KeptReading, KeptTexts};
use crate::own_model::patch::file::{Card, Patch};
use crate::own_model::patch::repair::{Failed, Shown, Task, TaskOutcome, repair};
use crate::records::manifest::Manifest;
use crate::records::store::journal::Journal;
use crate::system::{progress, signal};
use anyhow::Result;
use std::path::Path;
use std::time::Instant;

/// Runs the study of `chains` into `folder`, or continues it.
///
/// # Errors
/// If the unedited model says what no case says it does, the folder is of another study, or the user
/// stops.
pub fn run(
    config: &Config,
    chains: &Chains,
    loaded: &Loaded,
    manifest: &Manifest,
    folder: &Path,
) -> Result<()> {
    let (mut journal, mut steps) = Journal::open::<ChainStep>(folder, manifest)?;
    let mut write = |step: ChainStep, steps: &mut Vec<ChainStep>| {
        journal.append(&step)?;
        steps.push(step);
        anyhow::Ok(())
    };
    let kept = KeptTexts::read(chains.keep.as_deref(), loaded)?;
    let unedited = kept.under(loaded, &Edit::none())?;
    let course = ChainsCourse { config, chains, loaded, folder, kept, unedited };

    let questions = chains.case.iter().map(|case| &case.question).chain(&chains.controls);
    let bar = progress::bar("chains", chains.case.len() + chains.controls.len());
    for question in questions {
        signal::check()?;
        if before(&steps, question).is_none() {
            let (question, chain) = (question.clone(), course.chain(question, &Edit::none())?);
            write(ChainStep::Before { question, chain }, &mut steps)?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let tasks = course.tasks(&steps)?;

    let methods = method::all(config, loaded)?;
    let mut failed = FailedTrials::default();
    let bar = progress::bar("edits", tasks.len() * methods.len() * chains.repair.len());
    for (case, task) in &tasks {
        for method in &methods {
            for &extent in &chains.repair {
                signal::check()?;
                bar.set_message(format!("{}, {} on {}", method.label(), extent.label(), case.name));
                let own =
                    |edited: &&Edited| edited.method == method.label() && edited.case == case.name;
                if !edits(&steps).filter(own).any(|edited| edited.extent == extent) {
                    let known: Vec<&Edited> = edits(&steps).filter(own).collect();
                    let edited = course.edited(method.as_ref(), (case, task), extent, &known);
                    let name =
                        || format!("{}, {} on {}", method.label(), extent.label(), case.name);
                    if let Some(edited) = failed.catch(name, edited)? {
                        write(ChainStep::Edited(edited), &mut steps)?;
                    }
                }
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    failed.end()
}

/// The chain of the unedited model, if it is among `steps`.
fn before<'s>(steps: &'s [ChainStep], question: &str) -> Option<&'s Chain> {
    steps.iter().find_map(|step| match step {
        ChainStep::Before { question: asked, chain } if asked == question => Some(chain),
        _ => None,
    })
}

fn edits(steps: &[ChainStep]) -> impl Iterator<Item = &Edited> {
    steps.iter().filter_map(|step| match step {
        ChainStep::Edited(edited) => Some(edited),
        ChainStep::Before { .. } => None,
    })
}

/// A study under way.
struct ChainsCourse<'a> {
    config: &'a Config,
    chains: &'a Chains,
    loaded: &'a Loaded,
    folder: &'a Path,
    kept: KeptTexts,
    /// The kept texts without an edit.
    unedited: KeptReading,
}

impl ChainsCourse<'_> {
    /// Generates the model's answer under `edit`.
    fn chain(&self, question: &str, edit: &Edit) -> Result<Chain> {
        signal::check()?;
        let stops = Stops::new(self.chains.stop.clone());
        let settings =
            GenerateSettings { tokens: self.chains.tokens.0, sampling: Sampling::GREEDY, stops };
        let ids = self.loaded.tokenizer.encode(&self.chains.prompt(question))?;
        let written = generate(self.loaded, &ids, edit, &settings, |_| {})?;
        let tokens = self.loaded.tokenizer.pieces(&ids, &written.ids, &written.text)?;
        let cut = matches!(written.ended, Ended::Length | Ended::Context);
        Ok(Chain { tokens, cut })
    }

    /// Cases that the unedited model answers as they say, each with its tasks.
    ///
    /// # Errors
    /// If there is none.
    fn tasks(&self, steps: &[ChainStep]) -> Result<Vec<(&ChainCase, [Task; 2])>> {
        let mut tasks = Vec::new();
        let mut unfit = Vec::new();
        for case in &self.chains.case {
            match self.task(case, steps)? {
                Ok(task) => tasks.push((case, task)),
                Err(reason) => {
                    unfit.push(format!("case `{}`: the unedited model {reason}", case.name));
                }
            }
        }
        if tasks.is_empty() {
            return Err(InputError::new(unfit.join("\n")));
        }
        unfit.iter().for_each(|reason| tracing::warn!("{reason}; left out"));
        Ok(tasks)
    }

    /// The right name where the model says the wrong one, up to its first wrong token and whole; or why
    /// this is no case of this model.
    fn task(&self, case: &ChainCase, steps: &[ChainStep]) -> Result<Result<[Task; 2], String>> {
        let chain = before(steps, &case.question).map(Chain::text).unwrap_or_default();
        if !chain.starts_with(&format!("{} {}", case.lead, case.wrong)) {
            return Ok(Err(format!("does not say {:?} after the lead: {chain:?}", case.wrong)));
        }
        let (first, later) = chain.split_once('\n').unwrap_or((&chain, ""));
        if !names(first, &case.wrong) || !later.lines().any(|line| names(line, &case.wrong)) {
            return Ok(Err(format!("does not say {:?} again later: {chain:?}", case.wrong)));
        }
        let prompt = self.chains.prompt(&case.question) + &case.lead;
        let name =
            Task::new(self.loaded, &self.loaded.tokenizer, &prompt, &format!(" {}", case.right))?;
        match name.wrong(self.loaded)?.first() {
            Some(&first) => Ok(Ok([name.up_to(first, self.loaded)?, name])),
            None => Ok(Err("says the right name already".into())),
        }
    }

    /// A case under `method`. `known` is the same with other extents: where an edit is one of theirs, so
    /// is all that comes of it.
    fn edited(
        &self,
        method: &dyn Method,
        (case, [token, name]): (&ChainCase, &[Task; 2]),
        extent: Extent,
        known: &[&Edited],
    ) -> Result<Edited> {
        let task = if extent == Extent::Token { token } else { name };
        let clock = Instant::now();
        let repairs = repair(self.loaded, self.config, method, task, &Edit::none())?;
        let tried = repairs.failed.as_ref().map(|Failed { tried, .. }| tried);
        let edited = Edited {
            method: method.label().into(),
            extent,
            case: case.name.clone(),
            tokens: repairs.done.iter().chain(tried).map(RepairedChainToken::of).collect(),
            failed: repairs.failed.as_ref().map(|failed| failed.reason.clone()),
            chain: None,
            controls: Vec::new(),
            changed: None,
            perplexity: None,
            seconds: clock.elapsed().as_secs_f64(),
        };
        if repairs.failed.is_some() {
            return Ok(edited);
        }
        self.keep(&edited, task, &repairs)?;
        if let Some(same) = known.iter().find(|known| known.tokens == edited.tokens) {
            let Edited { extent, seconds, .. } = edited;
            return Ok(Edited { extent, seconds, ..(*same).clone() });
        }
        let edit = &repairs.edit;
        let drift = Drift::between(&self.unedited, &self.kept.under(self.loaded, edit)?);
        let controls = self.chains.controls.iter().map(|question| self.chain(question, edit));
        Ok(Edited {
            chain: Some(self.chain(&case.question, edit)?),
            controls: controls.collect::<Result<_>>()?,
            changed: Some((drift.changed, drift.positions)),
            perplexity: Some((drift.perplexity_before, drift.perplexity_after)),
            ..edited
        })
    }

    /// The edit as a patch that `ment apply` takes, beside the records.
    fn keep(&self, edited: &Edited, task: &Task, repairs: &TaskOutcome) -> Result<()> {
        let card = Card::new(self.config, self.loaded, &edited.method, task, repairs, Vec::new());
        let (method, extent) =
            (super::super::slug(&edited.method), super::super::slug(edited.extent.label()));
        let patches = self.folder.join("patches");
        let path = patches.join(format!("{}.{method}.{extent}.safetensors", edited.case));
        Patch::new(card, &repairs.edit)?.write_again(&path).map(drop)
    }
}

impl RepairedChainToken {
    fn of(shown: &Shown) -> Self {
        let repaired = &shown.repaired;
        Self {
            target: repaired.target.clone(),
            was: repaired.was.clone(),
            before: repaired.before,
            after: repaired.after,
            neurons: repaired.neurons.clone(),
        }
    }
}
