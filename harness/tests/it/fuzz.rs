//! Parsers under damaged input: an error at worst, never a panic.

use crate::support::root;
use ment::config::Config;
use ment::data::benchmark::Benchmark;
use ment::data::dataset::DatasetName;
use ment::records::Record;
use proptest::prelude::*;
use std::fs;
use std::path::Path;

/// Damage at a place, which is a share of the length.
#[derive(Clone, Debug)]
enum Damage {
    Put(f64, Vec<u8>),
    Cut(f64, usize),
    Double(f64, usize),
}

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    // What parsers look out for, and anything else.
    let tokens = prop::sample::select(vec![
        "\"", "{", "}", "[", "]", "\\u", "\n", ",", "=", "-1", "1e999", "\t",
    ]);
    let bytes = prop_oneof![
        tokens.prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 1..8),
    ];
    let place = 0.0..1.0_f64;
    let one = prop_oneof![
        (place.clone(), bytes).prop_map(|(at, bytes)| Damage::Put(at, bytes)),
        (place.clone(), 1..200_usize).prop_map(|(at, count)| Damage::Cut(at, count)),
        (place, 1..200_usize).prop_map(|(at, count)| Damage::Double(at, count)),
    ];
    prop::collection::vec(one, 1..5)
}

fn damaged(text: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut bytes = text.to_vec();
    for damage in damages {
        let at = |share: &f64| (share * bytes.len() as f64) as usize;
        match damage {
            Damage::Put(share, own) => {
                let at = at(share);
                bytes.splice(at..at, own.iter().copied());
            }
            Damage::Cut(share, count) => {
                let at = at(share);
                let end = (at + count).min(bytes.len());
                bytes.drain(at..end);
            }
            Damage::Double(share, count) => {
                let at = at(share);
                let part = bytes[at..(at + count).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}

/// `parse` on a folder like `folder`, whose `file` is damaged.
fn with_damaged(folder: &Path, file: &str, damages: &[Damage], parse: impl Fn(&Path)) {
    let scratch = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, scratch.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    let text = fs::read(folder.join(file)).unwrap();
    fs::write(scratch.path().join(file), damaged(&text, damages)).unwrap();
    parse(scratch.path());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_damaged_config_is_read_or_refused(damages in damage()) {
        for file in ["patching.toml", "probing.toml"] {
            with_damaged(&root().join("configs"), file, &damages, |folder| {
                drop(Config::read(&folder.join(file)));
            });
        }
    }

    #[test]
    fn a_damaged_record_is_read_or_refused(damages in damage(), place in 0.0..1.0_f64) {
        let text = fs::read(root().join("harness/tests/runs/patching/trials.jsonl")).unwrap();
        let lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
        let line = lines[(place * lines.len() as f64) as usize];
        drop(Record::parse(&damaged(line, &damages)));
    }

    /// Of a whole run: what can still be read gives a report, or an error.
    #[test]
    fn a_damaged_run_is_reported_or_refused(damages in damage(), is_manifest in any::<bool>()) {
        let file = if is_manifest { "manifest.json" } else { "trials.jsonl" };
        with_damaged(&root().join("harness/tests/runs/patching"), file, &damages, |folder| {
            if let Ok(run) = ment::records::store::read(folder) {
                drop(ment::report::tables(&run.records, &run.manifest));
            }
        });
    }

    #[test]
    fn damaged_data_are_read_or_refused(damages in damage()) {
        for (name, file) in [
            ("fimax", "fimax-inference.csv"),
            ("conala", "conala-test.json"),
            ("spoc", "spoc-train-test.tsv"),
        ] {
            let sample = root().join("benchmark").join(name).join("sample");
            let name: DatasetName = name.parse().unwrap();
            with_damaged(&sample, file, &damages, |folder| drop(name.load(None, folder)));
        }
        for (name, folder, file) in [
            ("conala-edit", "conala-edit/EditConala", "test.json"),
            ("code-update-arena", "code-update-arena", "arena-ungrouped.jsonl"),
            ("nl2bash", "nl2bash", "all.cm"),
            ("own", "own", "inference.jsonl"),
        ] {
            let miniature = root().join("harness/tests/data").join(folder);
            let name: DatasetName = name.parse().unwrap();
            with_damaged(&miniature, file, &damages, |folder| drop(name.load(None, folder)));
        }
    }

    #[test]
    fn a_damaged_benchmark_is_read_or_refused(damages in damage()) {
        let folder = root().join("benchmark/gs450");
        for file in ["benchmark.toml", "expression.toml"] {
            with_damaged(&folder, file, &damages, |folder| drop(Benchmark::load(folder)));
        }
    }
}
