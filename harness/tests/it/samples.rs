//! The samples that are part of this repository (benchmark/*/sample): they load, are large enough
//! for a run, and nothing evaluated can be copied from the demonstrations.

use std::collections::HashSet;
use std::path::PathBuf;

use ment::data::dataset::{Dataset, DatasetName, Pair};

fn folder(name: DatasetName) -> PathBuf {
    let benchmark = concat!(env!("CARGO_MANIFEST_DIR"), "/../benchmark");
    PathBuf::from(benchmark).join(name.to_string())
}

fn load(name: DatasetName) -> Dataset {
    name.load(None, &folder(name).join("sample")).unwrap()
}

/// The data sets of which the repository has a sample.
fn sampled() -> Vec<DatasetName> {
    let own = DatasetName::registered().filter(|name| folder(*name).join("sample").is_dir());
    let own: Vec<DatasetName> = own.collect();
    for name in [DatasetName::FIMAX, DatasetName::CONALA, DatasetName::SPOC] {
        assert!(own.contains(&name), "{name} has no sample");
    }
    own
}

/// The text less what does not tell two texts apart: case and white space.
fn normal(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

#[test]
fn are_large_enough() {
    for name in sampled() {
        let Dataset { retrieval, inference, .. } = load(name);
        assert!(retrieval.len() >= 60, "{name}: {} retrieval pairs", retrieval.len());
        assert!(inference.len() >= 30, "{name}: {} inference pairs", inference.len());
    }
}

#[test]
fn have_no_pair_twice() {
    for name in sampled() {
        let Dataset { retrieval, inference, .. } = load(name);
        let mut seen = HashSet::new();
        for Pair { input, output } in retrieval.iter().chain(&inference) {
            assert!(seen.insert((normal(input), normal(output))), "{name}: {input:?}, {output:?}");
        }
    }
}

#[test]
fn divisions_share_no_input_and_no_output() {
    for name in sampled() {
        let Dataset { retrieval, inference, .. } = load(name);
        for side in [|pair: &Pair| normal(&pair.input), |pair: &Pair| normal(&pair.output)] {
            let retrieval: HashSet<String> = retrieval.iter().map(side).collect();
            let shared: Vec<_> =
                inference.iter().map(side).filter(|text| retrieval.contains(text)).collect();
            assert!(shared.is_empty(), "{name}: in both divisions: {shared:#?}");
        }
    }
}

#[test]
fn data_sets_have_cards() {
    for name in DatasetName::registered() {
        let card = folder(name).join("README.md");
        assert!(card.is_file(), "{name}: {} is missing", card.display());
    }
}
