//! The metrics against the values of their Python references (scripts/goldens/metrics.py).

use std::fs;

use ment::metric::{bleu, broad_match, exact_match, longest_match, rouge_l, tokenize};
use serde::Deserialize;

const TOLERANCE: f64 = 1e-12;

#[derive(Deserialize)]
struct Goldens {
    pairs: Vec<PairGolden>,
    bleu: Vec<BleuGolden>,
    sequences: Vec<SequenceGolden>,
}

#[derive(Deserialize)]
struct PairGolden {
    reference: TextGolden,
    prediction: TextGolden,
    rouge_l: f64,
}

#[derive(Deserialize)]
struct TextGolden {
    text: String,
    basic: Vec<String>,
}

#[derive(Deserialize)]
struct BleuGolden {
    name: String,
    pairs: Vec<usize>,
    basic: BleuValue,
}

#[derive(Deserialize)]
struct BleuValue {
    bleu: f64,
}

#[derive(Deserialize)]
struct SequenceGolden {
    gold: Vec<u32>,
    predicted: Vec<u32>,
    exact_match: bool,
    broad_match: f64,
    longest_match: f64,
}

fn goldens() -> Goldens {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/goldens/metrics.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn assert_close(found: f64, golden: f64, what: &str) {
    assert!((found - golden).abs() < TOLERANCE, "{found} is not {golden}: {what}");
}

#[test]
fn tokens_are_those_of_bert() {
    for pair in goldens().pairs {
        for text in [pair.reference, pair.prediction] {
            assert_eq!(tokenize(&text.text), text.basic, "{:?}", text.text);
        }
    }
}

#[test]
fn bleu_is_that_of_evaluate() {
    let goldens = goldens();
    assert!(!goldens.bleu.is_empty());
    for corpus in goldens.bleu {
        let pairs: Vec<(&str, &str)> = corpus
            .pairs
            .iter()
            .map(|&index| &goldens.pairs[index])
            .map(|pair| (pair.reference.text.as_str(), pair.prediction.text.as_str()))
            .collect();
        assert_close(bleu(&pairs), corpus.basic.bleu, &corpus.name);
    }
}

#[test]
fn rouge_l_is_that_of_rouge_score() {
    for pair in goldens().pairs {
        let (reference, prediction) = (&pair.reference.text, &pair.prediction.text);
        assert_close(rouge_l(reference, prediction), pair.rouge_l, reference);
    }
}

#[test]
fn token_matches_are_those_of_their_definitions() {
    let sequences = goldens().sequences;
    assert!(!sequences.is_empty());
    for SequenceGolden { gold, predicted, exact_match: em, broad_match: bm, longest_match: lm } in
        sequences
    {
        let what = format!("{gold:?} {predicted:?}");
        assert_eq!(exact_match(&gold, &predicted) == 1.0, em, "{what}");
        assert_close(broad_match(&gold, &predicted), bm, &what);
        assert_close(longest_match(&gold, &predicted), lm, &what);
    }
}
