//! Probing: what edits do to the next-token predictions after given prompts. The prompts are
//! traced once, and every edit is replayed on the traces.

use super::batches::{self, in_order, together};
use super::forward::logits_at_ends;
use super::memory::in_pieces;
use super::replay::{Replay, block_bytes};
use super::trace::Trace;
use crate::edit::{Edit, Hint};
use crate::engine::device::tokens_at_once;
use crate::model::{CausalLm, Sequences};
use anyhow::Result;
use std::io::Write;
use tch::{Device, Tensor};

/// Prompts, traced.
pub struct Probes<'m> {
    model: &'m dyn CausalLm,
    prompts: Vec<Vec<u32>>,
    batches: Vec<ProbeBatch>,
    before: Tensor,
    budget: usize,
}

/// Prompts that are run together, and their trace.
struct ProbeBatch {
    /// Their places among all prompts.
    prompts: Vec<usize>,
    held: TraceStore,
}

/// Storage of the trace of a batch.
enum TraceStore {
    /// In memory, or mapped from a file.
    Traced(Trace),
    /// Run again for every edit.
    Ids(Sequences),
}

impl<'m> Probes<'m> {
    /// Traces `prompts`, each of at least one token. `budget` bytes of traces are held in memory.
    /// On a CPU the traces beyond it go to a temporary file, which the system pages in as they
    /// are asked for; where that cannot be written, and on other devices, they are recomputed.
    pub fn new(model: &'m dyn CausalLm, prompts: &[Vec<u32>], budget: usize) -> Self {
        let spec = model.spec();
        let all = prompts.to_vec();
        let prompts: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
        let tokens = tokens_at_once(spec.device).min(budget / 2 / block_bytes(spec));
        let mut left = budget;
        let mut before: Vec<Tensor> = Vec::new();
        let batches: Vec<ProbeBatch> = together(&prompts, tokens, spec.device)
            .into_iter()
            .map(|batches::Batch { prompts, sequences }| {
                let trace = Trace::to_ends(model, &sequences, Edit::none());
                before.push(trace.logits(model));
                let bytes = trace_bytes(&trace);
                let held = if bytes <= left {
                    left -= bytes;
                    TraceStore::Traced(trace)
                } else if spec.device == Device::Cpu {
                    spill(&trace).map_or(TraceStore::Ids(sequences), TraceStore::Traced)
                } else {
                    TraceStore::Ids(sequences)
                };
                ProbeBatch { prompts, held }
            })
            .collect();
        let before = match before.as_slice() {
            [] => Tensor::zeros([0, spec.vocabulary as i64], (spec.kind, spec.device)),
            logits => of_all(&batches, logits),
        };
        Self { model, prompts: all, batches, before, budget }
    }

    /// Logits `[n,V]` after each prompt, without any edit.
    pub fn before(&self) -> &Tensor {
        &self.before
    }

    /// Logits `[n,V]` after each prompt under `edit`.
    pub fn after(&self, edit: &Edit) -> Tensor {
        if edit.is_none() || self.batches.is_empty() {
            return self.before.shallow_clone();
        }
        if let Some(hint) = &edit.hint {
            return self.hinted(hint, edit);
        }
        let states: Vec<Tensor> = self
            .batches
            .iter()
            .map(|batch| match &batch.held {
                TraceStore::Traced(trace) => self.replay(trace.shallow_clone(), edit),
                TraceStore::Ids(sequences) => {
                    self.replay(Trace::to_ends(self.model, sequences, Edit::none()), edit)
                }
            })
            .collect();
        let states = of_all(&self.batches, &states);
        // The head is the largest matrix: all prompts share it.
        let row = self.model.spec().vocabulary * self.model.spec().kind.elt_size_in_bytes();
        let costs = vec![row; states.size()[0] as usize];
        let logits = in_pieces(&costs, self.budget, |piece| {
            let states = states.narrow(0, piece.start as i64, piece.len() as i64);
            self.model.head(&self.model.final_norm(&states))
        });
        Tensor::cat(&logits, 0)
    }

    /// Logits `[n,V]` after each prompt with `hint` in it, under the weights of `edit`: a pass over all of it. A prompt
    /// that does not fit the model with the hint is taken without.
    fn hinted(&self, hint: &Hint, edit: &Edit) -> Tensor {
        let (model, spec) = (self.model, self.model.spec());
        let with = |prompt: &Vec<u32>| {
            let hinted = hint.before(prompt);
            if hinted.len() <= spec.context { hinted } else { prompt.clone() }
        };
        let prompts: Vec<Vec<u32>> = self.prompts.iter().map(with).collect();
        let prompts: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
        let weights = Edit { hint: None, ..edit.clone() };
        let tokens = tokens_at_once(spec.device).min(self.budget / 2 / block_bytes(spec));
        let (mut places, mut logits) = (Vec::new(), Vec::new());
        for batch in together(&prompts, tokens, spec.device) {
            logits.push(logits_at_ends(model, &batch.sequences, &weights));
            places.extend(batch.prompts);
        }
        in_order(&Tensor::cat(&logits, 0), &places)
    }

    /// The states `[E,D]` at the ends of a batch.
    fn replay(&self, trace: Trace, edit: &Edit) -> Tensor {
        Replay::new(self.model, trace, vec![edit.clone()], self.budget)
            .states_at_ends()
            .squeeze_dim(0)
    }
}

/// Rows of the batches, in the order of the prompts.
fn of_all(batches: &[ProbeBatch], rows: &[Tensor]) -> Tensor {
    let places: Vec<usize> = batches.iter().flat_map(|batch| batch.prompts.clone()).collect();
    in_order(&Tensor::cat(rows, 0), &places)
}

fn trace_bytes(trace: &Trace) -> usize {
    trace.tensors().map(|t| t.numel() * t.kind().elt_size_in_bytes()).sum()
}

/// The trace with its tensors in a file without a name, mapped.
fn spill(trace: &Trace) -> Result<Trace> {
    let mut file = tempfile::NamedTempFile::new()?;
    let mut all = 0;
    for tensor in trace.tensors() {
        // Written, not mapped for writing: a full disk is an error here, and a signal there.
        let bytes = tensor.numel() * tensor.kind().elt_size_in_bytes();
        let mut buffer = vec![0; bytes];
        tensor.f_copy_data_u8(&mut buffer, tensor.numel())?;
        file.write_all(&buffer)?;
        all += tensor.numel() as i64;
    }
    let path = file.path().to_string_lossy().into_owned();
    let kind = trace.residual[0].kind();
    let mapped = Tensor::f_from_file(&path, false, all, (kind, Device::Cpu))?;
    let mut start = 0;
    Ok(trace.map(|tensor| {
        let length = tensor.numel() as i64;
        start += length;
        mapped.narrow(0, start - length, length).view(tensor.size().as_slice())
    }))
}
