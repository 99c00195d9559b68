//! How a benchmark baselines a model: does it go on with the declared argmax token?

use super::{Case, text};
use crate::config::{Demonstration, Query};
use crate::data::benchmark::{Benchmark, Place};
use crate::edit::{Edit, Observation};
use crate::engine::batches::{Batch, together};
use crate::engine::device::tokens_at_once;
use crate::engine::forward::logits_at_ends;
use crate::method::observe_each;
use crate::model::Loaded;
use crate::system::{progress, signal};
use anyhow::Result;
use std::fmt::Write as _;
use tch::Tensor;

/// The declared argmax token after one prompt.
#[derive(Clone, Debug)]
pub struct Baseline {
    /// The sample.
    pub place: Place,
    /// The token that is declared, as text.
    pub declared: String,
    /// The token that is predicted, as text.
    pub predicted: String,
    /// What the model makes of the declared one.
    pub seen: Observation,
}

/// The samples of `benchmark`, each with its first target, under `loaded`.
///
/// # Errors
/// If a symbol begins with its rival, for the tokenizer of the model, or a prompt is too long.
pub fn baselines(benchmark: &Benchmark, loaded: &Loaded) -> Result<Vec<Baseline>> {
    let (demonstration, query) = (Demonstration::default(), Query::default());
    let templates = (&demonstration, &query);
    let types = 0..benchmark.types.len();
    let places: Vec<Place> = types.flat_map(|index| benchmark.of_type(index)).collect();
    let mut cases: Vec<Case> = Vec::with_capacity(places.len());
    for &place in &places {
        let subtype = &benchmark.subtypes[place.subtype];
        let text = text(benchmark, place, templates);
        let of_targets = subtype
            .targets
            .iter()
            .map(|target| Case::of(subtype, target, &text, loaded))
            .collect::<Result<Vec<Case>>>()?;
        cases.extend(of_targets.into_iter().take(1));
    }
    let seen = observe_argmax(loaded, &cases)?;
    let token = |id: u32| loaded.tokenizer.token(id);
    (0..places.len())
        .map(|index| {
            let (place, seen) = (places[index], seen[index]);
            let (declared, predicted) = (token(cases[index].argmax)?, token(seen.argmax)?);
            Ok(Baseline { place, declared, predicted, seen })
        })
        .collect()
}

/// A line a subtype, and a line a sample whose declared token is not predicted.
pub fn describe_baselines(benchmark: &Benchmark, baselines: &[Baseline]) -> String {
    let mut out =
        format!("{:<20} {:>7} {:>9} {:>9}\n", "subtype", "on top", "mean rank", "median P");
    let mut line = |name: &str, baselines: &[&Baseline]| {
        let top = baselines.iter().filter(|baseline| baseline.seen.target_rank == 1).count();
        let ranks: f64 =
            baselines.iter().map(|baseline| f64::from(baseline.seen.target_rank)).sum();
        let mut probabilities: Vec<f64> =
            baselines.iter().map(|f| f.seen.target_probability).collect();
        probabilities.sort_by(f64::total_cmp);
        let middle = probabilities.len() / 2;
        let median = (probabilities[middle] + probabilities[(probabilities.len() - 1) / 2]) / 2.0;
        let top = format!("{top}/{}", baselines.len());
        let mean = ranks / baselines.len() as f64;
        let _ = writeln!(out, "{name:<20} {top:>7} {mean:>9.1} {median:>9.3}");
    };
    for (index, subtype) in benchmark.subtypes.iter().enumerate() {
        let of: Vec<&Baseline> =
            baselines.iter().filter(|baseline| baseline.place.subtype == index).collect();
        line(&subtype.name, &of);
    }
    line("all", &baselines.iter().collect::<Vec<_>>());
    for baseline in baselines.iter().filter(|baseline| baseline.seen.target_rank > 1) {
        let Observation { target_rank, target_probability, argmax_probability, .. } = baseline.seen;
        let _ = writeln!(
            out,
            "{} {}: {:?} has rank {target_rank} (P {target_probability:.3}), {:?} is predicted \
             (P {argmax_probability:.3}): {}",
            benchmark.subtypes[baseline.place.subtype].name,
            baseline.place.sample + 1,
            baseline.declared,
            baseline.predicted,
            benchmark.sample(baseline.place).intent
        );
    }
    out
}

/// The declared argmax token after each prompt.
fn observe_argmax(loaded: &Loaded, cases: &[Case]) -> Result<Vec<Observation>> {
    let (model, device) = (loaded.model.as_ref(), loaded.model.spec().device);
    let prompts: Vec<&[u32]> = cases.iter().map(|case| case.prompt.as_slice()).collect();
    let bar = progress::bar("predict", cases.len());
    let mut seen = vec![None; cases.len()];
    for Batch { prompts: batch, sequences } in together(&prompts, tokens_at_once(device), device) {
        signal::check()?;
        let logits = logits_at_ends(model, &sequences, &Edit::none());
        let wanted: Vec<i64> = batch.iter().map(|&index| i64::from(cases[index].argmax)).collect();
        let found = observe_each(&logits, &Tensor::from_slice(&wanted).to_device(device))?;
        for (&index, found) in batch.iter().zip(found) {
            seen[index] = Some(found);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(seen.into_iter().map(|found| found.expect("batches hold every index once")).collect())
}
