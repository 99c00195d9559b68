//! Tokenizers of every kind, against the ids and texts of `AutoTokenizer`.

use crate::support::golden;
use ment::model::tokenizer::Tokenizer;
use serde::Deserialize;
use std::fs;

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    decoded: String,
}

/// Checks every case of the folder `kind`. `behind` ids of a template stand behind a text: those end a text, and
/// are left out.
fn check(kind: &str, behind: usize) {
    let folder = golden("tokenizers").join(kind);
    let tokenizer = Tokenizer::load(&folder).unwrap();
    let cases = fs::read_to_string(folder.join("cases.json")).unwrap();
    let cases: Vec<Case> = serde_json::from_str(&cases).unwrap();
    assert!(cases.len() >= 10);
    for Case { text, ids, decoded } in cases {
        let own = tokenizer.encode(&text).unwrap();
        assert_eq!(own, ids[..ids.len() - behind], "{kind}: {text:?}");
        assert_eq!(tokenizer.decode(&ids).unwrap(), decoded, "{kind}: {text:?}");
    }
}

#[test]
fn byte_level() {
    check("byte_level", 0);
    check("begun", 0);
}

#[test]
fn sentencepiece_with_bytes() {
    check("sentencepiece", 0);
}

#[test]
fn unigram_with_an_end_behind_a_text() {
    check("unigram", 1);
}
