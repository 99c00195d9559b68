//! The chains, measured.

use super::super::journal::Journal;
use super::record::{Chain, Edited, Step, Token};
use super::{Case, Chains, Extent};
use crate::config::Config;
use crate::edit::Edit;
use crate::generate::{Sampling, Settings, Stops, generate};
use crate::manifest::Manifest;
use crate::method::{self, Method};
use crate::model::Loaded;
use crate::patch::file::{Card, Patch};
use crate::patch::kept::{Drift, Kept};
use crate::patch::repair::{Failed, Repairs, Shown, Task, repair};
use crate::{error::InputError, progress, signal};
use anyhow::Result;
use std::path::Path;
use std::time::Instant;

/// Runs the study of `chains` into `folder`, or goes on with it.
///
/// # Errors
/// If the unedited model does not say what a case says it does, the folder is of another study, or the
/// user stops.
pub fn run(
    config: &Config,
    chains: &Chains,
    loaded: &Loaded,
    manifest: &Manifest,
    folder: &Path,
) -> Result<()> {
    let (mut journal, steps) = Journal::open::<Step>(folder, manifest)?;
    let stops = Stops::new(chains.stop.clone());
    let settings = Settings { tokens: chains.tokens.0, sampling: Sampling::GREEDY, stops };
    let study = Study { chains, loaded, settings };

    let questions = chains.case.iter().map(|case| &case.question).chain(&chains.controls);
    let bar = progress::bar("chains", chains.case.len() + chains.controls.len());
    for question in questions {
        signal::check()?;
        let done = |step: &Step| matches!(step, Step::Before { question: q, .. } if q == question);
        if !steps.iter().any(done) {
            let (question, chain) = (question.clone(), study.chain(question, &Edit::none())?);
            journal.append(&Step::Before { question, chain })?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();

    let kept = Kept::read(chains.keep.as_deref(), loaded)?;
    let unedited = kept.under(loaded, &Edit::none())?;
    let methods = method::all(config, loaded);
    let bar = progress::bar("edits", chains.case.len() * methods.len() * chains.repair.len());
    for case in &chains.case {
        for method in &methods {
            for &extent in &chains.repair {
                signal::check()?;
                bar.set_message(format!("{}, {} on {}", method.label(), extent.label(), case.name));
                let done = |step: &Step| {
                    let Step::Edited(step) = step else { return false };
                    step.method == method.label() && step.extent == extent && step.case == case.name
                };
                if !steps.iter().any(done) {
                    let edited = study.edited(config, method.as_ref(), case, extent)?;
                    let edited = match edited {
                        (edited, None) => edited,
                        (mut edited, Some((task, repairs))) => {
                            let edit = &repairs.edit;
                            let drift = Drift::between(&unedited, &kept.under(loaded, edit)?);
                            edited.changed = Some((drift.changed, drift.positions));
                            edited.perplexity =
                                Some((drift.perplexity_before, drift.perplexity_after));
                            study.keep(config, &edited, (&task, &repairs), manifest, folder)?;
                            edited
                        }
                    };
                    journal.append(&Step::Edited(edited))?;
                }
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    Ok(())
}

struct Study<'a> {
    chains: &'a Chains,
    loaded: &'a Loaded,
    settings: Settings,
}

impl Study<'_> {
    /// What the model answers under `edit`.
    fn chain(&self, question: &str, edit: &Edit) -> Result<Chain> {
        let ids = self.loaded.tokenizer.encode(&self.chains.prompt(question))?;
        let written = generate(self.loaded, &ids, edit, &self.settings, |_| {})?;
        Ok(Chain { tokens: self.loaded.tokenizer.pieces(&ids, &written.ids, &written.text)? })
    }

    /// A case under `method`; with the repairs, where they succeeded.
    fn edited(
        &self,
        config: &Config,
        method: &dyn Method,
        case: &Case,
        extent: Extent,
    ) -> Result<(Edited, Option<(Task, Repairs)>)> {
        let wrong = |what: &str| {
            InputError::new(format!("case `{}`: the unedited model {what}", case.name))
        };
        let prompt = self.chains.prompt(&case.question) + &case.lead;
        let task = Task::new(self.loaded, &prompt, &format!(" {}", case.right))?;
        let first = task.up_to_first_wrong(self.loaded)?;
        let first = first.ok_or_else(|| wrong("says the right name already"))?;
        let chain = self.chain(&case.question, &Edit::none())?.text();
        if !chain.starts_with(&format!("{} {}", case.lead, case.wrong)) {
            return Err(wrong(&format!("does not say {:?} after the lead: {chain:?}", case.wrong)));
        }
        let task = if extent == Extent::Token { first } else { task };
        let clock = Instant::now();
        let repairs = repair(self.loaded, config, method, &task, &Edit::none())?;
        let seconds = clock.elapsed().as_secs_f64();
        let tried = repairs.failed.as_ref().map(|Failed { tried, .. }| tried);
        let token = |shown: &Shown| Token {
            target: shown.repaired.target.clone(),
            was: shown.repaired.was.clone(),
            before: shown.repaired.before,
            after: shown.repaired.after,
            neurons: shown.repaired.neurons.clone(),
        };
        let mut edited = Edited {
            method: method.label().into(),
            extent,
            case: case.name.clone(),
            tokens: repairs.done.iter().chain(tried).map(token).collect(),
            failed: repairs.failed.as_ref().map(|failed| failed.reason.clone()),
            chain: None,
            controls: Vec::new(),
            changed: None,
            perplexity: None,
            seconds,
        };
        if repairs.failed.is_some() {
            return Ok((edited, None));
        }
        edited.chain = Some(self.chain(&case.question, &repairs.edit)?);
        let controls = self.chains.controls.iter();
        edited.controls = controls
            .map(|question| {
                signal::check()?;
                self.chain(question, &repairs.edit)
            })
            .collect::<Result<_>>()?;
        Ok((edited, Some((task, repairs))))
    }

    /// The edit as a patch that `ment apply` takes, beside the records.
    fn keep(
        &self,
        config: &Config,
        edited: &Edited,
        (task, repairs): (&Task, &Repairs),
        manifest: &Manifest,
        folder: &Path,
    ) -> Result<()> {
        let extent = serde_json::to_value(edited.extent)?;
        let extent = extent.as_str().unwrap_or_default();
        let card = Card::new(config, self.loaded, &edited.method, task, repairs, Vec::new());
        let model = manifest.identity.model().to_string();
        let name = format!("{}.{}.{extent}.safetensors", edited.case, slug(&edited.method));
        let patches = folder.join("patches");
        std::fs::create_dir_all(&patches)?;
        let path = patches.join(name);
        if path.exists() {
            std::fs::remove_file(&path)?; // of a process that was killed before it wrote the record
        }
        Patch::new(Card { model, ..card }, &repairs.edit)?.write(&path).map(drop)
    }
}

/// A label as part of a file's name.
pub(in crate::study) fn slug(label: &str) -> String {
    let fine = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let words = label.chars().map(fine).collect::<String>();
    words.split('-').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
}
