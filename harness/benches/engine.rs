//! The engine's hot pieces one by one, on SmolLM2-135M: `just criterion`.

use criterion::{Criterion, criterion_group, criterion_main};
use ment::config::{AttributedPositions, Locate, Quantity};
use ment::edit::{ColumnDelta, Edit, Neuron};
use ment::engine::forward;
use ment::engine::integrated_gradients::{PathPoint, integrated_gradients};
use ment::engine::probe::Probes;
use ment::engine::prompt_end::PromptEnd;
use ment::engine::replay::Replay;
use ment::engine::trace::Trace;
use ment::experiment::retrieval::nearest;
use ment::method::ment::{attribution, raise_to_top};
use ment::model::{CausalLm, Options, Sequences, load_weights};
use std::hint::black_box;
use std::path::Path;
use tch::{Device, Kind, Tensor};

const MEMORY: usize = 512 << 20;
const TOKENS: usize = 128;

fn model() -> Box<dyn CausalLm> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.models/smollm2-135m-instruct");
    load_weights(&folder, Options::default()).expect("`just setup` makes the model").0
}

/// Ids without a meaning: time does not depend on them.
fn ids(tokens: usize) -> Vec<u32> {
    (0..tokens as u32).map(|token| 300 + token * 7 % 4000).collect()
}

fn sequences(tokens: usize) -> Sequences {
    Sequences::several(std::iter::once(ids(tokens).as_slice()), Device::Cpu)
}

/// One neuron in each of ten layers, `apart` layers from one another, the topmost at the top.
fn edits(model: &dyn CausalLm, apart: usize) -> Vec<Edit> {
    let spec = model.spec();
    (0..10)
        .map(|index| {
            let neuron = Neuron { layer: spec.layers - 1 - index * apart, index: 100 };
            let delta = Tensor::ones([spec.d_model as i64], (Kind::Float, Device::Cpu)) * 0.01;
            Edit::of(vec![ColumnDelta::new(neuron, delta)])
        })
        .collect()
}

fn algorithm_1(c: &mut Criterion) {
    let logits = Tensor::rand([51_200], (Kind::Float, Device::Cpu));
    let probabilities = logits.softmax(-1, Kind::Float);
    let by_rank = logits.argsort(-1, true);
    for rank in [2_i64, 100, 51_200] {
        let target = by_rank.int64_value(&[rank - 1]) as u32;
        c.bench_function(&format!("Algorithm 1, 51,200 tokens, target of rank {rank}"), |b| {
            b.iter(|| raise_to_top(black_box(&probabilities), target));
        });
    }
}

fn engine(c: &mut Criterion) {
    let model = model();
    let model = model.as_ref();
    let mut group = c.benchmark_group("forward");
    group.sample_size(10);
    for tokens in [64, 256, 1024] {
        let sequences = sequences(tokens);
        group.bench_function(format!("{tokens} tokens"), |b| {
            b.iter(|| forward::logits(model, &sequences.ids, &Edit::none()));
        });
    }
    group.finish();

    let sequences = sequences(TOKENS);
    let mut group = c.benchmark_group(format!("{TOKENS} tokens"));
    group.sample_size(10);
    group.bench_function("trace with graphs", |b| {
        b.iter(|| Trace::with_graphs(model, &sequences, Edit::none(), MEMORY));
    });
    let trace = Trace::with_graphs(model, &sequences, Edit::none(), MEMORY);
    for positions in [AttributedPositions::All, AttributedPositions::Last] {
        let config = Locate { positions, ..Locate::default() };
        group.bench_function(format!("attribution, positions {positions:?}"), |b| {
            b.iter(|| attribution(model, &trace, (TOKENS - 1, 5), 0, &config, MEMORY));
        });
    }
    for apart in [1, 3] {
        let edits = edits(model, apart);
        let replay = || Replay::new(model, trace.prefix(TOKENS), edits.clone(), MEMORY);
        group.bench_function(format!("replay, 10 candidates {apart} layers apart"), |b| {
            b.iter(|| replay().logits());
        });
        let mut replay = replay();
        let _ = replay.logits();
        replay.commit(0);
        group.bench_function(format!("replay, {apart} layers apart, after a commit"), |b| {
            b.iter(|| replay.logits());
        });
    }
    let points: Vec<PathPoint> =
        (0..20).map(|i| PathPoint { alpha: f64::from(i) / 20.0, weight: 0.05 }).collect();
    let (layers, prompts) = (0..model.spec().layers, [PromptEnd::new(model, &trace, 5, 0)]);
    group.bench_function("integrated gradients, 20 steps, all layers", |b| {
        b.iter(|| {
            let wanted = Quantity::Probability;
            integrated_gradients(model, &prompts, wanted, layers.clone(), &points, MEMORY)
        });
    });
    let probes = Probes::new(model, &vec![ids(48); 49], MEMORY);
    for (name, edit) in [("top", 0), ("middle", 5)] {
        let edit = &edits(model, 3)[edit];
        group.bench_function(format!("probing 49 prompts, edit at the {name}"), |b| {
            b.iter(|| probes.after(edit));
        });
    }
    group.finish();
}

fn retrieval(c: &mut Criterion) {
    let options = (Kind::Float, Device::Cpu);
    let (queries, corpus) =
        (Tensor::rand([100, 384], options), Tensor::rand([100_000, 384], options));
    let mut group = c.benchmark_group("retrieval");
    group.sample_size(10);
    group.bench_function("3 nearest of 100,000, 100 queries", |b| {
        b.iter(|| nearest(&queries, &corpus, 3, &[None; 100]).expect("indices"));
    });
    group.finish();
}

criterion_group!(benches, algorithm_1, engine, retrieval);
criterion_main!(benches);
