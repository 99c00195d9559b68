//! Broken checkpoints, tokenizers and data: one clear error each, before anything is measured.
use crate::bench::{self, Bench, stderr};
use crate::support::{golden, root};
use proptest::prelude::*;
use std::fs;
use tch::{Kind, Tensor};

/// A bench whose checkpoint is a copy that a test may break.
fn breakable() -> Bench {
    let bench = Bench::tiny();
    bench::copy(&golden("tiny"), &bench.path("model"));
    let config = Bench::tiny_config("");
    bench.config(&config.replace(&format!("{:?}", golden("tiny")), "\"model\""));
    bench
}

/// Rewrites the weights through `change`.
fn rewrite(bench: &Bench, change: impl Fn(&mut Vec<(String, Tensor)>)) {
    let path = bench.path("model/model.safetensors");
    let mut tensors = Tensor::read_safetensors(&path).unwrap();
    change(&mut tensors);
    Tensor::write_safetensors(&tensors, &path).unwrap();
}

fn edit_json(bench: &Bench, key: &str, value: serde_json::Value) {
    let path = bench.path("model/config.json");
    let mut config: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    config[key] = value;
    fs::write(&path, config.to_string()).unwrap();
}

#[test]
fn missing_checkpoint() {
    let bench = breakable();
    fs::remove_dir_all(bench.path("model")).unwrap();
    insta::assert_snapshot!(bench.refused());
}

#[test]
fn missing_weights() {
    let bench = breakable();
    fs::remove_file(bench.path("model/model.safetensors")).unwrap();
    insta::assert_snapshot!(bench.refused());
}

#[test]
fn truncated_checkpoint() {
    let bench = breakable();
    let path = bench.path("model/model.safetensors");
    let bytes = fs::read(&path).unwrap();
    for length in [0, 5, 300, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).unwrap();
        let error = bench.refused();
        assert!(error.contains("model.safetensors: truncated"), "{length}: {error}");
    }
    insta::assert_snapshot!(bench.refused());
}

#[test]
fn truncated_pickle() {
    let bench = breakable();
    fs::remove_file(bench.path("model/model.safetensors")).unwrap();
    let bytes = fs::read(golden("codegen/pytorch_model.bin")).unwrap();
    fs::write(bench.path("model/pytorch_model.bin"), &bytes[..bytes.len() / 2]).unwrap();
    insta::assert_snapshot!(bench.refused());
}

/// An index names files beside it, and no others.
#[test]
fn an_index_that_reaches_out_of_its_folder() {
    let bench = breakable();
    fs::rename(bench.path("model/model.safetensors"), bench.path("weights.safetensors")).unwrap();
    let absolute = bench.path("weights.safetensors").display().to_string();
    for file in ["../weights.safetensors", &absolute, "..", "a/../../weights.safetensors", ""] {
        let index = serde_json::json!({ "weight_map": { "model.norm.weight": file } });
        fs::write(bench.path("model/model.safetensors.index.json"), index.to_string()).unwrap();
        let error = bench.refused();
        assert!(error.contains("is not the name of a file beside it"), "{file}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Of a checkpoint whose header is damaged, an error is all that comes.
    #[test]
    fn a_damaged_header_is_read_or_refused(
        edits in prop::collection::vec((0..2_000_usize, any::<u8>()), 1..6),
        end in 0.0..1.0_f64,
    ) {
        let folder = tempfile::tempdir().unwrap();
        bench::copy(&golden("tiny"), folder.path());
        let path = folder.path().join("model.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        for (at, byte) in edits {
            bytes[at] = byte;
        }
        if end < 0.3 {
            bytes.truncate((end * bytes.len() as f64) as usize);
        }
        fs::write(&path, bytes).unwrap();
        drop(ment::model::load(folder.path(), ment::model::Options::default()));
    }
}

#[test]
fn missing_tensor() {
    let bench = breakable();
    rewrite(&bench, |tensors| {
        tensors.retain(|(name, _)| name != "model.layers.1.mlp.up_proj.weight")
    });
    insta::assert_snapshot!(bench.refused());
}

#[test]
fn unknown_tensor() {
    let bench = breakable();
    rewrite(&bench, |tensors| {
        tensors.push(("model.layers.0.self_attn.q_norm.weight".into(), Tensor::from(1.0)));
    });
    insta::assert_snapshot!(bench.refused());
}

#[test]
fn wrong_shape() {
    let bench = breakable();
    edit_json(&bench, "intermediate_size", 47.into());
    insta::assert_snapshot!(bench.refused());
}

#[test]
fn wrong_dtype() {
    let bench = breakable();
    rewrite(&bench, |tensors| {
        for (name, tensor) in tensors {
            if name == "model.norm.weight" {
                *tensor = tensor.to_kind(Kind::Int);
            }
        }
    });
    insta::assert_snapshot!(bench.refused());
}

#[test]
fn unknown_architecture() {
    let bench = breakable();
    edit_json(&bench, "model_type", "mamba".into());
    insta::assert_snapshot!(bench.refused());
}

#[test]
fn unsupported_rope() {
    let bench = breakable();
    edit_json(&bench, "rope_scaling", serde_json::json!({"rope_type": "su", "factor": 8.0}));
    insta::assert_snapshot!(bench.refused());
}

#[test]
fn tokenizer_of_a_larger_model() {
    let bench = breakable();
    edit_json(&bench, "vocab_size", 300.into());
    rewrite(&bench, |tensors| {
        for (name, tensor) in tensors {
            if name == "model.embed_tokens.weight" {
                *tensor = tensor.narrow(0, 0, 300).copy();
            }
        }
    });
    insta::assert_snapshot!(bench.refused());
}

/// CodeGen's own config names an ordinary token as begin of sequence.
#[test]
fn any_begin_of_sequence_is_accepted() {
    let bench = breakable();
    edit_json(&bench, "bos_token_id", 17.into());
    bench.run("out").success();
}

#[test]
fn two_rows_of_one_name_by_way_of_the_model() {
    let bench = breakable();
    fs::rename(bench.path("model"), bench.path("MENT")).unwrap();
    let arguments = ["run", "config.toml", "--out", "out", "--model", "MENT"];
    let assert = bench.ment(&arguments).assert().code(2);
    assert!(bench::stderr(&assert, bench.folder.path()).contains("label `MENT` is used twice"));
}

#[test]
fn no_tokenizer() {
    let bench = breakable();
    fs::write(bench.path("model/tokenizer.json"), "{}").unwrap();
    assert!(bench.refused().contains("tokenizer.json: not a tokenizer"));
    fs::remove_file(bench.path("model/tokenizer.json")).unwrap();
    assert!(bench.refused().contains("tokenizer.json: cannot be read"));
    fs::write(bench.path("model/tokenizer.model"), "").unwrap();
    assert!(bench.refused().contains("transformers converts it: python3 -c"));
}

#[test]
fn prompt_longer_than_the_context() {
    let bench = breakable();
    edit_json(&bench, "max_position_embeddings", 40.into());
    insta::assert_snapshot!(bench.refused());
}

/// The advice to leave out demonstrations is not given where they are left out already.
#[test]
fn a_prompt_that_is_too_long_without_demonstrations() {
    let bench = breakable();
    edit_json(&bench, "max_position_embeddings", 40.into());
    let more = "[execution]\ntoo_long = \"fewer_demonstrations\"\n";
    let config = Bench::tiny_config(more).replace(&format!("{:?}", golden("tiny")), "\"model\"");
    bench.config(&config);
    let error = bench.refused();
    assert!(error.contains("too long without any demonstration; remove the pair"), "{error}");
    assert!(!error.contains("fewer_demonstrations"), "{error}");
}

/// A data folder that a test fills.
fn data(bench: &Bench, train: &str, test: &str) {
    fs::create_dir_all(bench.path("data")).unwrap();
    fs::write(bench.path("data/conala-train.json"), train).unwrap();
    fs::write(bench.path("data/conala-test.json"), test).unwrap();
    let sample = root().join("benchmark/conala/sample");
    bench.config(&Bench::tiny_config("").replace(&format!("{sample:?}"), "\"data\""));
}

const ROW: &str =
    r#"{"intent": "add", "rewritten_intent": null, "snippet": "a + b", "question_id": 1}"#;

#[test]
fn empty_data_set() {
    let bench = Bench::tiny();
    data(&bench, &format!("[{ROW}]"), "[]");
    insta::assert_snapshot!(bench.refused());
}

#[test]
fn malformed_row() {
    let bench = Bench::tiny();
    data(&bench, &format!("[{ROW}]"), &format!("[\n{ROW},\n{{\"intent\": \"sub\"}}\n]"));
    insta::assert_snapshot!(bench.refused());
}

#[test]
fn data_set_that_is_not_there() {
    let bench = Bench::tiny();
    data(&bench, "[]", "[]");
    fs::remove_file(bench.path("data/conala-test.json")).unwrap();
    insta::assert_snapshot!(bench.refused());
}

#[test]
fn a_bench_without_its_models_is_refused() {
    let bench = Bench::tiny();
    let assert = bench.ment(&["bench", "--out", "out"]).assert().code(2);
    let stderr = stderr(&assert, bench.folder.path());
    assert!(stderr.contains("no model; `just bench` makes the ones it measures"), "{stderr}");
    assert!(!bench.path("out").exists());
}
