//! Baselines beside MENT, free generation beside teacher forcing, and the size of edits.

use crate::bench::Bench;
use crate::methods::{BASELINES, config};
use ment::edit::Outcome;
use ment::records::{DatumRecord, FreeRecord, Record};
use std::collections::HashMap;
use std::fs;

const FREE: &str = "[execution]\nfree = true\n";

fn texts(records: &[Record]) -> Vec<FreeRecord> {
    let free = |record: &Record| match record {
        Record::Free(free) => Some(free.clone()),
        _ => None,
    };
    let mut texts: Vec<FreeRecord> = records.iter().filter_map(free).collect();
    texts.sort_by(|a, b| (&a.method, a.datum).cmp(&(&b.method, b.datum)));
    texts
}

#[test]
fn every_approach_is_scored_forced_and_free() {
    let bench = Bench::tiny();
    let kn = "[[kn]]\nsteps = 1\nlabel = \"KN\"\nparallel.own = true\npositions = \"last\"\n";
    bench.config(&config(&format!(
        "{FREE}[[no_edit]]\n{kn}{BASELINES}[[ment]]\nlabel = \"MENT\"\n"
    )));
    bench.run("out").success();
    let records = bench.records("out");
    let texts = texts(&records);
    let data: HashMap<usize, &DatumRecord> = records
        .iter()
        .filter_map(|record| match record {
            Record::Datum(datum) => Some((datum.datum, datum)),
            _ => None,
        })
        .collect();
    let methods: Vec<&str> = texts.iter().map(|text| text.method.as_str()).collect();
    assert!(!methods.contains(&"KN"), "it acts at one position only");
    for method in [
        "tiny",
        "no edit",
        "in-context",
        "FT-L",
        "LoRA",
        "ROME",
        "MEMIT",
        "AlphaEdit",
        "STAR",
        "Joint",
        "MENT",
    ] {
        let own = methods.iter().filter(|own| **own == method).count();
        assert_eq!(own, data.len(), "{method} writes every datum");
    }
    for text in &texts {
        let datum = data[&text.datum];
        assert_eq!(text.together.len(), datum.gold.len());
        let unedited = texts.iter().find(|own| own.method == "tiny" && own.datum == text.datum);
        if text.method == "no edit" {
            let unedited = unedited.unwrap();
            assert_eq!((&text.written, &text.together), (&unedited.written, &unedited.together));
            assert_eq!(text.together, datum.argmax);
        }
    }
    // Sizes are of the edits: a rank-one update has as many numbers as a key and a value, a patch those of a column.
    let sizes = |method: &str| -> Vec<usize> {
        let trials = records.iter().filter_map(Record::trial);
        let own = trials.filter(|own| own.method == method && own.outcome == Outcome::Solved);
        own.map(|own| own.size.map_or(0, |size| size.parameters)).collect()
    };
    assert!(sizes("ROME").iter().all(|&size| size == 32 + 48), "{:?}", sizes("ROME"));
    assert!(sizes("FT-L").iter().all(|&size| size == 32 * 48));
    assert!(sizes("LoRA").iter().all(|&size| size == 3 * 2 * (32 + 48)));
    // Two rows and a column of a neuron.
    assert!(sizes("Joint").iter().all(|&size| size == 3 * 32), "{:?}", sizes("Joint"));
    assert!(sizes("in-context").iter().all(|&size| size == 0));
    assert!(sizes("MENT").iter().all(|&size| size > 0 && size % 32 == 0));

    let table =
        |name: &str| fs::read_to_string(bench.path(&format!("out/tables/{name}.csv"))).unwrap();
    for name in ["table3_free", "forced_and_free", "edit_sizes"] {
        assert!(table(name).contains("ROME"), "{}", table(name));
    }
    assert!(bench.path("out/figures/forced_and_free.svg").is_file());
    bench.ment(&["verify", "out"]).assert().success();

    // What was written comes out the same when it is made again.
    let file = bench.path("out/trials.jsonl");
    let all = fs::read_to_string(&file).unwrap();
    let kept: Vec<&str> = all.lines().filter(|line| !line.contains("\"free\"")).collect();
    fs::write(&file, kept.join("\n") + "\n").unwrap();
    bench.run("out").success();
    assert_eq!(self::texts(&bench.records("out")), texts);
}
