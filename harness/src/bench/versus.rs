//! Every task on both sides: results first, then times, in turns.

use super::editors::Editors;
use super::measure::middle;
use super::peer::Peer;
use super::subject::{Subject, Wrong};
use super::{BenchSettings, BenchTask, Versus};
use crate::config::MentConfig;
use crate::edit::Neuron;
use crate::method::{Repair, observe};
use anyhow::{Context, Result, ensure};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use std::time::Instant;
use tch::{Kind, Tensor};

/// Integration steps.
const STEPS: usize = 20;
/// Prompt length of integrated gradients.
const INTEGRATED_TOKENS: usize = 256;
/// Prompt length of the editors of whole matrices at most; beyond it the peer takes many minutes.
const EDITED_TOKENS: usize = 256;
/// Prompts that an edit is probed on: |G| + |S| of the paper.
const PROBED: usize = 49;
/// Turns that both sides take, at most.
const TURNS: usize = 9;
/// Turns end when the peer has worked this long.
const LONG: f64 = 15.0;

/// All tasks on `subject`; each is handed to `done` when it is measured. One whose results differ,
/// or that fails, is handed on as its error, and the others go on.
pub(super) fn all(
    subject: &Subject,
    peer: &mut Peer,
    settings: &BenchSettings<'_>,
    bar: &ProgressBar,
    done: &mut dyn FnMut(Result<Versus>) -> Result<()>,
) -> Result<()> {
    for &tokens in &settings.tokens {
        bar.set_message(format!("forward, {tokens} tokens"));
        done(forward(subject, peer, tokens))?;
        bar.inc(1);
        bar.set_message(format!("MENT, {tokens} tokens"));
        done(ment(subject, peer, tokens, settings.errors))?;
        bar.inc(1);
    }
    if subject.trained {
        bar.set_message("editors");
        editors(subject, peer, settings, done)?;
    }
    bar.inc(1);
    bar.set_message("probing");
    done(probe(subject, peer))?;
    bar.inc(1);
    if settings.integrated_gradients && subject.trained {
        bar.set_message("integrated gradients: the peer takes its time");
        done(integrated_gradients(subject, peer))?;
    }
    bar.inc(1);
    Ok(())
}

/// The editors of whole matrices at every length up to [`EDITED_TOKENS`].
fn editors(
    subject: &Subject,
    peer: &mut Peer,
    settings: &BenchSettings<'_>,
    done: &mut dyn FnMut(Result<Versus>) -> Result<()>,
) -> Result<()> {
    let editors = Editors::load(&settings.models[0].1)?;
    for &tokens in settings.tokens.iter().filter(|&&tokens| tokens <= EDITED_TOKENS) {
        editors.all(subject, &subject.nearest_error(tokens, settings.errors)?, peer, done)?;
    }
    Ok(())
}

/// Medians of both sides.
pub(super) struct Times {
    seconds: f64,
    peer_seconds: f64,
    runs: usize,
}

impl Times {
    pub(super) fn of(
        self,
        subject: &Subject,
        task: BenchTask,
        tokens: usize,
        detail: String,
    ) -> Versus {
        let Self { seconds, peer_seconds, runs } = self;
        let model = subject.label.clone();
        Versus { model, task, tokens, seconds, peer_seconds, runs, detail }
    }
}

/// Both sides in turns, ours before and after the peer's, and once before all, to warm up. The peer's
/// first turn warms it up, and counts only where it is long enough to be its last.
pub(super) fn in_turns(
    mut ours: impl FnMut() -> Result<()>,
    mut theirs: impl FnMut() -> Result<f64>,
) -> Result<Times> {
    let mut timed = || {
        let clock = Instant::now();
        ours()?;
        anyhow::Ok(clock.elapsed().as_secs_f64())
    };
    timed()?;
    let mut seconds = vec![timed()?];
    let mut peer_seconds = vec![theirs()?];
    let begun = Instant::now();
    loop {
        seconds.push(timed()?);
        if peer_seconds[0] > LONG {
            break;
        }
        peer_seconds.push(theirs()?);
        seconds.push(timed()?);
        if peer_seconds.len() > TURNS || begun.elapsed().as_secs_f64() > LONG {
            peer_seconds.remove(0);
            break;
        }
    }
    let runs = peer_seconds.len();
    Ok(Times { seconds: middle(&mut seconds), peer_seconds: middle(&mut peer_seconds), runs })
}

fn forward(subject: &Subject, peer: &mut Peer, tokens: usize) -> Result<Versus> {
    let ids = subject.prompt(tokens, 0);
    let request = json!({ "ids": ids });
    let answer = peer.ask("forward", request.clone())?;
    let ours = subject.logits(&ids);
    let argmax = Vec::<i64>::try_from(ours.argmax(-1, false))?;
    let theirs: Vec<i64> = serde_json::from_value(answer["argmax"].clone())?;
    let same = argmax.iter().zip(&theirs).filter(|(a, b)| a == b).count();
    ensure!(same == tokens, "forward: {} of {tokens} argmaxes differ", tokens - same);
    let difference = relative(&ours.get(-1), &numbers(&answer["last"])?)?;
    ensure!(difference < 1e-4, "forward: logits differ by {difference:.1e} of the largest");
    let times = in_turns(
        || {
            let _ = subject.logits(&ids);
            Ok(())
        },
        || seconds(&peer.ask("forward", request.clone())?),
    )?;
    let detail = format!("all argmaxes equal, logits within {difference:.0e}");
    Ok(times.of(subject, BenchTask::Forward, tokens, detail))
}

fn ment(subject: &Subject, peer: &mut Peer, tokens: usize, errors: usize) -> Result<Versus> {
    let config = subject.config();
    let errors = subject.errors(tokens, if subject.trained { errors } else { 1 })?;
    let request = |wrong: &Wrong| {
        json!({
            "ids": wrong.ids, "target": wrong.target, "candidates": config.candidates.0,
            "quota": config.quota.0, "coefficient": config.estimate.coefficient.0,
        })
    };
    let mut times = Times { seconds: 0.0, peer_seconds: 0.0, runs: usize::MAX };
    let (mut rounds, mut layers) = (Vec::new(), Vec::new());
    for wrong in &errors {
        let ours = subject.repair(wrong, &config)?;
        rounds.push(ours.neurons.len());
        layers.extend(ours.located.iter().map(|neuron| neuron.layer));
        let own = in_turns(
            || subject.repair(wrong, &config).map(drop),
            || {
                let answer = peer.ask("ment", request(wrong))?;
                check_repair(&ours, &answer)?;
                seconds(&answer)
            },
        )?;
        times.seconds += own.seconds / errors.len() as f64;
        times.peer_seconds += own.peer_seconds / errors.len() as f64;
        times.runs = times.runs.min(own.runs);
    }
    let below = layers.iter().sum::<usize>() as f64 / layers.len() as f64;
    let detail = format!(
        "{} errors, rounds {rounds:?}, the same neurons; candidates lie above {below:.1} of {} \
         layers on average",
        errors.len(),
        subject.model.spec().layers
    );
    Ok(times.of(subject, BenchTask::Ment, tokens, detail))
}

/// The same neurons located, the same patched in the same order, the same end.
fn check_repair(ours: &Repair, answer: &Value) -> Result<()> {
    let neurons = |name: &str| -> Result<Vec<Neuron>> {
        let pairs: Vec<(usize, usize)> = serde_json::from_value(answer[name].clone())?;
        Ok(pairs.into_iter().map(|(layer, index)| Neuron { layer, index }).collect())
    };
    // Scores equal to rounding may change places; of those at the end, others may be located.
    let (located, theirs, ties) = (&ours.located, neurons("candidates")?, neurons("ties")?);
    let differ = |a: &[Neuron], b: &[Neuron]| a.iter().any(|n| !b.contains(n) && !ties.contains(n));
    ensure!(
        !differ(located, &theirs) && !differ(&theirs, located),
        "MENT: located {located:?}, the peer {theirs:?}"
    );
    let patched: Vec<Neuron> = ours.neurons.iter().map(|patched| patched.neuron).collect();
    let theirs = neurons("neurons")?;
    ensure!(
        patched == theirs && answer["solved"] == json!(ours.solved),
        "MENT: patched {patched:?}, the peer {theirs:?}"
    );
    let (ours, theirs) = (ours.after.target_probability, number(&answer["probability"])?);
    ensure!(
        (ours - theirs).abs() <= 1e-3 * theirs.max(1e-3),
        "MENT: the target ends at probability {ours:.3e}, the peer's at {theirs:.3e}"
    );
    Ok(())
}

fn probe(subject: &Subject, peer: &mut Peer) -> Result<Versus> {
    // Contexts of the length of the benchmark's, of 24 to 72 tokens.
    let prompts: Vec<Vec<u32>> =
        (0..PROBED).map(|index| subject.prompt(24 + index, index)).collect();
    let tokens = prompts.iter().map(Vec::len).sum::<usize>() / PROBED;
    let solved = subject
        .errors(256, 8)?
        .into_iter()
        .find_map(|wrong| {
            let repair = subject.repair(&wrong, &MentConfig::default()).ok()?;
            repair.solved.then_some((wrong.target, repair.edit))
        })
        .context("no error of eight was solved")?;
    let (target, edit) = solved;
    let columns: Vec<Value> = edit
        .columns
        .iter()
        .map(|column| {
            let delta = Vec::<f32>::try_from(&column.delta)?;
            Ok(json!({ "layer": column.neuron.layer, "index": column.neuron.index, "delta": delta }))
        })
        .collect::<Result<_>>()?;
    let request = json!({ "prompts": prompts, "edit": columns, "target": target });
    let answer = peer.ask("probe", request.clone())?;
    let probes = subject.probes(&prompts);
    let seen = observe(&probes.after(&edit), target)?;
    let ranks: Vec<u32> = serde_json::from_value(answer["rank"].clone())?;
    let theirs: Vec<f64> = serde_json::from_value(answer["probability"].clone())?;
    let equal = seen.iter().zip(&ranks).filter(|(seen, rank)| seen.target_rank == **rank).count();
    // Far down, equal to rounding is not equal in rank: a neighbour in 50,000 tokens is as good.
    let near = seen
        .iter()
        .zip(&ranks)
        .all(|(seen, &rank)| f64::from(seen.target_rank.abs_diff(rank)) <= 1e-3 * f64::from(rank));
    let close = seen
        .iter()
        .zip(&theirs)
        .all(|(seen, theirs)| (seen.target_probability - theirs).abs() <= 1e-3 * theirs.max(1e-9));
    ensure!(
        near && close,
        "probing: {equal} of {PROBED} ranks equal, probabilities close: {close}"
    );
    let times = in_turns(
        || observe(&probes.after(&edit), target).map(drop),
        || seconds(&peer.ask("probe", request.clone())?),
    )?;
    let layers: Vec<usize> = edit.columns.iter().map(|column| column.neuron.layer).collect();
    let detail = format!("{PROBED} prompts, edit in layers {layers:?}, {equal} ranks equal");
    Ok(times.of(subject, BenchTask::Probe, tokens, detail))
}

fn integrated_gradients(subject: &Subject, peer: &mut Peer) -> Result<Versus> {
    let tokens = INTEGRATED_TOKENS;
    let wrong = subject.errors(tokens, 1)?.remove(0);
    // The peer's logits of 20 × 256 positions would be 1 GB and take a quarter of its time; it is
    // spared them.
    let request = json!({
        "ids": wrong.ids, "target": wrong.target, "steps": STEPS, "last_logits_only": true,
    });
    let mut difference = f64::INFINITY;
    let times = in_turns(
        || {
            let _ = subject.integrated_gradients(&wrong, STEPS);
            Ok(())
        },
        || {
            let answer = peer.ask("ig", request.clone())?;
            let theirs: Vec<Tensor> = answer["scores"]
                .as_array()
                .context("scores")?
                .iter()
                .map(numbers)
                .collect::<Result<_>>()?;
            let ours = subject.integrated_gradients(&wrong, STEPS);
            difference = relative(&ours, &Tensor::stack(&theirs, 0))?;
            // Of a probability, in f32, in two orders of summation: up to 1e-4 was seen.
            ensure!(difference < 1e-3, "integrated gradients differ by {difference:.1e}");
            seconds(&answer)
        },
    )?;
    let detail =
        format!("{STEPS} steps, every layer; scores within {difference:.0e} of the largest");
    Ok(times.of(subject, BenchTask::IntegratedGradients, tokens, detail))
}

/// Largest difference, relative to the largest entry of the reference.
fn relative(ours: &Tensor, reference: &Tensor) -> Result<f64> {
    ensure!(ours.size() == reference.size(), "{:?} is not {:?}", ours.size(), reference.size());
    let (ours, reference) = (ours.to_kind(Kind::Double), reference.to_kind(Kind::Double));
    let difference = f64::try_from((&ours - &reference).abs().max())?;
    Ok(difference / f64::try_from(reference.abs().max())?)
}

fn numbers(value: &Value) -> Result<Tensor> {
    Ok(Tensor::from_slice(&serde_json::from_value::<Vec<f64>>(value.clone())?))
}

pub(super) fn number(value: &Value) -> Result<f64> {
    value.as_f64().with_context(|| format!("the peer: {value} is not a number"))
}

pub(super) fn seconds(answer: &Value) -> Result<f64> {
    number(&answer["seconds"])
}
