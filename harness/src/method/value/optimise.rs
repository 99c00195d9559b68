//! Adam on the changes of values, of any number of errors at once: their losses do not meet, and a layer's weights
//! are read once for all of them.

use super::{Runs, Subject, ValuePlace};
use crate::config::ValueConfig;
use crate::engine::above::{Added, logits_changed, logits_leaving};
use crate::engine::prompt_end::PromptEnd;
use crate::engine::trace::Trace;
use crate::method::adam::Adam;
use crate::model::CausalLm;
use anyhow::Result;
use tch::{Kind, Tensor};

/// A loss below this ends the optimisation.
const ENOUGH: f64 = 0.05;

/// The changes `[n,D]`, f32, of what is in `place` of `layer` at each of n `subjects`: each makes the target likely
/// after all beginnings and changes little of what the model says of the subject.
///
/// # Errors
/// If libtorch fails.
pub(in crate::method) fn optimised(
    subjects: &[Subject],
    layer: usize,
    place: ValuePlace,
    config: &ValueConfig,
    model: &dyn CausalLm,
) -> Result<Tensor> {
    let spec = model.spec();
    let originals: Vec<Tensor> =
        subjects.iter().map(|subject| subject.original(layer, place, model)).collect();
    let norms = lengths(&Tensor::stack(&originals, 0));
    let changes = [subjects.len() as i64, spec.d_model as i64];
    let changes = Tensor::zeros(changes, (Kind::Float, spec.device)).set_requires_grad(true);
    let mut adam = Adam::new(config.rate.0, &[&changes]);
    let mut active = Active::new(subjects, (0..subjects.len()).collect(), model);
    let unchanged = changes.detach().to_kind(spec.kind);
    let before = (config.divergence > 0.0)
        .then(|| active.essences(layer, place, &unchanged, model).detach());
    // The last step would be taken without a look at where it leads.
    for _ in 1..config.steps.0 {
        let (own, size) = (active.of(&changes), active.of(&norms));
        let placed = own.to_kind(spec.kind);
        let wanted = active.log_probabilities(layer, place, &placed, model);
        let mut losses = lengths(&own) * config.decay / size.square() - wanted;
        if let Some(before) = &before {
            let now = active.essences(layer, place, &placed, model);
            let divergence = now.exp() * (&now - active.of(before));
            losses += divergence.sum_dim_intlist([-1_i64].as_slice(), false, Kind::Float)
                * config.divergence;
        }
        let found = Vec::<f64>::try_from(losses.detach().to_kind(Kind::Double))?;
        let left = active.places.iter().zip(found);
        let left: Vec<usize> = left
            .filter_map(|(&place, loss)| (loss.is_nan() || loss >= ENOUGH).then_some(place))
            .collect();
        if left.is_empty() {
            break;
        }
        let gradients = Tensor::run_backward(&[losses.sum(Kind::Float)], &[&changes], false, false);
        if left.len() < active.places.len() {
            active = Active::new(subjects, left, model);
        }
        // What is finished stays as it is.
        let reached = changes.detach().copy();
        adam.step(&[&changes], &gradients);
        let moved = active.of(&changes.detach());
        let most = active.of(&norms) * config.clamp.0;
        let shrunk = (most / lengths(&moved)).clamp_max(1.0).unsqueeze(1) * moved;
        changes.detach().copy_(&reached.index_copy(0, &active.rows, &shrunk));
    }
    Ok(changes.detach())
}

/// Euclidean norm of each row, `[n]`.
fn lengths(rows: &Tensor) -> Tensor {
    rows.norm_scalaropt_dim(2, [-1_i64].as_slice(), false)
}

/// The subjects whose loss is not small enough yet.
struct Active<'s> {
    subjects: Vec<&'s Subject>,
    /// Their places among all.
    places: Vec<usize>,
    /// The same as a tensor, `[n]`.
    rows: Tensor,
    /// Their essences as one batch: all have the same number of tokens.
    essence: Trace,
}

impl<'s> Active<'s> {
    fn new(all: &'s [Subject], places: Vec<usize>, model: &dyn CausalLm) -> Self {
        let subjects: Vec<&Subject> = places.iter().map(|&place| &all[place]).collect();
        let rows: Vec<i64> = places.iter().map(|&place| place as i64).collect();
        let rows = Tensor::from_slice(&rows).to_device(model.spec().device);
        let essences: Vec<&Trace> = subjects.iter().map(|subject| &subject.essence).collect();
        let essence = Trace::joined(&essences);
        Self { subjects, places, rows, essence }
    }

    /// The rows of `all` that are of these subjects.
    fn of(&self, all: &Tensor) -> Tensor {
        all.index_select(0, &self.rows)
    }

    /// Mean log-probability `[n]` of the target over the runs of each subject, where `changes` `[n,D]` are added in
    /// `place` of `layer`.
    fn log_probabilities(
        &self,
        layer: usize,
        place: ValuePlace,
        changes: &Tensor,
        model: &dyn CausalLm,
    ) -> Tensor {
        let logits = self.logits(layer, place, changes, model);
        let log = logits.log_softmax(-1, Kind::Float);
        let mut first = 0;
        let means = self.subjects.iter().map(|subject| {
            let runs = subject.at.len() as i64;
            let own = log.narrow(0, first, runs).select(-1, i64::from(subject.target));
            first += runs;
            own.mean(Kind::Float)
        });
        Tensor::stack(&means.collect::<Vec<_>>(), 0)
    }

    /// Logits `[R,V]` at the error of each run of each subject.
    fn logits(
        &self,
        layer: usize,
        place: ValuePlace,
        changes: &Tensor,
        model: &dyn CausalLm,
    ) -> Tensor {
        let each = || (0..).zip(&self.subjects).map(|(row, subject)| (*subject, changes.get(row)));
        let ends: Option<Vec<&[PromptEnd]>> = self.subjects.iter().map(|own| own.ends()).collect();
        if let Some(ends) = ends {
            let leaving =
                each().map(|(subject, change)| subject.leaving(layer, place, &change, model));
            let leaving = Tensor::cat(&leaving.collect::<Vec<_>>(), 0);
            let ends: Vec<&PromptEnd> = ends.into_iter().flatten().collect();
            return logits_leaving(model, &ends, layer, &leaving);
        }
        let logits = each().map(|(subject, change)| subject.logits(layer, place, &change, model));
        Tensor::cat(&logits.collect::<Vec<_>>(), 0)
    }

    /// Log-probabilities `[n,V]` of what follows "is a" where `changes` `[n,D]` are added in `place` of `layer` at
    /// the subjects.
    fn essences(
        &self,
        layer: usize,
        place: ValuePlace,
        changes: &Tensor,
        model: &dyn CausalLm,
    ) -> Tensor {
        let at = self.subjects[0].essence_at;
        let changes = changes.unsqueeze(1);
        let added = added(layer, at, place, &changes);
        logits_changed(model, &self.essence, layer, added).log_softmax(-1, Kind::Float)
    }
}

impl Subject {
    /// The ends of the runs, where the subject is the last token.
    fn ends(&self) -> Option<&[PromptEnd]> {
        match &self.runs {
            Runs::Ends(ends) => Some(ends),
            Runs::Within(_) => None,
        }
    }

    /// The residual `[n,D]` leaving `layer` at the subject of each run where `change` `[D]` is added in `place`.
    fn leaving(
        &self,
        layer: usize,
        place: ValuePlace,
        change: &Tensor,
        model: &dyn CausalLm,
    ) -> Tensor {
        let (left, exit) = (self.residuals(layer), model.ffn_exit(layer));
        match place {
            ValuePlace::Residual => left + change,
            ValuePlace::Ffn if exit.is_linear() => left + exit.apply(change.shallow_clone()),
            ValuePlace::Ffn => {
                let output = self.ffn_outputs(layer, model);
                left + exit.apply(&output + change) - exit.apply(output)
            }
        }
    }

    /// Logits `[n,V]` at the error of each run where `change` `[D]` is added in `place` of `layer` at the subject.
    fn logits(
        &self,
        layer: usize,
        place: ValuePlace,
        change: &Tensor,
        model: &dyn CausalLm,
    ) -> Tensor {
        match &self.runs {
            Runs::Ends(ends) => {
                let ends: Vec<&PromptEnd> = ends.iter().collect();
                logits_leaving(model, &ends, layer, &self.leaving(layer, place, change, model))
            }
            Runs::Within(traces) => {
                let own = |(trace, &at): (&Trace, &i64)| {
                    logits_changed(model, trace, layer, added(layer, at, place, change))
                };
                Tensor::cat(&traces.iter().zip(&self.at).map(own).collect::<Vec<_>>(), 0)
            }
        }
    }
}

/// A change of `layer` by `change` `[D]`, or `[n,1,D]` for n sequences, in `place` at position `at`.
fn added(
    layer: usize,
    at: i64,
    place: ValuePlace,
    change: &Tensor,
) -> impl FnMut(usize, &Tensor) -> Option<Added> + '_ {
    move |own, active| {
        let tokens = active.size()[1];
        // In the last layer nothing but the end counts, which comes after the position.
        if own != layer || tokens <= at {
            return None;
        }
        let one_hot = Tensor::zeros([1, tokens, 1], (change.kind(), change.device()));
        let _ = one_hot.select(1, at).fill_(1.0);
        Some(match place {
            ValuePlace::Ffn => Added::ToFfn(one_hot * change),
            ValuePlace::Residual => Added::ToResidual(one_hot * change),
        })
    }
}
