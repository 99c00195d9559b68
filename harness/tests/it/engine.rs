//! Replay against full forward passes with edited weights, and edits against their undoing.
use crate::support::{model, relative};
use ment::edit::{Applied, ColumnDelta, Edit, Neuron};
use ment::model::CausalLm;
use ment::model::forward::{logits, logits_with_weights_edited};
use ment::model::replay::replay;
use ment::model::trace::Trace;
use proptest::prelude::*;
use tch::{Device, Kind, Tensor};

/// f32, two orders of summation; the edits here are as large as the columns themselves.
const TOLERANCE: f64 = 1e-4;
const FAMILIES: [&str; 3] = ["llama", "qwen2", "codegen"];

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
    Edit(
        drawn
            .iter()
            .map(|(layer, index, seed)| {
                let neuron =
                    Neuron { layer: layer.index(spec.layers), index: index.index(spec.d_ff) };
                let phase = Tensor::arange(spec.d_model as i64, (Kind::Float, Device::Cpu));
                ColumnDelta { neuron, delta: (phase * 0.7 + *seed as f64).sin() }
            })
            .collect(),
    )
}

fn ids(tokens: usize, seed: i64, model: &dyn CausalLm) -> Tensor {
    let vocabulary = model.spec().vocabulary as i64;
    let ids: Vec<i64> = (0..tokens as i64).map(|i| (i * 37 + seed * 11) % vocabulary).collect();
    Tensor::from_slice(&ids)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any batch of edits on any standing edit: each row equals weights edited and a full pass.
    #[test]
    fn replay_equals_edited_weights(
        standing in drawn(),
        edits in prop::collection::vec(drawn(), 1..6),
        family in 0..FAMILIES.len(),
        seed in 0..50_i64,
    ) {
        let model = model(FAMILIES[family]);
        let model = model.as_ref();
        let ids = ids(12, seed, model);
        let standing = edit(model, &standing);
        let edits: Vec<Edit> = edits.iter().map(|drawn| edit(model, drawn)).collect();
        let trace = Trace::new(model, &ids, standing.clone());
        let rows = replay(model, &trace, &edits);
        for (row, edit) in edits.iter().enumerate() {
            let mut whole = standing.clone();
            whole.0.extend(edit.0.iter().cloned());
            let reference = logits_with_weights_edited(model, &ids, &whole);
            let difference = relative(&rows.get(row as i64), &reference);
            prop_assert!(difference < TOLERANCE, "row {row}: {difference:.2e}");
        }
    }

    /// A trace after a commit is the trace made under the edit, and its prefix the prefix's.
    #[test]
    fn commit_equals_a_new_trace(first in drawn(), second in drawn(), family in 0..FAMILIES.len()) {
        let model = model(FAMILIES[family]);
        let model = model.as_ref();
        let ids = ids(10, 3, model);
        let (first, second) = (edit(model, &first), edit(model, &second));
        let mut committed = Trace::new(model, &ids, first.clone());
        committed.commit(model, &second);
        let mut both = first;
        both.0.extend(second.0.iter().cloned());
        let reference = logits(model, &ids.unsqueeze(0), &both).squeeze_dim(0);
        prop_assert!(relative(&committed.logits_from(model, 0), &reference) < TOLERANCE);
        let cut = committed.prefix(6);
        prop_assert!(relative(&cut.logits_from(model, 0), &reference.narrow(0, 0, 6)) < TOLERANCE);
    }

    /// Whatever is edited, and however the scope is left, the weights come back bit for bit.
    #[test]
    fn undone_bit_for_bit(drawn in drawn(), twice in any::<bool>(), panics in any::<bool>()) {
        let model = model("llama");
        let model = model.as_ref();
        let weights = || -> Vec<Tensor> {
            (0..model.spec().layers).map(|l| model.ffn_output_matrix(l).copy()).collect()
        };
        let before = weights();
        let mut edit = edit(model, &drawn);
        if twice {
            edit.0.extend(edit.0.clone());
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
