//! Growth of the time per error with the length of the prompt, the number of candidates and the depth of the
//! model. One round of candidates is timed, so that the number of rounds an error needs plays no part.

use super::measure::median;
use super::subject::Subject;
use super::{Against, Growth};
use crate::config::{MentConfig, Positive};
use crate::model::tokenizer::Joint;
use crate::system::{progress, signal};
use anyhow::Result;
use std::path::PathBuf;
use tch::Device;

const TOKENS: [usize; 5] = [64, 128, 256, 512, 1024];
const CANDIDATES: [usize; 5] = [1, 5, 10, 20, 50];
/// The size of what does not grow.
const FIXED: usize = 256;

/// Errors that are averaged over: their candidates lie in other layers.
const ERRORS: usize = 2;

fn one_round(candidates: usize) -> MentConfig {
    let (quota, candidates) = (Positive(1), Positive(candidates));
    MentConfig { quota, candidates, ..MentConfig::default() }
}

fn seconds(subject: &Subject, tokens: usize, candidates: usize) -> Result<f64> {
    signal::check()?;
    let config = one_round(candidates);
    let errors = subject.errors(tokens, ERRORS)?;
    let mut failed = None;
    let all = errors.iter().map(|wrong| {
        median(1, || {
            if let Err(error) = subject.repair(wrong, &config) {
                failed = Some(error);
            }
        })
    });
    let mean = all.sum::<f64>() / ERRORS as f64;
    failed.map_or(Ok(mean), Err)
}

pub(super) fn tokens_and_candidates(subject: &Subject, found: &mut Vec<Growth>) -> Result<()> {
    let model = &subject.label;
    let mut add = |against, size, seconds| {
        found.push(Growth { model: model.clone(), against, size, seconds });
    };
    for size in TOKENS {
        add(Against::Tokens, size, seconds(subject, size, 10)?);
    }
    for size in CANDIDATES {
        add(Against::Candidates, size, seconds(subject, FIXED, size)?);
    }
    Ok(())
}

/// `folders` hold one shape, with more and more layers.
pub(super) fn layers(folders: &[PathBuf], tasks: &[Joint], found: &mut Vec<Growth>) -> Result<()> {
    let bar = progress::bar("layers", folders.len());
    for folder in folders {
        let subject = Subject::load("CodeGen-350M's shape", folder, tasks, Device::Cpu)?;
        let size = subject.model.spec().layers;
        let (model, against) = (subject.label.clone(), Against::Layers);
        let seconds = seconds(&subject, FIXED, 10)?;
        found.push(Growth { model, against, size, seconds });
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}
