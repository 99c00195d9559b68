//! How long the probing experiment will take.

use super::super::attempt::{Traces, Warm};
use super::super::forecast::{Forecast, Work};
use super::super::resume::Done;
use super::{Probing, Stage, nudge};
use crate::benchmark::Place;
use crate::device::Clock;
use crate::record::TrialId;
use crate::signal;
use anyhow::Result;
use std::collections::HashMap;

impl Probing<'_> {
    /// Has every method patch one case, in a folder that is thrown away. `there` is what the run has
    /// measured.
    pub(in super::super) fn forecast(mut self, there: &Done) -> Result<Forecast> {
        let own = self.own();
        let device = self.loaded.model.spec().device;
        let mut forecast = Forecast::default();
        let is_open = |case: &&(Place, usize)| self.is_open_in(there, **case);
        let mut types: Vec<usize> =
            own.iter().filter(is_open).map(|(place, _)| self.benchmark.type_of(*place)).collect();
        types.dedup();
        let first = own.iter().find(is_open).or(own.first()).copied();
        let mut seconds = HashMap::new();
        if let Some(case) = first {
            let clock = Clock::start(device);
            let (of, memory) = (self.benchmark.type_of(case.0), self.config.execution.memory() / 2);
            let stage = Stage::new(self.benchmark, of, self.settings, self.loaded, memory)?;
            forecast.besides = clock.seconds() * types.len() as f64;
            let patient =
                self.admit(&stage, case, nudge(self.settings, self.config, self.loaded).as_ref())?;
            let (mut warm, mut traces) = (Warm::default(), Traces::default());
            if let Some(patient) = patient {
                let unpatched = stage.logits(&patient.standing);
                for method in self.methods {
                    signal::check()?;
                    let patients = std::slice::from_ref(&patient);
                    warm.up(method.as_ref(), || self.warm_up(method.as_ref(), patients))?;
                    let clock = Clock::start(device);
                    self.treat(method.as_ref(), &stage, (&patient, &unpatched), &mut traces)?;
                    seconds.insert(method.label().to_string(), clock.seconds());
                }
            }
        }
        for method in self.methods {
            let recorded = |case: &&(Place, usize)| {
                there.patched(&TrialId::of_case(&self.hashes[method.label()], &self.name(**case)))
            };
            forecast.works.push(Work {
                of: self.benchmark.name.clone(),
                method: method.label().into(),
                trials: own.len() as f64,
                there: own.iter().filter(recorded).count() as f64,
                seconds: seconds.get(method.label()).copied(),
            });
        }
        forecast.notes.push(
            "from one case, patched by every method; a case that is skipped, or whose neurons lie low, takes \
             longer than another"
                .into(),
        );
        Ok(forecast)
    }
}
