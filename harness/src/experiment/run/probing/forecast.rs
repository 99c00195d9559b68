//! Forecast of the time that the probing experiment takes.

use super::super::forecast::{Forecast, Work};
use super::super::resume::Done;
use super::{Probing, TypeProbes, nudge};
use crate::data::benchmark::Place;
use crate::engine::device::Clock;
use crate::method::attempt::{Traces, Warm};
use crate::records::TrialId;
use crate::system::signal;
use anyhow::Result;
use std::collections::HashMap;

impl Probing<'_> {
    /// Patches one case with every method, in a temporary folder. `there` holds the records of the run.
    pub(in super::super) fn forecast(mut self, there: &Done) -> Result<Forecast> {
        let own = self.own();
        let device = self.loaded.model.spec().device;
        let mut forecast = Forecast::default();
        let is_open = |case: &&(Place, usize)| self.is_open_in(there, **case);
        let mut types: Vec<usize> =
            own.iter().filter(is_open).map(|(place, _)| self.benchmark.type_of(*place)).collect();
        types.dedup();
        let mut seconds = HashMap::new();
        let mut open = own.iter().copied().filter(|case| self.is_open_in(there, *case)).peekable();
        if let Some(first) = open.peek() {
            let clock = Clock::start(device);
            let (of, memory) =
                (self.benchmark.type_of(first.0), self.config.execution.memory() / 2);
            let probes = TypeProbes::new(self.benchmark, of, self.settings, self.loaded, memory)?;
            forecast.besides = clock.seconds() * types.len() as f64;
            let of_type: Vec<(Place, usize)> =
                open.filter(|case| self.benchmark.type_of(case.0) == of).collect();
            self.time(&probes, &of_type, &mut seconds)?;
        }
        let dropped = |case: &&(Place, usize)| {
            there.case(&self.name(**case)).is_some_and(|case| case.dropped)
        };
        let left_out = own.iter().filter(dropped).count();
        for method in self.methods {
            let recorded = |case: &&(Place, usize)| {
                there.patched(&TrialId::of_case(&self.hashes[method.label()], &self.name(**case)))
            };
            forecast.works.push(Work {
                of: self.benchmark.name.clone(),
                method: method.label().into(),
                trials: (own.len() - left_out) as f64,
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

    /// Seconds of the first of `cases` that is not dropped, by method.
    fn time(
        &mut self,
        probes: &TypeProbes<'_>,
        cases: &[(Place, usize)],
        seconds: &mut HashMap<String, f64>,
    ) -> Result<()> {
        let nudge = nudge(self.settings, self.config, self.loaded)?;
        let device = self.loaded.model.spec().device;
        for &case in cases {
            let Some(open) = self.admit(probes, case, nudge.as_ref())? else { continue };
            let (mut warm, mut traces) = (Warm::default(), Traces::default());
            let unpatched = probes.logits(&open.standing);
            for method in self.methods {
                signal::check()?;
                let admitted = std::slice::from_ref(&open);
                warm.up(method.as_ref(), || self.warm_up(method.as_ref(), admitted))?;
                let clock = Clock::start(device);
                self.treat(method.as_ref(), probes, (&open, &unpatched), &mut traces)?;
                seconds.insert(method.label().to_string(), clock.seconds());
            }
            break;
        }
        Ok(())
    }
}
