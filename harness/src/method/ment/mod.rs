//! MENT, Model Editing via Neuron Targeting (paper, II): locate, estimate, plan.

mod deviations;
mod estimate;
mod free;
mod locate;
mod locate_cache;
mod pathways;
mod plan;
mod virtual_distribution;

pub use self::locate::attribution;
pub use self::locate_cache::LocateCache;
pub use self::virtual_distribution::raise_to_top;

use self::free::FreeParts;
use self::plan::Candidates;
use super::star::Star;
use super::{LlmError, Method, Oracle, Repair, RepairContext};
use crate::config::{
    AcrossErrors, AttributedPositions, Config, Layers, Locate, MentConfig, MethodKind, PathwayRule,
    Score, StarConfig, Vocabulary,
};
use crate::edit::{Neuron, Phases};
use crate::engine::device::Clock;
use crate::model::Loaded;
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

/// MENT under one setting.
pub struct Ment {
    config: MentConfig,
    oracle: Rc<Oracle>,
    /// Free parts of neurons, if patches must leave keys alone.
    free: Option<FreeParts>,
}

impl Ment {
    /// MENT under `config`, with the oracle of the model it will be given.
    pub fn new(config: MentConfig, oracle: Rc<Oracle>) -> Self {
        Self { config, oracle, free: None }
    }
}

/// Makes MENT under settings; those with the same rows of the head share its oracle.
pub(crate) struct MentMaker<'a> {
    loaded: &'a Loaded,
    cache: &'a Path,
    oracles: BTreeMap<usize, Rc<Oracle>>,
}

impl<'a> MentMaker<'a> {
    /// For the model of `config`.
    pub(crate) fn new(config: &'a Config, loaded: &'a Loaded) -> Self {
        Self { loaded, cache: &config.model.cache, oracles: BTreeMap::new() }
    }

    /// MENT under the settings `config`.
    ///
    /// # Errors
    /// If the text that keys are estimated on cannot be read, or is too short.
    pub(crate) fn make(&mut self, config: MentConfig) -> Result<Ment> {
        let oracle = self.oracle(&config);
        let layers = self.loaded.model.spec().layers;
        let first = if config.locate.layers == Layers::UpperHalf { layers / 2 } else { 0 };
        let free = |own| FreeParts::new(&config.label, own, self.loaded, first, self.cache);
        let free = config.preserve.as_ref().map(free).transpose()?;
        Ok(Ment { free, ..Ment::new(config, oracle) })
    }

    /// STAR under the settings `config`, which locates as MENT does and shares its oracle.
    pub(super) fn make_star(&mut self, config: StarConfig) -> Star {
        let locate = Locate { layers: Layers::UpperHalf, ..Locate::default() };
        let locate = MentConfig { candidates: config.quota, locate, ..MentConfig::default() };
        let oracle = self.oracle(&locate);
        Star { config, locate, oracle }
    }

    fn oracle(&mut self, config: &MentConfig) -> Rc<Oracle> {
        let rows = rows(config, self.loaded);
        let oracle = || Rc::new(Oracle::cached(self.loaded, rows, self.cache));
        Rc::clone(self.oracles.entry(rows).or_insert_with(oracle))
    }
}

/// Rows of the head that the oracle knows.
fn rows(setting: &MentConfig, loaded: &Loaded) -> usize {
    match setting.estimate.vocabulary {
        Vocabulary::All => loaded.model.spec().vocabulary,
        Vocabulary::Tokenizer => loaded.tokenizer.vocabulary(),
    }
}

/// The neurons that MENT under `config` locates for `error`, and the seconds that this took if they were known
/// before.
pub(super) fn located(
    context: &RepairContext<'_>,
    error: &LlmError,
    config: &MentConfig,
) -> Result<(Vec<Neuron>, f64)> {
    let find = || locate::locate(context, error, config);
    context.located.or_find(context, error, config, find)
}

impl Method for Ment {
    fn label(&self) -> &str {
        &self.config.label
    }

    fn kind(&self) -> MethodKind {
        MethodKind::Ment
    }

    fn keeps_edits(&self) -> bool {
        self.config.across_errors == AcrossErrors::Keep
    }

    fn differentiates_the_datum(&self) -> bool {
        let Locate { score, positions, .. } = &self.config.locate;
        self.config.estimate.pathway_rule == PathwayRule::Contribution
            || (*score == Score::InputTimesGradient && *positions == AttributedPositions::All)
    }

    fn repair(&self, context: &RepairContext<'_>, error: &LlmError) -> Result<Repair> {
        let mut seconds = Phases::default();
        let clock = Clock::start(context.model.spec().device);
        let (neurons, saved) = located(context, error, &self.config)?;
        // Neurons known from another setting take no time here; the method's cost is a first time's.
        seconds.locate = clock.seconds() + saved;

        let clock = Clock::start(context.model.spec().device);
        let logits = context.trace.logits_at(context.model, error.at);
        let mut columns =
            estimate::columns(context, error, &logits, &neurons, &self.config, &self.oracle)?;
        let mut parts = Vec::new();
        if let Some(free) = &self.free {
            let found = columns.iter().map(|column| free.of(context, error.at, column.neuron));
            let found = found.collect::<Result<Vec<_>>>()?;
            let mut kept = found.iter().map(Option::is_some);
            columns.retain(|_| kept.next() == Some(true));
            parts = found.into_iter().flatten().collect();
        }
        let again = estimate::again(&self.config.estimate);
        let candidates = Candidates { columns, parts, again };
        seconds.estimate = clock.seconds();

        plan::plan(context, error, &logits, &candidates, &self.config, seconds)
    }

    fn deviations(&self) -> Vec<String> {
        deviations::list(&self.config)
    }
}
