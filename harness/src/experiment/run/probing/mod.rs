//! The probing experiment (paper, III-A and III-D): a sample of a benchmark is patched, and the edit
//! is probed on the other samples of its type.

mod baseline;
mod case;
mod forecast;
mod parallel;
mod row_cases;
mod type_probes;

pub use self::baseline::{Baseline, baselines, describe_baselines};
pub use self::case::Case;

pub(super) use self::parallel::Surroundings;

use self::type_probes::TypeProbes;
use super::failed::FailedTrials;
use super::ids;
use super::resume::Done;
use super::strict::Weights;
use crate::config::{Config, MentConfig, Order, ProbingConfig, Shard, Undeclared};
use crate::data::benchmark::{Benchmark, Place};
use crate::data::dataset::Pair;
use crate::edit::{Edit, Hint};
use crate::engine::device::Clock;
use crate::error::NonFinite;
use crate::experiment::plan::cases;
use crate::experiment::prompt::render;
use crate::method::Method;
use crate::method::attempt::{Attempt, Traces, Warm, Workbench, attempt};
use crate::method::ment::{self, Ment};
use crate::model::Loaded;
use crate::records::store::Store;
use crate::records::view::about_case;
use crate::records::{CaseName, CaseRecord, ProbeTrial, Record, Texts, Trial, TrialId};
use crate::system::{progress, signal};
use anyhow::{Context, Result};
use indicatif::ProgressBar;
use std::collections::{BTreeMap, HashSet};
use tch::Tensor;

/// A prepared experiment.
pub(super) struct Probing<'a> {
    pub(super) config: &'a Config,
    pub(super) settings: &'a ProbingConfig,
    pub(super) benchmark: &'a Benchmark,
    pub(super) loaded: &'a Loaded,
    pub(super) methods: &'a [Box<dyn Method>],
    /// Prefix of the trial ids of a method, by label.
    pub(super) hashes: BTreeMap<String, String>,
    pub(super) surroundings: Surroundings<'a>,
    pub(super) shard: Option<Shard>,
    /// Names of the only cases to run, by [`about_case`].
    pub(super) only: Option<&'a HashSet<String>>,
    pub(super) weights: Weights,
    pub(super) store: Store,
    pub(super) done: Done,
    pub(super) failed: FailedTrials,
}

/// A case that is patched.
struct OpenCase {
    /// Sample of the case, and the index of its target.
    at: (Place, usize),
    name: CaseName,
    case: Case,
    ids: Tensor,
    /// The sample with its target as a demonstration, if a method asks for it.
    hint: Option<Hint>,
    /// The edit that all methods start from.
    standing: Edit,
}

impl Probing<'_> {
    pub(super) fn run(mut self) -> Result<()> {
        let own = self.own();
        let bar = progress::bar("patch and probe", own.len() * self.methods.len());
        let nudge = nudge(self.settings, self.config, self.loaded)?;
        let mut warm = Warm::default();
        for of in 0..self.benchmark.types.len() {
            let (open, closed): (Vec<_>, Vec<_>) = own
                .iter()
                .filter(|(place, _)| self.benchmark.type_of(*place) == of)
                .partition(|case| self.is_open(**case));
            bar.inc((closed.len() * self.methods.len()) as u64);
            if !open.is_empty() {
                self.treat_type(of, &open, nudge.as_ref(), &mut warm, &bar)?;
            }
        }
        bar.finish_and_clear();
        self.failed.end()
    }

    /// The cases that this process patches.
    fn own(&self) -> Vec<(Place, usize)> {
        cases(self.benchmark, self.settings.cases)
            .into_iter()
            .enumerate()
            .filter(|(index, _)| self.shard.is_none_or(|shard| shard.takes(*index)))
            .map(|(_, case)| case)
            .filter(|case| {
                self.only.is_none_or(|only| only.contains(&about_case(&self.name(*case))))
            })
            .collect()
    }

    /// Every method on every `open` case of type `of`.
    fn treat_type(
        &mut self,
        of: usize,
        open: &[(Place, usize)],
        nudge: Option<&Ment>,
        warm: &mut Warm,
        bar: &ProgressBar,
    ) -> Result<()> {
        bar.set_message(format!("{}: samples traced", self.benchmark.types[of]));
        let memory = self.config.execution.memory() / 2;
        let probes = TypeProbes::new(self.benchmark, of, self.settings, self.loaded, memory)?;
        let mut admitted = Vec::with_capacity(open.len());
        for &case in open {
            signal::check()?;
            match self.admit(&probes, case, nudge)? {
                Some(open) => admitted.push(open),
                None => bar.inc(self.methods.len() as u64),
            }
        }
        for method in self.methods {
            bar.set_message(format!("{}: warm-up", method.label()));
            warm.up(method.as_ref(), || self.warm_up(method.as_ref(), &admitted))?;
        }
        for open in &admitted {
            let unpatched = probes.logits(&open.standing);
            let mut traces = Traces::default();
            for method in self.methods {
                if !self.done.patched(&self.id(method.as_ref(), &open.name)) {
                    signal::check()?;
                    bar.set_message(format!("{} on {}", method.label(), open.name));
                    let at = (open, &unpatched);
                    let trial = self.treat(method.as_ref(), &probes, at, &mut traces);
                    let name = || format!("{} on {}", method.label(), open.name);
                    self.failed.catch(name, trial)?;
                }
                bar.inc(1);
            }
        }
        Ok(())
    }

    /// Repairs the last case that `method` has not met yet and drops the result: warm-up, once per kind of
    /// method. Returns false if there was no such case.
    fn warm_up(&self, method: &dyn Method, admitted: &[OpenCase]) -> Result<bool> {
        let is_missing = |open: &&OpenCase| !self.done.patched(&self.id(method, &open.name));
        let Some(last) = admitted.iter().rfind(is_missing) else { return Ok(false) };
        match self.attempt(method, last, last.case.target, &mut Traces::default()) {
            Err(error) if !error.is::<NonFinite>() => Err(error),
            _ => Ok(true),
        }
    }

    /// The sample of a case with its target as a demonstration, if a method asks for it.
    fn hint(&self, (place, target): (Place, usize)) -> Result<Option<Hint>> {
        if !self.methods.iter().any(|method| method.kind().is_prompt()) {
            return Ok(None);
        }
        let symbol = &self.benchmark.subtypes[place.subtype].targets[target];
        let sample = self.benchmark.sample(place);
        let output = format!("{}{symbol}", sample.before);
        let pair = Pair { input: sample.intent.clone(), output };
        ids::hint(self.settings.templates().0, self.loaded, &pair).map(Some)
    }

    fn name(&self, (place, target): (Place, usize)) -> CaseName {
        let subtype = &self.benchmark.subtypes[place.subtype];
        CaseName {
            of: self.benchmark.types[subtype.of].clone(),
            subtype: subtype.name.clone(),
            sample: place.sample + 1,
            symbol: subtype.targets[target].clone(),
        }
    }

    /// True if some work on a case is left.
    fn is_open(&self, case: (Place, usize)) -> bool {
        self.is_open_in(&self.done, case)
    }

    /// True if a record of the case is missing in `done`.
    fn is_open_in(&self, done: &Done, case: (Place, usize)) -> bool {
        let name = self.name(case);
        let mut methods = self.methods.iter().map(AsRef::as_ref);
        match done.case(&name) {
            Some(case) => {
                !case.dropped && methods.any(|method| !done.patched(&self.id(method, &name)))
            }
            None => true,
        }
    }

    /// Records the prediction of the unedited model on a case; `None` if the case is dropped. Where the
    /// declared token is not predicted, `nudge` makes it so, if it can.
    fn admit(
        &mut self,
        probes: &TypeProbes<'_>,
        at: (Place, usize),
        nudge: Option<&Ment>,
    ) -> Result<Option<OpenCase>> {
        let name = self.name(at);
        let case = probes.case(at.0, at.1).clone();
        let seen = probes.before(&case, &[case.target, case.argmax]);
        let seen = seen.with_context(|| format!("{name}, unedited"))?;
        let (before, declared) = (seen[0], seen[1]);
        let expected = declared.target_rank == 1;
        let dropped = !expected && self.settings.undeclared == Undeclared::Drop;
        let ids: Vec<i64> = case.prompt.iter().map(|&id| i64::from(id)).collect();
        let ids = Tensor::from_slice(&ids).to_device(self.loaded.model.spec().device);
        let hint = self.hint(at)?;
        let mut open = OpenCase { at, name, case, ids, hint, standing: Edit::none() };
        let mut nudged = None;
        if let Some(nudge) = nudge.filter(|_| !expected) {
            let (target, mut traces) = (open.case.argmax, Traces::default());
            let repair = self.attempt(nudge, &open, target, &mut traces)?.repair;
            nudged = Some(repair.solved);
            open.standing = repair.edit;
        }
        if self.done.case(&open.name).is_none() {
            let (name, case) = (open.name.clone(), &open.case);
            let text = |id: u32| self.loaded.tokenizer.token(id);
            self.write(Record::Case(CaseRecord {
                name,
                prompt_text: self.loaded.tokenizer.decode(&case.prompt)?,
                prompt_tokens: case.prompt.len(),
                declared: case.argmax,
                declared_rank: declared.target_rank,
                declared_probability: declared.target_probability,
                target: case.target,
                before,
                target_text: text(case.target)?,
                argmax_text: text(before.argmax)?,
                dropped,
                nudged,
                unplaced: probes.unplaced,
            }))?;
        }
        Ok((!dropped).then_some(open))
    }

    /// Attempts to repair `target` after the prompt of `open` with `method`. `traces` are those of that
    /// prompt: each is made once, and its time counts for every method that needs it.
    fn attempt(
        &self,
        method: &dyn Method,
        open: &OpenCase,
        target: u32,
        traces: &mut Traces,
    ) -> Result<Attempt> {
        let memory = self.config.execution.memory() / 4; // the probes have half
        let workbench = Workbench { config: self.config, loaded: self.loaded, memory };
        let traced = workbench.trace(method, &open.ids, &open.standing, traces);
        let clock = Clock::ahead(self.loaded.model.spec().device, traced.seconds);
        let parallel = self.surroundings.of(open.at.0);
        let context = workbench.context(&open.ids, traced, &parallel, open.hint.as_ref());
        attempt(method, &context, (open.case.prompt.len() - 1, target), clock)
    }

    fn id(&self, method: &dyn Method, case: &CaseName) -> TrialId {
        TrialId::of_case(&self.hashes[method.label()], case)
    }

    /// Patches one case and probes the edit. `unpatched` are the logits of the probes before
    /// any method.
    fn treat(
        &mut self,
        method: &dyn Method,
        probes: &TypeProbes<'_>,
        (open, unpatched): (&OpenCase, &Tensor),
        traces: &mut Traces,
    ) -> Result<()> {
        let id = self.id(method, &open.name);
        let Attempt { before, outcome, repair, halvings } =
            self.attempt(method, open, open.case.target, traces)?;
        let (after, target) = (repair.after, open.case.target);
        let text = |id: u32| self.loaded.tokenizer.token(id);
        let texts = Texts {
            target: text(target)?,
            before: text(before.argmax)?,
            after: text(after.argmax)?,
        };
        let edit = open.standing.and(&repair.edit);
        let probes = probes.probe(self.benchmark, open.at, unpatched, &edit)?;
        self.weights.check(self.loaded.model.as_ref(), &id)?;
        let trial = Trial {
            id,
            method: method.label().to_string(),
            target,
            texts,
            outcome,
            before,
            after,
            neurons: repair.neurons,
            size: repair.edit.size(self.loaded.model.as_ref()),
            parallel: repair.parallel,
            halvings,
            seconds: repair.seconds,
        };
        let (name, probes) = (open.name.clone(), Box::new(probes));
        self.write(Record::Probe(ProbeTrial { trial, name, probes }))
    }

    fn write(&mut self, record: Record) -> Result<()> {
        self.store.append(&record)?;
        self.done.add(record);
        Ok(())
    }
}

/// MENT that makes declared tokens the argmax, if the config asks for it.
fn nudge(settings: &ProbingConfig, config: &Config, loaded: &Loaded) -> Result<Option<Ment>> {
    let wanted = settings.undeclared == Undeclared::Nudge;
    let make = || ment::MentMaker::new(config, loaded).make(MentConfig::default());
    Ok(if wanted { Some(make()?) } else { None })
}

/// The text of the sample at `place` up to its argmax symbol, after the demonstrations of its subtype.
fn text(benchmark: &Benchmark, place: Place, settings: &ProbingConfig) -> String {
    let (subtype, sample) = (&benchmark.subtypes[place.subtype], benchmark.sample(place));
    let count = settings.demonstrations.unwrap_or(usize::MAX);
    let demonstrations: Vec<&Pair> = subtype.demonstrations.iter().take(count).collect();
    let order = Order::MostSimilarFirst; // as they are listed
    render(settings.templates(), order, &demonstrations, &sample.intent) + &sample.before
}
