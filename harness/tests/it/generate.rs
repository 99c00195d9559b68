//! Decoding with kept keys and values: against `transformers`, against full passes, and as a command.

use crate::support::{CHECKPOINTS, golden, ment, model, relative};
use ment::edit::{ColumnDelta, Edit, Neuron};
use ment::engine::decode::Decoder;
use ment::engine::forward::logits;
use ment::engine::greedy::continuations;
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor};

#[derive(serde::Deserialize)]
struct Continuation {
    prompt: Vec<u32>,
    written: Vec<u32>,
}

#[test]
fn the_golden_checkpoints_write_what_the_reference_writes() {
    let text = std::fs::read_to_string(golden("generate.json")).unwrap();
    let golden: BTreeMap<String, Vec<Continuation>> = serde_json::from_str(&text).unwrap();
    assert_eq!(golden.len(), 4);
    for (name, continuations) in golden {
        let model = model(&name);
        for Continuation { prompt, written } in continuations {
            let mut decoder =
                Decoder::new(model.as_ref(), &prompt, Edit::none(), written.len() - 1);
            let mut ours = Vec::new();
            while ours.len() < written.len() {
                let next = i64::try_from(decoder.logits().argmax(-1, false)).unwrap() as u32;
                ours.push(next);
                if ours.len() < written.len() {
                    decoder.push(next);
                }
            }
            assert_eq!(ours, written, "{name} after {prompt:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever was edited, and wherever the prompt ends: each token's logits are those of a full pass.
    #[test]
    fn decoding_equals_full_passes(
        ids in prop::collection::vec(0_u32..59, 2..20),
        prompt in any::<prop::sample::Index>(),
        edited in prop::collection::vec((0_usize..3, 0_usize..38, 0_i64..99), 0..4),
        family in 0..CHECKPOINTS.len(),
    ) {
        let model = model(CHECKPOINTS[family]);
        let model = model.as_ref();
        let edit = Edit::of(edited.into_iter().map(|(layer, index, seed)| {
            let phase = Tensor::arange(model.spec().d_model as i64, (Kind::Float, Device::Cpu));
            let delta = (phase * 0.7 + seed as f64).sin();
            ColumnDelta::new(Neuron { layer, index }, delta)
        }).collect());
        let all: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
        let reference = logits(model, &Tensor::from_slice(&all).unsqueeze(0), &edit).squeeze_dim(0);
        let (prompt, rest) = ids.split_at(1 + prompt.index(ids.len() - 1));
        let mut decoder = Decoder::new(model, prompt, edit, rest.len());
        for (place, &id) in rest.iter().enumerate() {
            decoder.push(id);
            let reference = reference.get((prompt.len() + place) as i64);
            let difference = relative(decoder.logits(), &reference);
            prop_assert!(difference < 1e-4, "token {place}: {difference:.2e}");
        }
    }

    /// Each id that is written side by side with others is the most probable one of a full pass of its own prompt.
    #[test]
    fn continuations_side_by_side_are_those_of_each_alone(
        prompts in prop::collection::vec(prop::collection::vec(0_u32..59, 1..14), 1..6),
        tokens in 1_usize..5,
        family in 0..CHECKPOINTS.len(),
    ) {
        let model = model(CHECKPOINTS[family]);
        let model = model.as_ref();
        let given: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
        let written = continuations(model, &given, &Edit::none(), tokens, |_| Ok(())).unwrap();
        for (prompt, written) in prompts.iter().zip(&written) {
            prop_assert_eq!(written.len(), tokens);
            let all: Vec<i64> = prompt.iter().chain(written).map(|&id| i64::from(id)).collect();
            let ids = Tensor::from_slice(&all).unsqueeze(0);
            let reference = logits(model, &ids, &Edit::none()).squeeze_dim(0);
            for (place, &id) in (prompt.len() - 1..).zip(written) {
                let row = Vec::<f64>::try_from(reference.get(place as i64).to_kind(Kind::Double)).unwrap();
                let most = row.iter().copied().fold(f64::MIN, f64::max);
                // Of two that are equal but for rounding, either may be taken.
                prop_assert!(most - row[id as usize] < 1e-3, "token {place}");
            }
        }
    }
}

const PROMPT: &str = "def add(a, b):\n    return";

fn generate(arguments: &[&str]) -> assert_cmd::assert::Assert {
    ment().args(["generate", "--model"]).arg(golden("tiny")).args(arguments).assert()
}

fn said(arguments: &[&str]) -> String {
    let assert = generate(&[&["--prompt", PROMPT], arguments].concat()).success();
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

/// The tiny checkpoint knows its text by heart.
#[test]
fn a_text_is_written_as_it_comes_and_as_json() {
    let text = said(&["--tokens", "20"]);
    assert!(text.starts_with(" a + b\n\ndef mean(values):\n"), "{text:?}");
    let json: Value = serde_json::from_str(&said(&["--tokens", "20", "--json"])).unwrap();
    assert_eq!(json["text"].as_str().unwrap(), text.strip_suffix('\n').unwrap());
    assert_eq!((json["ids"].as_array().unwrap().len(), &json["ended"]), (20, &"length".into()));
}

#[test]
fn a_stop_ends_a_text_before_it() {
    assert_eq!(said(&["--stop", "\\n\\ndef"]), " a + b\n");
    assert_eq!(said(&["--stop", "mean", "--stop", " b"]), " a +\n");
    let json: Value = serde_json::from_str(&said(&["--stop", " b", "--json"])).unwrap();
    assert_eq!((&json["ended"], &json["text"]), (&"stop".into(), &" a +".into()));
}

#[test]
fn a_prompt_may_be_a_file_and_chance_has_a_seed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prompt.txt");
    std::fs::write(&file, format!("{PROMPT}\n")).unwrap();
    let file = format!("@{}", file.display());
    let by_file = generate(&["--tokens", "8", "--prompt", &file]).success();
    assert_eq!(by_file.get_output().stdout, said(&["--tokens", "8"]).into_bytes());
    let drawn = |seed| said(&["--tokens", "40", "--temperature", "3", "--seed", seed]);
    assert_eq!(drawn("1"), drawn("1"));
    assert_ne!(drawn("1"), drawn("2"));
    assert_eq!(said(&["--temperature", "3", "--top-p", "0.000001"]), said(&[]));
}

#[test]
fn the_context_is_the_end() {
    let long = "a ".repeat(1000);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("long.txt");
    std::fs::write(&file, &long).unwrap();
    let assert = generate(&["--prompt", &format!("@{}", file.display())]).code(2);
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(stderr.contains("the model's context holds 512"), "{stderr}");
    let json: Value =
        serde_json::from_str(&said(&["--tokens", "1000", "--temperature", "2", "--json"])).unwrap();
    assert!(["context", "end_of_sequence"].contains(&json["ended"].as_str().unwrap()), "{json}");
}

#[test]
fn what_means_nothing_is_refused() {
    for (arguments, reason) in [
        (&["--temperature=-1"][..], "--temperature: -1 must be 0 or more"),
        (&["--temperature", "nan"], "--temperature: NaN must be 0 or more"),
        (&["--top-p", "0"], "--top-p: 0 must be above 0 and at most 1"),
        (&["--top-p", "1.5"], "--top-p: 1.5 must be above 0"),
        (&["--tokens", "0"], "invalid value '0'"),
        (&["--compare"], "--patch"),
        (&["--patch", "nowhere.safetensors"], "nowhere.safetensors: no patch"),
    ] {
        let assert = generate(&[&["--prompt", PROMPT], arguments].concat()).code(2).stdout("");
        let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        assert!(stderr.contains(reason), "{reason} is not in {stderr}");
    }
    let assert = generate(&["--prompt", ""]).code(2).stdout("");
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(stderr.contains("the prompt is empty"), "{stderr}");
}
