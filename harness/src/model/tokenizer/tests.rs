//! A byte-level tokenizer (the tiny checkpoint's) and one in the manner of Llama 2: SentencePiece pieces
//! with bytes for what has none.

use super::*;
use serde_json::{Value, json};
use std::path::PathBuf;

/// The tokenizer of `tokenizer.json`, beside the `tokenizer_config.json` given.
fn load(tokenizer: &Value, config: &Value) -> Result<Tokenizer> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    if !config.is_null() {
        std::fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    }
    Tokenizer::load(folder.path())
}

fn tiny_json() -> Value {
    let tiny: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "../scripts/goldens/tiny/tokenizer.json"].iter().collect();
    serde_json::from_slice(&std::fs::read(tiny).unwrap()).unwrap()
}

/// `template` around a text, of `<|endoftext|>`, id 0.
fn with_template(before: bool, behind: bool) -> Value {
    let special = || json!({"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}});
    let mut single = vec![json!({"Sequence": {"id": "A", "type_id": 0}})];
    if before {
        single.insert(0, special());
    }
    if behind {
        single.push(special());
    }
    let mut tokenizer = tiny_json();
    tokenizer["post_processor"] = json!({
        "type": "TemplateProcessing",
        "single": single,
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {
            "<|endoftext|>": {"id": "<|endoftext|>", "ids": [0], "tokens": ["<|endoftext|>"]}
        }
    });
    tokenizer
}

/// Pieces `▁max`, `max`, `▁a`, letters, and bytes for all else.
pub(crate) fn llama_2() -> Value {
    let mut vocab = serde_json::Map::new();
    let bytes = (0..256).map(|byte| format!("<0x{byte:02X}>"));
    let pieces = ["▁", "m", "a", "x", "ma", "max", "▁max", "▁a", "(", "b"].map(String::from);
    for token in ["<unk>", "<s>", "</s>"].map(String::from).into_iter().chain(bytes).chain(pieces) {
        vocab.insert(token, vocab.len().into());
    }
    let special = |id: usize, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    };
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": null,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                       {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>",
                  "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
                  "byte_fallback": true, "ignore_merges": false, "vocab": vocab,
                  "merges": ["m a", "ma x", "▁ max", "▁ a"]}
    })
}

const EOS: &str = "<|endoftext|>";

/// The folders of the first line, of which all of `transformers` gives these ids; and those that its
/// versions disagree on.
#[test]
fn a_begin_of_sequence_is_added_where_both_files_say_so_and_refused_where_they_disagree() {
    let bare = load(&tiny_json(), &Value::Null).unwrap().encode("def add").unwrap();
    let first = [&[0], &bare[..]].concat();
    let config = |add: bool| json!({"add_bos_token": add, "bos_token": EOS});
    let object = json!({"add_bos_token": true, "bos_token": {"content": EOS, "lstrip": false}});
    for (template, config, ids) in [
        (false, Value::Null, &bare),
        (false, json!({}), &bare),
        (false, config(false), &bare),
        (false, json!({"add_bos_token": false, "bos_token": null}), &bare),
        (true, Value::Null, &first),
        (true, config(true), &first),
        (true, object, &first),
    ] {
        let tokenizer = load(&with_template(template, false), &config).unwrap();
        assert_eq!(tokenizer.encode("def add").unwrap(), *ids, "{template} {config}");
    }
    for (template, add, does) in [(false, true, "adds no"), (true, false, "adds")] {
        let error = load(&with_template(template, false), &config(add)).err().unwrap().to_string();
        let said = format!("template of tokenizer.json {does} {EOS:?} before a text");
        assert!(error.contains("disagree") && error.contains(&said), "{error}");
    }
}

/// A model goes on from a prompt, and an end of sequence would end it.
#[test]
fn no_end_of_sequence_stands_behind_a_text() {
    let bare = load(&tiny_json(), &Value::Null).unwrap();
    for config in [Value::Null, json!({"add_eos_token": true, "eos_token": EOS})] {
        for before in [false, true] {
            let tokenizer = load(&with_template(before, true), &config).unwrap();
            let ids = tokenizer.encode("def add").unwrap();
            assert!(ids.ends_with(&bare.encode("def add").unwrap()));
            assert_eq!(ids.len(), bare.encode("def add").unwrap().len() + usize::from(before));
            let joint = tokenizer.encode_joint("def add", "(a").unwrap();
            assert!(!joint.gold.contains(&0));
            assert_ne!(tokenizer.sha256, bare.sha256, "other ids are another tokenizer");
        }
    }
}

#[test]
fn other_keys_that_change_ids_are_honoured_or_refused() {
    let split = load(&tiny_json(), &json!({"split_special_tokens": true})).unwrap();
    assert!(split.encode(EOS).unwrap().len() > 1);
    assert_eq!(load(&tiny_json(), &Value::Null).unwrap().encode(EOS).unwrap(), [0]);
    assert_ne!(split.sha256, load(&tiny_json(), &Value::Null).unwrap().sha256);
    let refused = |config: Value| load(&tiny_json(), &config).err().unwrap().to_string();
    assert!(
        refused(json!({"add_prefix_space": true})).contains("add_prefix_space is true and false")
    );
    let renamed = json!({"added_tokens_decoder": {"0": {"content": "<s>"}}});
    assert!(refused(renamed).contains("id 0 is token \"<s>\" and token \"<|endoftext|>\""));
    let moved = json!({"added_tokens_decoder": {"7": {"content": EOS}}});
    assert!(refused(moved).contains("has id 7 and id 0"));
    let sequence = |space: bool| {
        let mut tokenizer = tiny_json();
        let level = tokenizer["pre_tokenizer"].clone();
        let digits = json!({"type": "Digits", "individual_digits": true});
        tokenizer["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [digits, level]});
        load(&tokenizer, &json!({"add_prefix_space": space})).err().map(|error| error.to_string())
    };
    assert!(sequence(true).unwrap().contains("add_prefix_space is true and false"));
    assert_eq!(sequence(false), None);
    // Tokens that only one file has: `transformers` adds them, so a text with one is refused.
    for config in [
        json!({"added_tokens_decoder": {"320": {"content": "[PAD]"}}}),
        json!({"pad_token": "[PAD]"}),
        json!({"additional_special_tokens": ["[PAD]"]}),
    ] {
        let tokenizer = load(&tiny_json(), &config).unwrap();
        assert!(tokenizer.encode("def add").is_ok());
        let error = tokenizer.encode("def [PAD]").unwrap_err().to_string();
        assert!(error.contains("\"[PAD]\", which is a token in tokenizer_config.json"), "{error}");
    }
    let code = json!({"auto_map": {"AutoTokenizer": ["tokenization_own.Own", null]}});
    assert!(load(&tiny_json(), &code).unwrap().own_code.is_some());
    assert!(refused(json!({"add_bos_token": "yes"})).contains("tokenizer_config.json"));
}

#[test]
fn a_token_is_shown_with_its_space() {
    let tokenizer = load(&llama_2(), &Value::Null).unwrap();
    let id = |token: &str| tokenizer.inner.token_to_id(token).unwrap();
    assert_eq!(tokenizer.token(id("▁max")).unwrap(), " max");
    assert_eq!(tokenizer.token(id("max")).unwrap(), "max");
    assert_eq!(tokenizer.token(id("▁")).unwrap(), " ");
    assert_eq!(tokenizer.token(id("<0x0A>")).unwrap(), "\n");
    let bytes = load(&tiny_json(), &Value::Null).unwrap();
    let ids = bytes.encode("a b").unwrap();
    assert_eq!(
        bytes.token(*ids.last().unwrap()).unwrap(),
        bytes.decode(&ids[ids.len() - 1..]).unwrap()
    );
}

#[test]
fn a_continuation_is_what_comes_behind_a_prompt() {
    let tokenizer = load(&llama_2(), &Value::Null).unwrap();
    let id = |token: &str| tokenizer.inner.token_to_id(token).unwrap();
    let prompt = tokenizer.encode("max").unwrap();
    let euro = [id("<0xE2>"), id("<0x82>"), id("<0xAC>")];
    assert_eq!(tokenizer.continuation(&prompt, &[id("▁a")]).unwrap(), " a");
    assert_eq!(tokenizer.continuation(&prompt, &euro).unwrap(), "€");
    // A character that the prompt begins.
    let begun = [&prompt[..], &euro[..1]].concat();
    assert_eq!(tokenizer.continuation(&begun, &euro[1..]).unwrap(), "€");
    // Tokens that end within a character have no text of their own yet.
    let ids = [&[id("▁a")], &euro[..], &[id("b")]].concat();
    assert_eq!(tokenizer.pieces(&prompt, &ids, " a€b").unwrap(), [" a", "€", "b"]);
    assert_eq!(tokenizer.pieces(&prompt, &ids[..3], " a\u{fffd}").unwrap(), [" a", "\u{fffd}"]);
    assert_eq!(tokenizer.pieces(&prompt, &ids, " a").unwrap(), [" a"]);
    assert_eq!(tokenizer.ends(&prompt, &ids).unwrap(), [2, 2, 2, 5, 6]);
}

/// A prompt of bytes, of which a window must not begin within a character.
#[test]
fn the_tail_of_a_prompt_begins_with_a_whole_character() {
    let tokenizer = load(&llama_2(), &Value::Null).unwrap();
    let whole = tokenizer.encode("max 日本語日本語日本語").unwrap();
    let (prompt, next) = whole.split_at(whole.len() - 3);
    let tail = tokenizer.tail(prompt).unwrap();
    assert_eq!(tokenizer.continuation(tail, next).unwrap(), "語");
    assert_eq!(tokenizer.unfinished(tail, &next[..1]).unwrap(), "\u{fffd}");
    let letters = tokenizer.encode(&"max ".repeat(40)).unwrap();
    assert!(tokenizer.tail(&letters).unwrap().len() < 20);
    let bytes = load(&tiny_json(), &Value::Null).unwrap();
    let whole = bytes.encode("日本語日本語日本語").unwrap();
    let (prompt, next) = whole.split_at(whole.len() - 3);
    assert_eq!(bytes.continuation(bytes.tail(prompt).unwrap(), next).unwrap(), "語");
}

/// A token that holds a whole character and the beginning of the next: the whole one stays.
#[test]
fn a_token_may_end_within_a_character() {
    let mut tokenizer = tiny_json();
    // The bytes C3 A9 (é) and E2, as byte-level vocabularies write them.
    tokenizer["model"]["vocab"]["Ã©â"] = json!(320);
    let tokenizer = load(&tokenizer, &Value::Null).unwrap();
    let prompt = tokenizer.encode("a").unwrap();
    assert_eq!(tokenizer.unfinished(&prompt, &[320]).unwrap(), "é\u{fffd}");
    assert_eq!(tokenizer.settled(&prompt, &[320], "é\u{fffd}").unwrap(), "é".len());
}

/// A decoder gives up on all bytes in a row where the last character is not whole. What was there before is
/// not lost, and what may still change is not settled.
#[test]
fn bytes_in_a_row_settle_when_the_row_ends() {
    let tokenizer = load(&llama_2(), &Value::Null).unwrap();
    let id = |token: &str| tokenizer.inner.token_to_id(token).unwrap();
    let prompt = tokenizer.encode("max").unwrap();
    let ids = [id("▁a"), id("<0x25>"), id("<0xE2>"), id("<0x82>"), id("<0xAC>"), id("b")];
    let shown: Vec<(String, usize)> = (1..=ids.len())
        .map(|count| {
            let text = tokenizer.unfinished(&prompt, &ids[..count]).unwrap();
            let settled = tokenizer.settled(&prompt, &ids[..count], &text).unwrap();
            (text, settled)
        })
        .collect();
    let expected =
        [(" a", 2), (" a%", 2), (" a%\u{fffd}", 2), (" a%\u{fffd}", 2), (" a%€", 2), (" a%€b", 7)];
    assert_eq!(shown, expected.map(|(text, settled)| (text.to_string(), settled)));
    // Byte-level: whole characters are settled at once.
    let bytes = load(&tiny_json(), &Value::Null).unwrap();
    let ids = bytes.encode("a€b").unwrap();
    let text = bytes.unfinished(&ids[..1], &ids[1..3]).unwrap();
    assert_eq!(
        (text.as_str(), bytes.settled(&ids[..1], &ids[1..3], &text).unwrap()),
        ("\u{fffd}", 0)
    );
    let text = bytes.unfinished(&ids[..1], &ids[1..4]).unwrap();
    assert_eq!((text.as_str(), bytes.settled(&ids[..1], &ids[1..4], &text).unwrap()), ("€", 3));
}

/// A prompt and a target that meet within a token get the ids that a model sees.
#[test]
fn a_border_within_a_token_is_told_and_cut_as_the_model_meets_it() {
    let tokenizer = load(&llama_2(), &Value::Null).unwrap();
    let (joint, border) = tokenizer.encode_after("ma", "x(a").unwrap();
    let border = border.unwrap();
    assert_eq!(border.together, [" max", "(", "a"]);
    assert_eq!(border.apart, [" ", "ma", "x", "("]);
    assert_eq!(joint.prompt, tokenizer.encode("ma").unwrap());
    assert_eq!(tokenizer.continuation(&joint.prompt, &joint.gold).unwrap(), "x(a");
    // No border: cut together and apart are the same.
    let (joint, border) = tokenizer.encode_after("max(", "max").unwrap();
    assert_eq!((joint, border), (tokenizer.encode_joint("max(", "max").unwrap(), None));
}
