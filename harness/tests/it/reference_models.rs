//! The models that set-up makes, against their Python originals.
use crate::support::{golden, root, set_up_model, tensors};
use ment::edit::Edit;
use ment::engine::forward;
use ment::experiment::retrieval::MiniLm;
use ment::model::{Options, load};
use serde::Deserialize;
use std::path::Path;
use tch::{Device, Tensor};

#[derive(Deserialize)]
struct Prompts {
    prompts: Vec<Prompt>,
}

#[derive(Deserialize)]
struct Prompt {
    text: String,
    ids: Vec<u32>,
    argmax: Vec<i64>,
    min_margin: f64,
    top: Top,
}

#[derive(Deserialize)]
struct Top {
    ids: Vec<i64>,
    logits: Vec<f64>,
}

/// Ids, the argmax at every position and the best logits equal those of the reference.
fn predicts_as(folder: &Path, reference: &str) {
    let loaded = load(folder, Options::default()).unwrap();
    let text = std::fs::read_to_string(golden(reference)).unwrap();
    let golden: Prompts = serde_json::from_str(&text).unwrap();
    assert!(golden.prompts.len() >= 20);
    for prompt in &golden.prompts {
        assert_eq!(loaded.tokenizer.encode(&prompt.text).unwrap(), prompt.ids, "{:?}", prompt.text);
        let ids: Vec<i64> = prompt.ids.iter().map(|&id| i64::from(id)).collect();
        let ids = Tensor::from_slice(&ids).unsqueeze(0);
        let logits = forward::logits(loaded.model.as_ref(), &ids, &Edit::none()).squeeze_dim(0);
        let argmax = Vec::<i64>::try_from(logits.argmax(-1, false)).unwrap();
        assert!(prompt.min_margin > 1e-4, "{:?}: a tie decides nothing", prompt.text);
        assert_eq!(argmax, prompt.argmax, "{:?}", prompt.text);
        for (&id, reference) in prompt.top.ids.iter().zip(&prompt.top.logits) {
            let ours = f64::try_from(logits.get(-1).get(id)).unwrap();
            assert!((ours - reference).abs() < 1e-3, "{:?}: {ours} {reference}", prompt.text);
        }
    }
}

#[test]
fn smollm2_predicts_as_transformers_does() {
    predicts_as(&set_up_model("smollm2-135m-instruct"), "smollm2.json");
}

/// A model of another architecture, whose tokenizer is held to SentencePiece itself.
#[test]
#[ignore = "needs Gemma 3 270M, which is fetched on request only: scripts/just setup --gemma"]
fn gemma3_predicts_as_transformers_does() {
    predicts_as(&root().join(".gemma3-270m"), "gemma3.json");
}

#[derive(Deserialize)]
struct Sentences {
    texts: Vec<Sentence>,
}

#[derive(Deserialize)]
struct Sentence {
    text: String,
    ids: Vec<u32>,
}

#[test]
fn minilm_embeds_as_sentence_transformers_does() {
    let encoder = MiniLm::load(&set_up_model("all-minilm-l6-v2"), Device::Cpu).unwrap();
    let text = std::fs::read_to_string(golden("minilm.json")).unwrap();
    let golden: Sentences = serde_json::from_str(&text).unwrap();
    for Sentence { text, ids } in &golden.texts {
        assert_eq!(&encoder.ids(text).unwrap(), ids, "{text:?}");
    }
    let texts: Vec<&str> = golden.texts.iter().map(|golden| golden.text.as_str()).collect();
    let ours = encoder.embed(&texts, &|_| Ok(())).unwrap();
    let reference = &tensors("minilm.safetensors")["embeddings"];
    let difference = f64::try_from((ours - reference).abs().max()).unwrap();
    assert!(difference <= 1e-4, "off by {difference:.2e}");
}
