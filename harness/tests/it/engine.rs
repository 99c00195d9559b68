//! Replay against full forward passes with edited weights, and edits against their undoing.
use crate::support::{CHECKPOINTS, model, relative};
use ment::config::Quantity;
use ment::edit::{Applied, ColumnDelta, Edit, InputDelta, MatrixChange, Neuron, Reach, Update};
use ment::engine::above::{Added, logits_changed};
use ment::engine::block::block;
use ment::engine::forward::{logits, logits_with_weights_edited};
use ment::engine::gradient::gradients;
use ment::engine::integrated_gradients::{PathPoint, integrated_gradients};
use ment::engine::probe::Probes;
use ment::engine::prompt_end::PromptEnd;
use ment::engine::replay::Replay;
use ment::engine::tails::Tails;
use ment::engine::trace::Trace;
use ment::model::{CausalLm, Sequences};
use proptest::prelude::*;
use tch::{Device, Kind, Tensor};

/// f32, two orders of summation; the edits here are as large as the columns themselves.
const TOLERANCE: f64 = 1e-4;

/// A column of an edit, independent of the sizes of a model.
type Drawn = (prop::sample::Index, prop::sample::Index, i64);

fn drawn() -> impl Strategy<Value = Vec<Drawn>> {
    prop::collection::vec(
        (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..99_i64),
        1..4,
    )
}

fn edit(model: &dyn CausalLm, drawn: &[Drawn]) -> Edit {
    let spec = model.spec();
    let (rows, columns) = (spec.d_model as i64, spec.d_ff as i64);
    let mut edit = Edit::none();
    for (layer, index, seed) in drawn {
        let waves = |count: i64, step: f64| {
            let phase = Tensor::arange(count, (Kind::Float, Device::Cpu));
            (phase * step + *seed as f64).sin()
        };
        let (layer, index) = (layer.index(spec.layers), index.index(spec.d_ff));
        if seed % 5 == 4 {
            let (weight, bias) = model.ffn_input_matrix(layer);
            let projections = weight.size()[0] / columns;
            edit.inputs.push(InputDelta {
                neuron: Neuron { layer, index },
                rows: waves(projections * rows, 0.7).view([projections, rows]) * 0.3,
                bias: bias.map(|_| waves(projections, 0.9)).filter(|_| seed % 2 == 0),
                key: None,
            });
            continue;
        }
        let matrix = match seed % 4 {
            // As large as a column in one neuron, and less in the others.
            1 => Some(Update::rank_one(layer, &waves(rows, 0.7), &(waves(columns, 1.3) * 0.3))),
            2 => {
                let left = waves(rows * 3, 0.7).view([rows, 3]);
                let right = waves(3 * columns, 1.3).view([3, columns]) * 0.2;
                Some(Update::new(layer, MatrixChange::LowRank { left, right }))
            }
            3 => {
                let matrix = waves(rows * columns, 0.7).view([rows, columns]) * 0.2;
                Some(Update::new(layer, MatrixChange::Dense(matrix)))
            }
            _ => None,
        };
        match matrix {
            Some(update) => edit.updates.push(update),
            None => {
                edit.columns.push(ColumnDelta::new(Neuron { layer, index }, waves(rows, 0.7)));
            }
        }
    }
    edit
}

/// The same, every second column at the end of a sequence only.
fn reaching(model: &dyn CausalLm, drawn: &[Drawn]) -> Edit {
    let mut edit = edit(model, drawn);
    for column in &mut edit.columns {
        column.reach = if column.neuron.index % 2 == 0 { Reach::End } else { Reach::All };
    }
    edit
}

fn ids(tokens: usize, seed: i64, model: &dyn CausalLm) -> Tensor {
    let vocabulary = model.spec().vocabulary as i64;
    let ids: Vec<i64> = (0..tokens as i64).map(|i| (i * 37 + seed * 11) % vocabulary).collect();
    Tensor::from_slice(&ids)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Any batch of edits on any standing edit, whatever was committed meanwhile and however
    /// little fits into memory: each row equals weights edited and a full pass.
    #[test]
    fn replay_equals_edited_weights(
        standing in drawn(),
        edits in prop::collection::vec(drawn(), 1..6),
        commits in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        budget in prop::sample::select(vec![0_usize, 100_000, usize::MAX]),
        to_ends in any::<bool>(),
        family in 0..CHECKPOINTS.len(),
        seed in 0..50_i64,
    ) {
        let model = model(CHECKPOINTS[family]);
        let model = model.as_ref();
        let ids = ids(12, seed, model);
        let mut standing = edit(model, &standing);
        let edits: Vec<Edit> = edits.iter().map(|drawn| reaching(model, drawn)).collect();
        let trace = if to_ends { Trace::to_ends } else { Trace::new };
        let trace = trace(model, &Sequences::one(&ids), standing.clone());
        let mut replay = Replay::new(model, trace, edits.clone(), budget);
        for round in 0..=commits.len() {
            let rows = replay.logits().squeeze_dim(1);
            for (row, edit) in edits.iter().enumerate() {
                let reference = logits_with_weights_edited(model, &ids, &standing.and(edit));
                let difference = relative(&rows.get(row as i64), &reference);
                prop_assert!(difference < TOLERANCE, "round {round} row {row}: {difference:.2e}");
            }
            let commit = commits.get(round).map(|commit| commit.index(edits.len()));
            // An edit of some positions only cannot stand.
            if let Some(commit) = commit.filter(|&commit| edits[commit].is_of_weights()) {
                replay.commit(commit);
                standing = standing.and(&edits[commit]);
            }
        }
    }

    /// Candidates that are replaced after a commit, or taken out, count as if they had been so from the
    /// start.
    #[test]
    fn replay_with_other_candidates_equals_edited_weights(
        edits in prop::collection::vec(drawn(), 3..6),
        out in any::<prop::sample::Index>(),
        budget in prop::sample::select(vec![0_usize, 100_000, usize::MAX]),
        seed in 0..50_i64,
    ) {
        let model = model("llama");
        let model = model.as_ref();
        let ids = ids(12, seed, model);
        let mut edits: Vec<Edit> = edits.iter().map(|drawn| edit(model, drawn)).collect();
        let trace = Trace::to_ends(model, &Sequences::one(&ids), Edit::none());
        let mut replay = Replay::new(model, trace, edits.clone(), budget);
        let _ = replay.logits();
        let standing = edits[0].clone();
        replay.commit(0);
        edits[0].columns.iter_mut().for_each(|column| column.delta = &column.delta * 0.5);
        edits[0].updates.iter_mut().for_each(|own| own.change = own.change.map(|part| part * 0.5));
        edits[0].inputs.iter_mut().for_each(|own| *own = own.map(|part| part * 0.5));
        replay.replace(0, edits[0].clone());
        let out = 1 + out.index(edits.len() - 1);
        replay.remove(out);
        edits.remove(out);
        let rows = replay.logits().squeeze_dim(1);
        prop_assert_eq!(rows.size()[0] as usize, edits.len());
        for (row, edit) in edits.iter().enumerate() {
            let reference = logits_with_weights_edited(model, &ids, &standing.and(edit));
            let difference = relative(&rows.get(row as i64), &reference);
            prop_assert!(difference < TOLERANCE, "row {row}: {difference:.2e}");
        }
    }

    /// A trace after a commit is the trace made under the edit, and its prefix the prefix's.
    #[test]
    fn commit_equals_a_new_trace(first in drawn(), second in drawn(), family in 0..CHECKPOINTS.len()) {
        let model = model(CHECKPOINTS[family]);
        let model = model.as_ref();
        let ids = ids(10, 3, model);
        let (first, second) = (edit(model, &first), edit(model, &second));
        let mut committed = Trace::new(model, &Sequences::one(&ids), first.clone());
        committed.commit(model, &second);
        let reference = logits(model, &ids.unsqueeze(0), &first.and(&second)).squeeze_dim(0);
        prop_assert!(relative(&committed.logits_from(model, 0), &reference) < TOLERANCE);
        let cut = committed.prefix(6).logits(model).squeeze_dim(0);
        prop_assert!(relative(&cut, &reference.get(5)) < TOLERANCE);
    }

    /// Prompts of unequal length, some of which begin alike, in memory, spilled or run again: each row
    /// equals weights edited and a full pass over the prompt alone.
    #[test]
    fn probes_equal_edited_weights(
        lengths in prop::collection::vec(1..14_usize, 1..8),
        shared in 0..10_usize,
        drawn in drawn(),
        budget in prop::sample::select(vec![0_usize, 200_000, 1 << 30]),
        family in 0..CHECKPOINTS.len(),
    ) {
        let model = model(CHECKPOINTS[family]);
        let model = model.as_ref();
        let edit = reaching(model, &drawn);
        let prompt = |(&length, seed): (&usize, i64)| {
            let own = ids(length, seed, model);
            if seed % 3 == 0 {
                return own;
            }
            let shared = shared.min(length) as i64;
            let rest = own.narrow(0, shared, length as i64 - shared);
            Tensor::cat(&[&ids(shared as usize, 99, model), &rest], 0)
        };
        let prompts: Vec<Tensor> = lengths.iter().zip(0..).map(prompt).collect();
        let as_ids = |t: &Tensor| Vec::<i64>::try_from(t).unwrap().into_iter().map(|id| id as u32);
        let as_ids: Vec<Vec<u32>> = prompts.iter().map(|t| as_ids(t).collect()).collect();
        let probes = Probes::new(model, &as_ids, budget);
        let after = probes.after(&edit);
        for (row, ids) in prompts.iter().enumerate() {
            let before = logits_with_weights_edited(model, ids, &Edit::none());
            let reference = logits_with_weights_edited(model, ids, &edit);
            prop_assert!(relative(&probes.before().get(row as i64), &before) < TOLERANCE);
            prop_assert!(relative(&after.get(row as i64), &reference) < TOLERANCE);
        }
    }

    /// Changes at the last tokens of several sequences at once equal a run of each sequence up to each of these tokens,
    /// in which nothing changes before them.
    #[test]
    fn changed_tails_equal_whole_sequences(
        shapes in prop::collection::vec((1..12_usize, 0..4_usize), 1..4),
        standing in drawn(),
        neuron in 0..8_usize,
        layer in 0..8_usize,
        family in 0..CHECKPOINTS.len(),
    ) {
        let model = model(CHECKPOINTS[family]);
        let model = model.as_ref();
        let spec = model.spec();
        let (standing, layer) = (edit(model, &standing), layer % spec.layers);
        let delta = Tensor::arange(spec.d_model as i64, (spec.kind, spec.device)).sin();
        let column = ColumnDelta::new(Neuron { layer, index: neuron % spec.d_ff }, delta);
        let sequences: Vec<(Vec<u32>, usize)> = shapes
            .iter()
            .zip(0..)
            .map(|(&(length, tail), seed)| {
                let ids = Vec::<i64>::try_from(ids(length, seed, model)).unwrap();
                let from = length.saturating_sub(tail).max(1);
                (ids.into_iter().map(|id| id as u32).collect(), from)
            })
            .collect();
        let given: Vec<(&[u32], usize)> =
            sequences.iter().map(|(ids, from)| (&ids[..], *from)).collect();
        let tails = Tails::new(model, &given, &standing, layer);
        let logits = tails.logits(model, &column.contribution(&tails.post_activations()));
        let mut row = 0;
        for (ids, from) in &sequences {
            for end in *from..=ids.len() {
                let ids: Vec<i64> = ids[..end].iter().map(|&id| i64::from(id)).collect();
                let sequence = Sequences::one(&Tensor::from_slice(&ids));
                let trace = Trace::to_ends(model, &sequence, standing.clone());
                let changes = Tensor::arange(end as i64, (Kind::Int64, spec.device)).ge(*from as i64 - 1);
                let changes = changes.unsqueeze(-1);
                let reference = logits_changed(model, &trace, layer, |at, active| {
                    let positions = active.size()[1];
                    let changes = changes.narrow(0, end as i64 - positions, positions);
                    (at == layer).then(|| Added::ToFfn(column.contribution(active) * &changes))
                });
                let difference = relative(&logits.get(row), &reference.squeeze_dim(0));
                prop_assert!(difference < TOLERANCE, "row {row}: {difference:.2e}");
                row += 1;
            }
        }
        prop_assert_eq!(row, logits.size()[0]);
    }

    /// Steps × layers × prompts in one pass equal one plain forward pass a step, layer and prompt
    /// with the activations replaced, and its gradient; in one piece or in many.
    #[test]
    fn integrated_gradients_equal_one_pass_a_step(
        lengths in prop::collection::vec(1..12_usize, 1..4),
        alphas in prop::collection::vec(0.0..1.0_f64, 1..4),
        standing in drawn(),
        budget in prop::sample::select(vec![0_usize, 300_000, usize::MAX]),
        family in 0..CHECKPOINTS.len(),
    ) {
        let model = model(CHECKPOINTS[family]);
        let model = model.as_ref();
        let (layers, target) = (model.spec().layers, 7_u32);
        let standing = edit(model, &standing);
        let points: Vec<PathPoint> =
            alphas.iter().zip(1..).map(|(&alpha, w)| PathPoint { alpha, weight: f64::from(w) }).collect();
        let prompts: Vec<PromptEnd> = lengths
            .iter()
            .zip(0..)
            .map(|(&length, seed)| {
                let sequences = Sequences::one(&ids(length, seed, model));
                let trace = Trace::to_ends(model, &sequences, standing.clone());
                PromptEnd::new(model, &trace, target, 0)
            })
            .collect();
        let wanted = Quantity::Probability;
        let ours = integrated_gradients(model, &prompts, wanted, 0..layers, &points, budget);
        for (prompt, (&length, seed)) in lengths.iter().zip(0..).enumerate() {
            let ids = ids(length, seed, model);
            let plain = |layer| plain_integrated_gradients(model, &ids, &standing, layer, target, &points);
            let reference = Tensor::stack(&(0..layers).map(plain).collect::<Vec<_>>(), 0);
            let difference = relative(&ours.get(prompt as i64), &reference);
            prop_assert!(difference < TOLERANCE, "prompt {prompt}: {difference:.2e}");
        }
    }

    /// Whatever is edited, and however the scope is left, the weights come back bit for bit.
    #[test]
    fn undone_bit_for_bit(drawn in drawn(), twice in any::<bool>(), panics in any::<bool>()) {
        let model = model("llama");
        let model = model.as_ref();
        let weights = || -> Vec<Tensor> {
            let matrices = |layer| [model.ffn_output_matrix(layer), model.ffn_input_matrix(layer).0];
            (0..model.spec().layers).flat_map(matrices).map(Tensor::copy).collect()
        };
        let before = weights();
        let mut edit = edit(model, &drawn);
        if twice {
            edit = edit.and(&edit.clone());
        }
        let left = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _applied = Applied::new(model, &edit);
            assert!(before.iter().zip(weights()).any(|(b, now)| *b != now), "nothing was edited");
            if panics {
                std::panic::resume_unwind(Box::new("the scope is left by a panic"));
            }
        }));
        prop_assert_eq!(left.is_err(), panics);
        for (before, after) in before.iter().zip(weights()) {
            prop_assert_eq!(before, &after);
        }
    }
}

/// Integrated gradients as they are written down: for each point one pass over the whole prompt,
/// the activations of `layer` at the last position replaced. `[F]`
fn plain_integrated_gradients(
    model: &dyn CausalLm,
    ids: &Tensor,
    edit: &Edit,
    layer: usize,
    target: u32,
    points: &[PathPoint],
) -> Tensor {
    let position = Tensor::arange(ids.size()[0], (Kind::Int64, Device::Cpu));
    let mut residual = model.embed(&ids.unsqueeze(0), &position.unsqueeze(0));
    for below in 0..layer {
        residual = block(model, below, &residual, None, edit).output;
    }
    let own = block(model, layer, &residual, None, edit);
    let last = ids.size()[0] - 1;
    let active = own.post_activation.narrow(1, last, 1);
    let exit = model.ffn_exit(layer);
    let without = &own.output - exit.apply(own.ffn_output.shallow_clone());
    let mut sum = active.zeros_like();
    for point in points {
        let scaled = (&active * point.alpha).set_requires_grad(true);
        let before = own.post_activation.narrow(1, 0, last);
        let replaced = Tensor::cat(&[&before, &scaled], 1);
        let mut output = model.ffn_output(layer, &replaced);
        if let Some(edited) = edit.contribution(layer, &replaced) {
            output += edited;
        }
        let mut state = &without + exit.apply(output);
        for above in layer + 1..model.spec().layers {
            state = block(model, above, &state, None, edit).output;
        }
        let logits = model.head(&model.final_norm(&state.select(1, last)));
        let value = logits.softmax(-1, Kind::Float).select(-1, i64::from(target)).sum(Kind::Float);
        let gradient = Tensor::run_backward(&[value], &[&scaled], false, false).remove(0);
        sum += gradient * point.weight;
    }
    (active * sum).flatten(0, -1)
}

/// The gradients summed up over many steps are the change they integrate (completeness).
#[test]
fn integrated_gradients_are_complete() {
    let model = model("llama");
    let model = model.as_ref();
    let (layer, steps) = (1, 200);
    let ids = ids(9, 4, model);
    let trace = Trace::to_ends(model, &Sequences::one(&ids), Edit::none());
    let probability = |logits: &Tensor| {
        f64::try_from(logits.softmax(-1, Kind::Double).get(7)).expect("a probability")
    };
    let whole = probability(&trace.logits(model).squeeze_dim(0));
    // Without the layer's activations at the last position: an edit that takes all of it away.
    let active = trace.post_activation[layer].select(1, -1).view([-1]);
    let without = {
        let change = active.unsqueeze(0).linear(model.ffn_output_matrix(layer), None::<&Tensor>);
        let mut residual = trace.residual[layer + 1].copy();
        let mut last = residual.narrow(1, 8, 1);
        last -= change.unsqueeze(0);
        for above in layer + 1..model.spec().layers {
            residual = block(model, above, &residual, None, &Edit::none()).output;
        }
        probability(&model.head(&model.final_norm(&residual.select(1, -1))).squeeze_dim(0))
    };
    let points: Vec<PathPoint> = (0..steps)
        .map(|i| PathPoint {
            alpha: (f64::from(i) + 0.5) / f64::from(steps),
            weight: 1.0 / f64::from(steps),
        })
        .collect();
    let (wanted, memory) = (Quantity::Probability, 1 << 30);
    let prompt = [PromptEnd::new(model, &trace, 7, layer)];
    let scores = integrated_gradients(model, &prompt, wanted, layer..layer + 1, &points, memory);
    let sum = f64::try_from(scores.sum(Kind::Double)).expect("a number");
    let change = whole - without;
    assert!(change.abs() > 1e-6, "nothing to explain: {change:.2e}");
    assert!((sum - change).abs() < 1e-3 * change.abs(), "{sum:.6e} is not {change:.6e}");
}

/// The gradient of a logit with respect to the FFN output at the last position, along a direction, is the
/// difference of the logit under two small edits of that position only.
#[test]
fn output_gradients_are_directional_derivatives() {
    for family in CHECKPOINTS {
        let model = model(family);
        let model = model.as_ref();
        let ids = ids(8, 5, model);
        let trace = Trace::new(model, &Sequences::one(&ids), Edit::none());
        let mut along = Vec::new();
        gradients(model, &trace, (7, 3), Quantity::Logit, 0, |of| {
            let active = of.post_activation.select(1, -1).squeeze_dim(0);
            let index = i64::try_from(active.abs().argmax(0, false)).unwrap();
            let neuron = Neuron { layer: of.layer, index: index as usize };
            let phase = Tensor::arange(model.spec().d_model as i64, (Kind::Float, Device::Cpu));
            let delta = (phase * 0.7).sin() * 0.01;
            let change = active.double_value(&[index]) * &delta;
            let gradient = of.output_gradient.select(1, -1).squeeze_dim(0);
            along.push((neuron, delta, (gradient * change).sum(Kind::Float).double_value(&[])));
        });
        assert_eq!(along.len(), model.spec().layers);
        for (neuron, delta, expected) in along {
            let logit = |sign: f64| {
                let delta = &delta * sign;
                let edit = Edit::of(vec![ColumnDelta { neuron, delta, reach: Reach::End }]);
                logits_with_weights_edited(model, &ids, &edit).double_value(&[3])
            };
            let found = (logit(1.0) - logit(-1.0)) / 2.0;
            let bound = 0.02 * expected.abs() + 2e-5;
            assert!(
                (found - expected).abs() < bound,
                "{family}, {neuron:?}: {found} and {expected}"
            );
        }
    }
}
