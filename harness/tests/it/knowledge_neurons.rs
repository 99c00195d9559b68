//! Knowledge Neurons against plain autograd on `transformers` (`scripts/goldens/knowledge_neurons.py`).

use crate::support::{golden, model, relative, tensors};
use ment::config::{Quadrature, Quantity};
use ment::edit::Edit;
use ment::engine::integrated_gradients::{PathPoint, integrated_gradients};
use ment::engine::prompt_end::PromptEnd;
use ment::engine::trace::Trace;
use ment::method::kn::select;
use ment::model::Sequences;
use serde_json::Value;
use tch::Device;

#[test]
fn attributions_and_choices_are_the_references() {
    let facts = std::fs::read_to_string(golden("knowledge_neurons.json")).unwrap();
    let facts: Value = serde_json::from_str(&facts).unwrap();
    let scores = tensors("knowledge_neurons.safetensors");
    let mut compared = 0;
    for name in ["llama", "codegen"] {
        let model = model(name);
        let prompts: Vec<Vec<u32>> =
            serde_json::from_value(facts[name]["prompts"].clone()).unwrap();
        let target = facts[name]["target"].as_u64().unwrap() as u32;
        let prompts: Vec<PromptEnd> = prompts
            .iter()
            .map(|ids| Sequences::several(std::iter::once(ids.as_slice()), Device::Cpu))
            .map(|ids| Trace::to_ends(model.as_ref(), &ids, Edit::none()))
            .map(|trace| PromptEnd::new(model.as_ref(), &trace, target, 0))
            .collect();
        for (rule, quadrature) in [
            ("left", Quadrature::Left),
            ("inclusive", Quadrature::Inclusive),
            ("midpoint", Quadrature::Midpoint),
        ] {
            for steps in [1, 20] {
                let weight = 1.0 / steps as f64;
                let places = quadrature.places(steps).into_iter();
                let points: Vec<PathPoint> =
                    places.map(|alpha| PathPoint { alpha, weight }).collect();
                let layers = 0..model.spec().layers;
                let wanted = Quantity::Probability;
                let ours = integrated_gradients(
                    model.as_ref(),
                    &prompts,
                    wanted,
                    layers,
                    &points,
                    1 << 20,
                );
                let case = format!("{name}.{rule}.{steps}");
                let difference = relative(&ours, &scores[&case]);
                assert!(difference < 1e-4, "{case}: {difference:.1e}");

                let flat = ours.flatten(1, 2);
                let number = |key: &str| facts[key].as_f64().unwrap();
                let chosen = select(&flat, number("threshold"), number("share")).unwrap();
                let width = model.spec().d_ff;
                let chosen: Vec<[usize; 2]> =
                    chosen.iter().map(|flat| [flat / width, flat % width]).collect();
                let theirs: Vec<[usize; 2]> = serde_json::from_value(
                    facts[name]["chosen"][format!("{rule}.{steps}")].clone(),
                )
                .unwrap();
                assert_eq!(chosen, theirs, "{case}");
                compared += theirs.len();
            }
        }
    }
    assert!(compared > 50, "the choices compared hold neurons");
}
