//! The unedited model on a benchmark: is the declared argmax token predicted, and how far away from
//! it are the targets? This is what the control row of Table VI shows before any edit.

use super::type_probes::TypeProbes;
use crate::config::{Execution, ProbingConfig};
use crate::data::benchmark::{Benchmark, Place};
use crate::edit::Observation;
use crate::model::Loaded;
use crate::system::{progress, signal};
use anyhow::Result;
use std::fmt::Write as _;
use std::ops::RangeInclusive;

/// Probabilities of a declared token that leave room for a target beside it.
const UNDECIDED: RangeInclusive<f64> = 0.2..=0.6;

/// One sample after its prompt, unedited.
#[derive(Clone, Debug)]
pub struct Baseline {
    /// The sample.
    pub place: Place,
    /// The declared token after the sample's prompt for its first target.
    pub declared: Seen,
    /// The predicted token there, as text.
    pub predicted: String,
    /// The targets, each after the sample's prompt for it.
    pub targets: Vec<Seen>,
}

/// A token, as text, and the prediction as seen from it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The token.
    pub token: String,
    /// Rank and probability of the token, and the predicted token.
    pub observation: Observation,
}

/// The samples of `benchmark` under `loaded`, type by type, with the prompts that `settings` make.
///
/// # Errors
/// If a symbol begins with its rival, for the tokenizer of the model, or a prompt is too long.
pub fn baselines(
    benchmark: &Benchmark,
    settings: &ProbingConfig,
    loaded: &Loaded,
) -> Result<Vec<Baseline>> {
    let memory = Execution::default().memory() / 2;
    let bar = progress::bar("predict", benchmark.types.len());
    let mut found = Vec::new();
    for of in 0..benchmark.types.len() {
        signal::check()?;
        let probes = TypeProbes::new(benchmark, of, settings, loaded, memory)?;
        for place in benchmark.of_type(of) {
            found.push(baseline(benchmark, place, &probes, loaded)?);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(found)
}

fn baseline(
    benchmark: &Benchmark,
    place: Place,
    probes: &TypeProbes<'_>,
    loaded: &Loaded,
) -> Result<Baseline> {
    let seen = |index: usize, token: u32| -> Result<Seen> {
        let observation = probes.before(probes.case(place, index), &[token])?[0];
        Ok(Seen { token: loaded.tokenizer.token(token)?, observation })
    };
    let targets = 0..benchmark.subtypes[place.subtype].targets.len();
    let targets: Result<Vec<Seen>> =
        targets.map(|index| seen(index, probes.case(place, index).target)).collect();
    let declared = seen(0, probes.case(place, 0).argmax)?;
    let predicted = loaded.tokenizer.token(declared.observation.argmax)?;
    Ok(Baseline { place, declared, predicted, targets: targets? })
}

/// One line per subtype; with `samples`, one more per sample. A rank counts as `cap` at most.
pub fn describe_baselines(
    benchmark: &Benchmark,
    baselines: &[Baseline],
    cap: u32,
    samples: bool,
) -> String {
    let mut out = format!(
        "{:<20} {:>9} {:>12} {:>9} {:>6} {:>14}\n",
        "subtype", "predicted", "P 0.2 to 0.6", "median P", "gap", "rank distance"
    );
    for (index, subtype) in benchmark.subtypes.iter().enumerate() {
        let own = baselines.iter().filter(|baseline| baseline.place.subtype == index);
        out += &line(&subtype.name, &own.collect::<Vec<_>>(), cap);
    }
    out += &line("all", &baselines.iter().collect::<Vec<_>>(), cap);
    let _ = writeln!(
        out,
        "predicted: samples whose declared token is the argmax; P: its probability; gap and rank \
         distance: between the argmax and a target, a rank counting as {cap} at most"
    );
    if !samples {
        return out + "--samples lists every sample\n";
    }
    for Baseline { place, declared, predicted, targets } in baselines {
        let _ = write!(
            out,
            "{} {}: {declared}",
            benchmark.subtypes[place.subtype].name,
            place.sample + 1
        );
        if declared.observation.target_rank > 1 {
            let probability = declared.observation.argmax_probability;
            let _ = write!(out, " (predicted: {predicted:?} {probability:.3})");
        }
        for target in targets {
            let _ = write!(out, ", {target}");
        }
        let _ = writeln!(out, ": {}", benchmark.sample(*place).intent);
    }
    out
}

fn line(name: &str, own: &[&Baseline], cap: u32) -> String {
    let share = |is: &dyn Fn(&Observation) -> bool| {
        let count = own.iter().filter(|baseline| is(&baseline.declared.observation)).count();
        format!("{count}/{}", own.len())
    };
    let predicted = share(&|seen| seen.target_rank == 1);
    let undecided = share(&|seen| UNDECIDED.contains(&seen.target_probability));
    let mut probabilities: Vec<f64> =
        own.iter().map(|baseline| baseline.declared.observation.target_probability).collect();
    probabilities.sort_by(f64::total_cmp);
    let middle = probabilities.len() / 2;
    let median = (probabilities[middle] + probabilities[(probabilities.len() - 1) / 2]) / 2.0;
    let targets: Vec<&Observation> =
        own.iter().flat_map(|b| &b.targets).map(|target| &target.observation).collect();
    let mean = |of: &dyn Fn(&Observation) -> f64| {
        targets.iter().map(|seen| of(seen)).sum::<f64>() / targets.len() as f64
    };
    let gap = mean(&|seen| seen.argmax_probability - seen.target_probability);
    let distance = mean(&|seen| f64::from(seen.target_rank.min(cap) - 1));
    format!("{name:<20} {predicted:>9} {undecided:>12} {median:>9.3} {gap:>6.3} {distance:>14.2}\n")
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Observation { target_rank, target_probability, .. } = self.observation;
        write!(f, "{:?} {target_probability:.3} #{target_rank}", self.token)
    }
}
