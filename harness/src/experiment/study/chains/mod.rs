//! `[chains]`: a wrong API in a chain of thought, the edit at a single token, and the chain again
//! (paper, Section I, Figure 1). Do the steps that depend on the API follow, and what else changes?

mod html;
mod judge;
mod markdown;
mod record;
#[cfg(feature = "torch")]
mod run;
mod svg;
mod tables;

pub use self::judge::{Judged, judge};
pub use self::record::{Chain, ChainStep, Edited};
#[cfg(feature = "torch")]
pub use self::run::run;

use crate::config::Positive;
use crate::records::manifest::Manifest;
use crate::records::store::journal;
use crate::table::{Table, export};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// `[chains]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chains {
    /// Beginning of every prompt: demonstrations of the form.
    pub preamble: String,
    /// Text that follows it; holds `{question}`.
    pub form: String,
    /// Texts that end a chain.
    pub stop: Vec<String>,
    /// Tokens of a chain at most.
    pub tokens: Positive,
    /// The line behind which a chain is Python code.
    pub code: String,
    /// Extents of the repair, one row of the table each.
    pub repair: Vec<Extent>,
    /// Texts that should not change; the default ones if left out.
    #[serde(default)]
    pub keep: Option<PathBuf>,
    /// `[[chains.case]]`
    pub case: Vec<ChainCase>,
    /// Questions that the model answers correctly, whose chains should not change.
    #[serde(default)]
    pub controls: Vec<String>,
}

/// Part of the right name that is repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Extent {
    /// The first wrong token; the model continues by itself.
    Token,
    /// All of its wrong tokens.
    Name,
}

impl Extent {
    /// Text shown after a method's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Token => "one token",
            Self::Name => "whole name",
        }
    }
}

/// `[[chains.case]]`: a question that the model answers with a wrong API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainCase {
    /// Name of the case, for files and tables.
    pub name: String,
    /// The library.
    pub library: String,
    /// The question.
    pub question: String,
    /// The model's own chain up to the API's name.
    pub lead: String,
    /// The name that the model says after `lead` and a space.
    pub wrong: String,
    /// The one that is right.
    pub right: String,
}

impl Chains {
    /// Rejects contradictory keys.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.form.matches("{question}").count() != 1 {
            return Err("chains.form must hold {question} exactly once".into());
        }
        if self.case.is_empty() || self.repair.is_empty() {
            return Err("chains needs a [[chains.case]] and something in chains.repair".into());
        }
        let mut names = HashSet::new();
        for case in &self.case {
            let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if case.name.is_empty() || !case.name.chars().all(fine) {
                return Err(format!("case {:?}: a name is of letters, digits, - and _", case.name));
            }
            if !names.insert(&case.name) {
                return Err(format!("case `{}` is there twice", case.name));
            }
            if case.wrong == case.right || case.wrong.is_empty() || case.right.trim().is_empty() {
                return Err(format!(
                    "case `{}`: `right` must be another name than `wrong`",
                    case.name
                ));
            }
        }
        Ok(())
    }

    /// The prompt of a question.
    pub fn prompt(&self, question: &str) -> String {
        format!("{}{}", self.preamble, self.form.replace("{question}", question))
    }
}

/// The whole study as its page needs it.
struct Whole<'a> {
    manifest: &'a Manifest,
    chains: Chains,
    /// Chains of the unedited model, by question.
    before: Vec<(String, Chain)>,
    /// In the order they were made.
    edited: Vec<Edited>,
}

impl Whole<'_> {
    fn before(&self, question: &str) -> Option<&Chain> {
        self.before.iter().find(|(asked, _)| asked == question).map(|(_, chain)| chain)
    }

    /// Rows of the table: method and extent, in the order of tables.
    fn rows(&self) -> Vec<(String, Extent)> {
        let methods = self.manifest.identity.labels();
        methods
            .flat_map(|method| self.chains.repair.iter().map(|extent| (method.into(), *extent)))
            .collect()
    }

    /// Cases that nothing was done about: the unedited model does not say what they say.
    fn left_out(&self) -> Vec<&str> {
        let done = |case: &&ChainCase| self.edited.iter().any(|edited| edited.case == case.name);
        let others = self.chains.case.iter().filter(|case| !done(case));
        others.map(|case| case.name.as_str()).collect()
    }

    fn edited(&self, (method, extent): &(String, Extent), case: &str) -> Option<&Edited> {
        let own = |e: &&Edited| e.method == *method && e.extent == *extent && e.case == case;
        self.edited.iter().find(own)
    }
}

/// Writes tables, page and pictures of the study in `folder`.
pub(super) fn report(folder: &Path, manifest: &Manifest) -> Result<(Vec<Table>, Vec<PathBuf>)> {
    let chains = manifest.identity.study("chains").context("study.json: no study of chains")?;
    let (mut before, mut edited) = (Vec::new(), Vec::new());
    for step in journal::read::<ChainStep>(folder)? {
        match step {
            ChainStep::Before { question, chain } => before.push((question, chain)),
            ChainStep::Edited(step) => edited.push(step),
        }
    }
    let whole = Whole { manifest, chains, before, edited };
    let tables = vec![tables::follow(&whole), tables::by_case(&whole)];
    let mut files = Vec::new();
    for table in &tables {
        files.extend(export::write(table, folder)?);
    }
    files.extend(svg::write(&whole, folder)?);
    files.push(markdown::write(&whole, &tables, folder)?);
    files.push(html::write(&whole, &tables, folder)?);
    Ok((tables, files))
}
