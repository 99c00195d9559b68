//! Model folders as other programs write them: what is honoured, what is refused by name, and what is
//! noted. Each was read silently wrong by some tool once.

use crate::bench;
use crate::support::{golden, ment, relative, tensors};
use ment::edit::Edit;
use ment::engine::forward::logits;
use ment::model::{Options, check, load_weights};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use tch::{Kind, Tensor};
use tempfile::TempDir;

const PROMPT: &str = "def add(a, b):\n    return";

/// The file of each tensor.
type Places = BTreeMap<String, String>;

/// The tensors of two shards.
type Shards = [Vec<(String, Tensor)>; 2];

/// A copy of a golden checkpoint that a test changes.
struct Folder(TempDir);

impl Folder {
    fn of(name: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        bench::copy(&golden(name), folder.0.path());
        folder
    }

    fn tiny() -> Self {
        Self::of("tiny")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Sets `key` in one of the JSON files.
    fn set(&self, file: &str, key: &str, value: Value) -> &Self {
        let path = self.path(file);
        let text = fs::read_to_string(&path).unwrap_or("{}".into());
        let mut config: Value = serde_json::from_str(&text).unwrap();
        config[key] = value;
        fs::write(path, config.to_string()).unwrap();
        self
    }

    /// Rewrites the weights through `change`.
    fn rewrite(&self, change: impl Fn(&mut Vec<(String, Tensor)>)) -> &Self {
        let path = self.path("model.safetensors");
        let mut tensors = Tensor::read_safetensors(&path).unwrap();
        change(&mut tensors);
        Tensor::write_safetensors(&tensors, &path).unwrap();
        self
    }

    /// The weights in two shards, tensors in turn, as `(index, shards)` before they are written.
    fn shards(&self) -> (Places, Shards) {
        let whole = self.path("model.safetensors");
        let (mut places, mut shards): (Places, Shards) = Default::default();
        for (index, (name, tensor)) in
            Tensor::read_safetensors(&whole).unwrap().into_iter().enumerate()
        {
            places.insert(name.clone(), shard(index % 2));
            shards[index % 2].push((name, tensor));
        }
        fs::remove_file(whole).unwrap();
        (places, shards)
    }

    fn write_shards(&self, places: &Places, shards: &Shards) -> &Self {
        for (index, tensors) in shards.iter().enumerate() {
            Tensor::write_safetensors(tensors, self.path(&shard(index))).unwrap();
        }
        let index = json!({ "weight_map": places }).to_string();
        fs::write(self.path("model.safetensors.index.json"), index).unwrap();
        self
    }

    fn ment(&self, arguments: &[&str]) -> assert_cmd::assert::Assert {
        let mut command = ment();
        command.current_dir(self.0.path()).arg(arguments[0]).args(["--model", "."]);
        command.args(&arguments[1..]).assert()
    }

    /// The best next token, by `ment predict` with more `arguments`, and what stands on stderr.
    fn predict(&self, arguments: &[&str]) -> (Value, String) {
        let base = ["predict", "--prompt", PROMPT, "--json"];
        let assert = self.ment(&[&base[..], arguments].concat()).success();
        let output = assert.get_output();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        (said["next"][0].clone(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Returns the error that every command gives which loads the model; exit code 2, nothing on stdout.
    fn refused(&self) -> String {
        let commands: [&[&str]; 4] = [
            &["predict", "--prompt", PROMPT],
            &["generate", "--prompt", PROMPT],
            &["patch", "--prompt", PROMPT, "--target", " best"],
            &["run", &self.config()],
        ];
        let said = commands.map(|arguments| {
            let assert = self.ment(arguments).code(2).stdout("");
            let stderr = bench::stderr(&assert, self.0.path());
            let said = stderr.strip_prefix("error: ").expect("an error and nothing else");
            said.split("cannot be loaded: ").last().expect("a text").to_string()
        });
        assert!(said.iter().all(|one| *one == said[0]), "{said:#?}");
        said[0].clone()
    }

    /// A config of an experiment, outside the folder's own files.
    fn config(&self) -> String {
        let path = self.path("experiment.toml");
        fs::write(&path, bench::Bench::tiny_config("")).unwrap();
        path.display().to_string()
    }
}

fn shard(index: usize) -> String {
    format!("model-0000{}-of-00002.safetensors", index + 1)
}

const DOWN: &str = "model.layers.0.mlp.down_proj.weight";

#[test]
fn the_index_of_shards_says_where_each_tensor_is() {
    let reference = Folder::tiny().predict(&[]).0;
    let folder = Folder::tiny();
    let (mut places, mut shards) = folder.shards();
    folder.write_shards(&places, &shards);
    assert_eq!(folder.predict(&[]), (reference.clone(), String::new()));

    // A tensor that the index does not list is no part of the model.
    shards[1].push(("model.layers.9.mlp.down_proj.weight".into(), Tensor::from(1.0)));
    let (next, note) = folder.write_shards(&places, &shards).predict(&[]);
    assert_eq!(next, reference);
    let said = "does not list tensor `model.layers.9.mlp.down_proj.weight` in model-00002-of-00002";
    assert!(note.contains(said) && note.contains("ignored"), "{note}");
    shards[1].pop();

    // Two copies: programs disagree on which one counts, so nobody's is taken.
    let own = usize::from(places[DOWN] == shard(1));
    let other = Tensor::ones([32, 48], tch::kind::FLOAT_CPU);
    shards[1 - own].push((DOWN.into(), other));
    let said = folder.write_shards(&places, &shards).refused();
    let (copy, place) = (shard(1 - own), shard(own));
    assert!(said.contains(&format!("{copy} holds tensor `{DOWN}` too")), "{said}");
    assert!(said.contains(&format!("index.json places in {place}")), "{said}");
    shards[1 - own].pop();

    // A place where the tensor is not.
    places.insert(DOWN.into(), shard(1 - own));
    shards[own].retain(|(name, _)| name != DOWN);
    let said = folder.write_shards(&places, &shards).refused();
    assert!(said.contains(&format!("places tensor `{DOWN}` in {copy}, which lacks it")), "{said}");
}

#[test]
fn shards_of_pickles_have_an_index_too() {
    let (reference, ids) = {
        let golden = tensors("codegen/golden.safetensors");
        (golden["logits"].shallow_clone(), golden["ids"].shallow_clone())
    };
    let folder = Folder::of("codegen");
    let load = || load_weights(folder.0.path(), Options::default()).map(|(model, _)| model);
    let names: Vec<String> = {
        // Every tensor that the architecture reads, by the names that it asks for one by one.
        let index = |names: &[String]| {
            let places: BTreeMap<_, _> = names.iter().map(|name| (name, "one.bin")).collect();
            let text = json!({ "weight_map": places }).to_string();
            fs::write(folder.path("pytorch_model.bin.index.json"), text).unwrap();
        };
        fs::rename(folder.path("pytorch_model.bin"), folder.path("one.bin")).unwrap();
        // As many as there are layers, without which no tensor is asked for.
        let mut names =
            ["transformer.wte.weight", "lm_head.weight", "lm_head.bias"].map(String::from).to_vec();
        loop {
            index(&names);
            match load().map_err(|error| error.to_string()) {
                Ok(_) => break names,
                Err(error) => {
                    let name = error.split('`').nth(1).expect("a tensor is named").to_string();
                    assert!(error.contains("is missing") && !names.contains(&name), "{error}");
                    names.push(name);
                }
            }
        }
    };
    let difference = relative(&logits(load().unwrap().as_ref(), &ids, &Edit::none()), &reference);
    assert!(difference < 1e-4, "{difference}");
    fs::copy(folder.path("one.bin"), folder.path("two.bin")).unwrap();
    let places = names.iter().enumerate();
    let places: BTreeMap<_, _> = places
        .map(|(place, name)| (name, if place == 0 { "two.bin" } else { "one.bin" }))
        .collect();
    let text = json!({ "weight_map": places }).to_string();
    fs::write(folder.path("pytorch_model.bin.index.json"), text).unwrap();
    let error = load().err().unwrap().to_string();
    assert!(error.contains("too, which pytorch_model.bin.index.json places in"), "{error}");
}

/// `config.json` as other programs write it, and what is said where it is not computed.
#[test]
fn configs_that_are_not_computed_are_refused_by_every_command() {
    let cases: [(&str, Value, &str); 20] = [
        (
            "rope_parameters",
            json!({"type": "longrope", "factor": 4}),
            "rope_parameters.type = \"longrope\"",
        ),
        (
            "rope_scaling",
            json!({"type": "dynamic", "mscale": 2.0}),
            "rope_type \"dynamic\" needs factor",
        ),
        ("rope_parameters", json!({"rope_theta": 1e6}), "contradicts"),
        ("partial_rotary_factor", json!(0.5), "rotates whole heads"),
        ("rope_ratio", json!(2), "rope_ratio = 2 is not supported"),
        ("layer_types", json!(["full_attention", "sliding_attention"]), "\"sliding_attention\""),
        ("model_type", json!("mamba"), "model_type \"mamba\" is not supported"),
        ("model_type", Value::Null, "names no model_type"),
        ("quantization_config", json!({"quant_method": "gptq", "bits": 4}), "quantised by gptq"),
        ("quantization_config", json!({"load_in_4bit": true}), "quantised by an unnamed method"),
        ("compression_config", json!({"quant_method": "x"}), "compression_config: the weights"),
        ("auto_map", json!({"AutoModelForCausalLM": "modeling.Own"}), "(\"modeling.Own\")"),
        ("auto_map", json!({"AutoConfig": "configuration.Own"}), "--plain-architecture"),
        ("auto_map", json!({"AutoModelForCausalLM": ["modeling.Own", null]}), "modeling.Own"),
        ("eos_token_id", json!(320), "eos_token_id 320, the end of sequence, is no token"),
        ("eos_token_id", json!(4_294_967_313_u64), "eos_token_id 4294967313 is no token id"),
        ("eos_token_id", json!("</s>"), "eos_token_id \"</s>\" is no token id"),
        ("num_hidden_layers", json!(1000), "1000 layers, and the weights have"),
        ("num_hidden_layers", json!(1_000_000), "num_hidden_layers = 1000000 is implausibly large"),
        (
            "head_dim",
            json!(4_611_686_018_427_387_904_u64),
            "head_dim = 4611686018427387904 is implausibly large",
        ),
    ];
    for (place, (key, value, said)) in cases.into_iter().enumerate() {
        let folder = Folder::tiny();
        folder.set("config.json", key, value.clone());
        let error = check(folder.0.path(), Options::default()).unwrap_err().to_string();
        assert!(error.contains(said), "{key} {value}: {error}");
        // Every command asks the same function; a few cases show it.
        if place % 6 == 0 {
            assert!(folder.refused().contains(said), "{key} {value}");
            let mut command = ment();
            let assert = command.args(["check", &folder.config(), "--model"]).arg(folder.0.path());
            let checked = bench::stderr(&assert.assert().code(2).stdout(""), folder.0.path());
            assert!(checked.contains(said), "ment check: {key} {value}: {checked}");
        }
    }
}

/// Errors in `config.json` come before anything that takes longer to find out.
#[test]
fn the_model_type_is_told_before_what_else_is_wrong() {
    let folder = Folder::tiny();
    folder.set("config.json", "model_type", json!("mamba"));
    fs::remove_file(folder.path("tokenizer.json")).unwrap();
    fs::write(folder.path("model.safetensors"), "").unwrap();
    assert!(folder.refused().contains("model_type \"mamba\" is not supported"));
    let quantised = Folder::tiny();
    quantised.set("config.json", "model_type", json!("mamba"));
    quantised.set("config.json", "quantization_config", json!({"quant_method": "awq"}));
    fs::write(quantised.path("model.safetensors"), "").unwrap();
    assert!(quantised.refused().contains("quantised by awq"));
}

/// Configs that say the same as the tiny checkpoint's in other words, and weights with more in them.
#[test]
fn odd_folders_that_are_right_are_read() {
    let reference = Folder::tiny().predict(&[]).0;
    let cases: [(&str, Value); 9] = [
        ("rope_parameters", json!({"rope_theta": 10_000, "rope_type": "default"})),
        ("rope_scaling", json!({"type": "default"})),
        ("rope_interleaved", json!(false)),
        ("use_mrope", json!(false)),
        ("layer_types", json!(["full_attention", "full_attention", "full_attention"])),
        ("quantization_config", Value::Null),
        ("auto_map", json!({"AutoModelForSequenceClassification": "modeling.Own"})),
        ("use_sliding_window", json!(false)),
        ("eos_token_id", Value::Null),
    ];
    for (key, value) in cases {
        let folder = Folder::tiny();
        let found = folder.set("config.json", key, value.clone()).predict(&[]);
        assert_eq!(found, (reference.clone(), String::new()), "{key} {value}");
    }
    let buffers = Folder::tiny();
    buffers.rewrite(|tensors| {
        for name in ["attn.bias", "attn.masked_bias", "attn.causal_mask", "rotary_emb.inv_freq"] {
            let mask = Tensor::ones([1, 1, 4, 4], (Kind::Uint8, tch::Device::Cpu));
            tensors.push((format!("model.layers.0.{name}"), mask));
        }
    });
    assert_eq!(buffers.predict(&[]), (reference.clone(), String::new()));
    let own = Folder::tiny();
    own.set("config.json", "auto_map", json!({"AutoModelForCausalLM": "modeling.Own"}));
    assert_eq!(own.predict(&["--plain-architecture"]).0, reference);
    let ordinary = Folder::tiny();
    let (next, note) = ordinary.set("config.json", "eos_token_id", json!(17)).predict(&[]);
    assert_eq!(next, reference);
    assert!(note.contains("eos_token_id 17, the end of sequence, is the ordinary token"), "{note}");
}

#[test]
fn code_that_cuts_texts_is_refused_too() {
    let folder = Folder::tiny();
    folder.set("tokenizer_config.json", "auto_map", json!({"AutoTokenizer": ["own.Own", null]}));
    let said = folder.refused();
    assert!(said.contains("tokenizer_config.json: auto_map: [\"own.Own\",null]"), "{said}");
    folder.predict(&["--plain-architecture"]);
}

/// A folder whose files disagree on the first token of every text.
#[test]
fn a_begin_of_sequence_that_only_one_file_names_is_refused() {
    let folder = Folder::tiny();
    folder.set("tokenizer_config.json", "bos_token", json!("<|endoftext|>"));
    let before = folder.predict(&[]);
    folder.set("tokenizer_config.json", "add_bos_token", json!(false));
    assert_eq!(folder.predict(&[]), before);
    let said = folder.set("tokenizer_config.json", "add_bos_token", json!(true)).refused();
    assert!(
        said.contains("tokenizer_config.json and tokenizer.json disagree: add_bos_token is true")
    );
}

/// A template that appends an end of sequence: a prompt goes on as without it, and a target has no more
/// tokens.
#[test]
fn a_template_with_an_end_of_sequence_adds_none() {
    let folder = Folder::tiny();
    let written = |folder: &Folder| {
        let assert = folder.ment(&["generate", "--prompt", PROMPT, "--tokens", "8", "--json"]);
        assert.success().get_output().stdout.clone()
    };
    let patched = |folder: &Folder| {
        let base = ["patch", "--prompt", PROMPT, "--target", " best", "--json"];
        let assert = folder.ment(&base).success();
        let said: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
        (said["repairs"].as_array().unwrap().len(), said["patches"].clone())
    };
    let (text, patch) = (written(&folder), patched(&folder));
    let special = json!({"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}});
    let of = |id: &str, place: u8| json!({"Sequence": {"id": id, "type_id": place}});
    let template = json!({
        "type": "TemplateProcessing", "single": [of("A", 0), special], "pair": [of("A", 0), of("B", 1)],
        "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [0], "tokens": ["<|endoftext|>"]}}
    });
    folder.set("tokenizer.json", "post_processor", template);
    assert_eq!((written(&folder), patched(&folder)), (text, patch));
}

#[test]
fn weights_that_are_no_numbers_are_refused_by_name() {
    for broken in [f64::NAN, f64::INFINITY] {
        let folder = Folder::tiny();
        folder.rewrite(|tensors| {
            let (_, down) = tensors.iter_mut().find(|(name, _)| name == DOWN).unwrap();
            let _ = down.get(3).get(5).fill_(broken);
        });
        let said = folder.refused();
        assert!(said.contains(&format!("tensor `{DOWN}` holds NaN or infinite numbers")), "{said}");
    }
    // Finite weights whose logits overflow: no rank, no text, no table.
    let folder = Folder::tiny();
    folder.rewrite(|tensors| {
        let (_, norm) = tensors.iter_mut().find(|(name, _)| name == "model.norm.weight").unwrap();
        *norm = norm.full_like(1e38);
    });
    let config = folder.config();
    let patch = ["patch", "--prompt", PROMPT, "--target", " best"];
    for arguments in [
        &["predict", "--prompt", PROMPT][..],
        &["generate", "--prompt", PROMPT],
        &patch,
        &["run", &config, "--out", "out"],
    ] {
        let assert = folder.ment(arguments).code(1).stdout("");
        let stderr = bench::stderr(&assert, folder.0.path());
        assert!(stderr.contains("logits are not finite"), "{arguments:?}: {stderr}");
    }
}

/// `transformers` 5 uses a head that differs from the embedding, whatever `config.json` says.
#[test]
fn a_head_beside_a_tied_embedding_is_used_where_it_differs_and_said() {
    let (tied, head) = (Folder::tiny(), "lm_head.weight");
    let reference = tied.predict(&[]).0;
    let with_head = |folder: &Folder, factor: f64| {
        folder.rewrite(|tensors| {
            let embedding = tensors.iter().find(|(name, _)| name == "model.embed_tokens.weight");
            let tensor = &embedding.unwrap().1 * factor;
            tensors.retain(|(name, _)| name != head);
            tensors.push((head.into(), tensor));
        });
    };
    with_head(&tied, 1.0);
    assert_eq!(tied.predict(&[]), (reference.clone(), String::new()), "a copy is no news");
    with_head(&tied, -2.0);
    let (next, note) = tied.predict(&[]);
    assert!(note.contains("`lm_head.weight` is used, as transformers 5 does"), "{note}");
    let untied = Folder::tiny();
    with_head(&untied, -2.0);
    untied.set("config.json", "tie_word_embeddings", json!(false));
    assert_eq!(untied.predict(&[]), (next, String::new()));
}

/// A folder with a Llama-2-style tokenizer: pieces with a space of their own, and bytes.
fn with_pieces() -> Folder {
    let folder = Folder::tiny();
    let mut vocab = serde_json::Map::new();
    let bytes = (0..256).map(|byte| format!("<0x{byte:02X}>"));
    let pieces = ["▁", "m", "a", "x", "ma", "max", "▁max", "▁a"].map(String::from);
    for token in ["<|endoftext|>".to_string()].into_iter().chain(bytes).chain(pieces) {
        vocab.insert(token, vocab.len().into());
    }
    let path = folder.path("tokenizer.json");
    let mut tokenizer: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    tokenizer["normalizer"] = json!({"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]});
    tokenizer["pre_tokenizer"] = Value::Null;
    tokenizer["decoder"] = json!({"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0}]});
    tokenizer["model"]["byte_fallback"] = json!(true);
    tokenizer["model"]["vocab"] = vocab.into();
    tokenizer["model"]["merges"] = json!(["m a", "ma x", "▁ max", "▁ a"]);
    fs::write(path, tokenizer.to_string()).unwrap();
    folder
}

#[test]
fn pieces_are_shown_with_their_space() {
    let folder = with_pieces();
    let said = folder.ment(&["predict", "--prompt", "max", "--json", "--top", "320"]).success();
    let said: Value = serde_json::from_slice(&said.get_output().stdout).unwrap();
    let text = |id: u64| {
        let next = said["next"].as_array().unwrap();
        let token = next.iter().find(|token| token["id"] == id).unwrap();
        token["text"].as_str().unwrap().to_string()
    };
    assert_eq!([262, 263, 264].map(text), ["max", " max", " a"]);
}

/// Wherever a text ends, also within a character: what is written as it comes is what JSON says.
#[test]
fn a_text_may_end_within_a_character() {
    let folder = with_pieces();
    let mut within = 0;
    for seed in ["2"] {
        for tokens in 1..=8 {
            let tokens = tokens.to_string();
            let arguments = [
                "generate",
                "--prompt",
                "max a",
                "--temperature",
                "2",
                "--seed",
                seed,
                "--tokens",
                &tokens,
            ];
            let text = folder.ment(&arguments).success().get_output().stdout.clone();
            let text = String::from_utf8(text).unwrap();
            let said = folder.ment(&[&arguments[..], &["--json"]].concat()).success();
            let said: Value = serde_json::from_slice(&said.get_output().stdout).unwrap();
            let text = text.strip_suffix('\n').unwrap();
            assert_eq!(text, said["text"].as_str().unwrap());
            within += usize::from(text.ends_with('\u{fffd}'));
        }
    }
    assert!(within > 0, "some of them end within a character");
}

/// A window is every layer's in these architectures; layers of several types would be another model.
#[test]
fn layer_types_that_an_architecture_does_not_have_are_refused() {
    let folder = Folder::of("architectures/mistral");
    let full = "full_attention";
    folder.set("config.json", "layer_types", json!([full, full, full]));
    let error = load_weights(folder.0.path(), Options::default()).err().unwrap().to_string();
    assert!(
        error.contains("layer_types: \"full_attention\", where sliding_window makes all"),
        "{error}"
    );
    folder.set("config.json", "layer_types", Value::Null);
    assert!(load_weights(folder.0.path(), Options::default()).is_ok());
}
