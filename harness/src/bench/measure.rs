//! The machine, and the engine alone.

use super::subject::{Subject, Wrong};
use super::{Alone, BenchFigure};
use crate::config::{MentConfig, Positive};
use crate::engine::device::release_freed_memory;
use crate::system::process::resident;
use anyhow::{Context, Result};
use std::path::Path;
use std::time::Instant;
use tch::{Device, Kind, Tensor};

/// Runs `work` until it has run for two seconds or `most` times, at least once after a first run
/// that does not count; the median of its seconds.
pub(super) fn median(most: usize, mut work: impl FnMut()) -> f64 {
    work();
    let mut seconds = Vec::new();
    while seconds.len() < most && (seconds.is_empty() || seconds.iter().sum::<f64>() < 2.0) {
        let clock = Instant::now();
        work();
        seconds.push(clock.elapsed().as_secs_f64());
    }
    middle(&mut seconds)
}

/// The median; of an even number of values, the mean of the two in the middle.
pub(super) fn middle(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let count = values.len();
    f64::midpoint(values[(count - 1) / 2], values[count / 2])
}

/// The rate of the best of several products of 2048 × 2048 matrices in f32, FLOP/s.
pub(super) fn gemm_peak() -> f64 {
    const SIZE: i64 = 2048;
    let a = Tensor::rand([SIZE, SIZE], (Kind::Float, Device::Cpu));
    let b = Tensor::rand([SIZE, SIZE], (Kind::Float, Device::Cpu));
    let out = a.matmul(&b);
    let best = (0..10)
        .map(|_| {
            let clock = Instant::now();
            let _ = a.matmul_out(&out, &b);
            clock.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min);
    2.0 * (SIZE as f64).powi(3) / best
}

/// Share of the GEMM peak that a forward pass of 256 tokens reaches, counting the matrix products
/// of linear layers and head, and those of attention over the tokens it may see.
pub(super) fn gemm_share(subject: &Subject, peak: f64) -> Alone {
    const TOKENS: usize = 256;
    let ids = subject.prompt(TOKENS, 0);
    let seconds = median(9, || drop(subject.logits(&ids)));
    let value = flops(subject, TOKENS) / seconds / peak;
    Alone { model: subject.label.clone(), figure: BenchFigure::GemmShare, value }
}

fn flops(subject: &Subject, tokens: usize) -> f64 {
    let spec = subject.model.spec();
    let attention = tokens * subject.model.attention(0).width(); // two products, half of each
    let layers = spec.layers * (spec.block_parameters + attention);
    2.0 * tokens as f64 * (layers + spec.d_model * spec.vocabulary) as f64
}

/// Peak memory over the weights while MENT repairs an error after 1,024 tokens.
pub(super) fn memory(subject: &Subject) -> Result<Alone> {
    let wrong = Wrong { ids: subject.prompt(1024, 0), target: 1 };
    release_freed_memory(); // what loading left behind would hide part of the peak
    let loaded = resident("VmRSS")?;
    std::fs::write("/proc/self/clear_refs", "5").context("the peak cannot be reset")?;
    // Two rounds: what is kept between them is there, and more rounds take no more.
    let config = MentConfig { quota: Positive(2), ..MentConfig::default() };
    subject.repair(&wrong, &config)?;
    let value = resident("VmHWM")?.saturating_sub(loaded) as f64;
    Ok(Alone { model: subject.label.clone(), figure: BenchFigure::MentMemory, value })
}

/// Effect of bf16 weights and activations on speed and predictions. A processor without bf16 emulates it, so
/// the prompt is short.
pub(super) fn bf16(subject: &Subject, folder: &Path) -> Result<[Alone; 2]> {
    const TOKENS: usize = 64;
    let ids = subject.prompt(TOKENS, 0);
    let half = Subject::load_as(&subject.label, folder, &[], Device::Cpu, Kind::BFloat16)?;
    let argmax = subject.logits(&ids).argmax(-1, false);
    let kept = half.logits(&ids).argmax(-1, false).eq_tensor(&argmax);
    let kept = f64::try_from(kept.to_kind(Kind::Float).mean(Kind::Float))?;
    let full = median(3, || drop(subject.logits(&ids)));
    let speed = full / median(1, || drop(half.logits(&ids)));
    let of = |figure, value| Alone { model: subject.label.clone(), figure, value };
    Ok([of(BenchFigure::Bf16Speed, speed), of(BenchFigure::Bf16Argmax, kept)])
}
