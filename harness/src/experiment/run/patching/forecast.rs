//! Forecast of the time that the patching experiment takes.

use super::super::forecast::{Forecast, Work};
use super::super::prepare::PreparedPrompt;
use super::super::resume::Done;
use super::Patching;
use super::locality_probes::LocalityProbes;
use super::repair::DatumCourse;
use crate::engine::device::Clock;
use crate::experiment::plan::spread;
use crate::method::attempt::{Traces, Warm};
use crate::records::{DatumRecord, TrialId};
use crate::system::signal;
use anyhow::Result;
use std::collections::HashMap;

/// Data of a data set that are predicted to see how many errors there are.
const PREDICTED: usize = 16;

/// The prompts of one data set.
struct ShareOfWork<'a> {
    /// Index of the data set in the config.
    index: usize,
    prompts: Vec<&'a PreparedPrompt<'a>>,
    /// Prompts that are predicted now.
    sample: Vec<&'a PreparedPrompt<'a>>,
}

impl<'a> Patching<'a> {
    /// Predicts a few data of each data set and has every method repair one error of each, in a folder that
    /// is thrown away. `there` is what the run has measured.
    pub(in super::super) fn forecast(mut self, there: &Done) -> Result<Forecast> {
        let mut shares: Vec<ShareOfWork<'a>> =
            (0..self.config.dataset.len()).map(|index| self.share(index, there)).collect();
        for share in &mut shares {
            if self.is_done(share, there) {
                share.sample.clear();
            }
        }
        self.own = shares.iter().flat_map(|share| share.sample.iter().copied()).collect();
        let clock = Clock::start(self.loaded.model.spec().device);
        self.predict_all()?; // cheap beside a repair
        let a_prediction = clock.seconds() / self.own.len().max(1) as f64;
        let (model, execution) = (self.loaded.model.as_ref(), &self.config.execution);
        let (count, memory) = (execution.unrelated_probes, execution.memory() / 2);
        let locality = LocalityProbes::new(model, self.prompts, count, memory);
        let mut warm = Warm::default();
        for method in self.methods.iter().filter(|_| !self.own.is_empty()) {
            signal::check()?;
            warm.up(method.as_ref(), || self.warm_up(method.as_ref()))?;
        }
        let mut forecast = Forecast::default();
        for share in &shares {
            let seconds = self.time(share, &locality)?;
            self.add(share, there, &seconds, &mut forecast);
            let known = |prompt: &&&PreparedPrompt<'_>| self.known(there, prompt).is_some();
            let open = share.prompts.len() - share.prompts.iter().filter(known).count();
            forecast.besides += open as f64 * a_prediction;
        }
        forecast.notes.push(format!(
            "measured on one error of each data set, repaired by every method; the number of errors \
             is estimated from {PREDICTED} data of it and those recorded; attributions of prompts \
             met before make later errors faster"
        ));
        if self.config.execution.free {
            forecast
                .notes
                .push("what the model writes by itself (execution.free) is not included".into());
        }
        Ok(forecast)
    }

    fn share(&self, index: usize, there: &Done) -> ShareOfWork<'a> {
        let own = self.own.iter().filter(|prompt| prompt.planned.dataset == index);
        let prompts: Vec<&PreparedPrompt<'_>> = own.copied().collect();
        let open = |prompt: &&PreparedPrompt<'_>| self.known(there, prompt).is_none();
        let open: Vec<&PreparedPrompt<'_>> = prompts.iter().copied().filter(open).collect();
        let of = if open.is_empty() { &prompts } else { &open };
        let sample = spread(of.len(), PREDICTED).into_iter().map(|place| of[place]).collect();
        ShareOfWork { index, prompts, sample }
    }

    /// True if every datum is predicted and every error has met every method.
    fn is_done(&self, share: &ShareOfWork<'a>, there: &Done) -> bool {
        let name = self.config.dataset[share.index].name;
        share.prompts.iter().all(|prompt| {
            let Some(record) = self.known(there, prompt) else { return false };
            let datum = prompt.planned.datum;
            self.methods.iter().all(|method| {
                let hash = &self.hashes[method.label()];
                let id = |position| TrialId::new(hash, name, datum, position);
                record.errors().all(|position| there.trial(&id(position)).is_some())
            })
        })
    }

    fn known<'d>(&self, done: &'d Done, prompt: &PreparedPrompt<'_>) -> Option<&'d DatumRecord> {
        done.datum(self.dataset(prompt), prompt.planned.datum)
    }

    /// Seconds of one repair, by method; `None` where the sample has no error.
    fn time(
        &mut self,
        share: &ShareOfWork<'a>,
        locality: &LocalityProbes<'_>,
    ) -> Result<HashMap<String, f64>> {
        let mut seconds = HashMap::new();
        for prompt in &share.sample {
            let record = self.known(&self.done, prompt).expect("the sample is predicted").clone();
            let errors: Vec<usize> = record.errors().collect();
            let Some(&position) = errors.get(errors.len() / 2) else { continue };
            let device = self.loaded.model.spec().device;
            let (ids, mut traces) = (prompt.tensor(device), Traces::default());
            for method in self.methods {
                signal::check()?;
                let mut course = DatumCourse::new(method.as_ref(), &record);
                let clock = Clock::start(device);
                self.repair_error(&mut course, (prompt, &ids, position), &mut traces, locality)?;
                seconds.insert(method.label().to_string(), clock.seconds());
            }
            break;
        }
        Ok(seconds)
    }

    /// The work on a data set, method by method.
    fn add(
        &self,
        share: &ShareOfWork<'a>,
        there: &Done,
        seconds: &HashMap<String, f64>,
        forecast: &mut Forecast,
    ) {
        let errors = |prompt: &&PreparedPrompt<'_>| {
            let record = self.known(there, prompt).or_else(|| self.known(&self.done, prompt))?;
            Some(record.errors().count() as f64)
        };
        let counted: Vec<f64> = share.prompts.iter().filter_map(errors).collect();
        let mean = counted.iter().sum::<f64>() / counted.len().max(1) as f64;
        let trials = mean * share.prompts.len() as f64;
        let name = self.config.dataset[share.index].name;
        for method in self.methods {
            let hash = &self.hashes[method.label()];
            let recorded = |prompt: &&PreparedPrompt<'_>| {
                let (datum, record) = (prompt.planned.datum, self.known(there, prompt));
                let positions = record.into_iter().flat_map(DatumRecord::errors);
                let id = |&position: &usize| TrialId::new(hash, name, datum, position);
                positions.filter(|position| there.trial(&id(position)).is_some()).count()
            };
            forecast.works.push(Work {
                of: self.headings[share.index].into(),
                method: method.label().into(),
                trials,
                there: share.prompts.iter().map(recorded).sum::<usize>() as f64,
                seconds: seconds.get(method.label()).copied(),
            });
        }
    }
}
