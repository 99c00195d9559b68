//! Public data sets in their official formats, each by a miniature that was written for these tests, read and
//! run by the real binary.

use crate::bench::{self, Bench};
use crate::support::{golden, root};
use ment::records::Record;
use std::path::PathBuf;

fn miniature(name: &str) -> PathBuf {
    root().join("harness/tests/data").join(name)
}

/// A config of the tiny checkpoint that `tables` complete.
fn bench_of(tables: &str) -> Bench {
    let bench = Bench { folder: tempfile::tempdir().expect("a temporary folder") };
    bench.config(&format!(
        "[model]\nlabel = \"tiny\"\npath = {:?}\n[retrieval]\ndemonstrations = 0\n[[ment]]\n{tables}",
        golden("tiny")
    ));
    bench
}

#[test]
fn all_are_read() {
    let mut found = String::new();
    for name in ["conala-edit", "codesearchnet-edit", "code-update-arena", "nl2bash"] {
        let bench =
            bench_of(&format!("[[dataset]]\nname = {name:?}\nfrom = {:?}\n", miniature(name)));
        let checked = bench.ment(&["check", "config.toml"]).assert().success();
        let told = String::from_utf8_lossy(&checked.get_output().stdout).into_owned();
        found += told.lines().find(|line| line.starts_with("data ")).expect("a line of the data");
        found += "\n";
        let dry =
            bench.ment(&["run", "config.toml", "--dry-run", "--limit", "1"]).assert().success();
        assert!(!bench.path("results").exists(), "{:?}", dry.get_output());
    }
    insta::assert_snapshot!(found, @"
    data        CoNaLa-Edit: 2 data prompted, 2 pairs to retrieve from
    data        CodeSearchNet-Edit: 1 data prompted, 1 pairs to retrieve from
    data        CodeUpdateArena: 2 data prompted, 4 pairs to retrieve from
    data        NL2Bash: 2 data prompted, 18 pairs to retrieve from
    ");
}

/// Rewritten inputs are G and neighbours S; programs of the same update are G, and S is empty.
#[test]
fn edits_are_probed_on_what_the_data_name() {
    for (name, wanted) in [
        ("conala-edit", vec![("1", (1, 3)), ("2", (1, 2))]),
        ("codesearchnet-edit", vec![("1", (1, 2))]),
        ("code-update-arena", vec![("0", (1, 1)), ("1", (1, 1))]),
    ] {
        let bench =
            bench_of(&format!("[probing]\nfrom = {:?}\nformat = {name:?}\n", miniature(name)));
        bench.run("out").success();
        let records = bench.all_records("out");
        let mut probed = Vec::new();
        for record in &records {
            if let Record::Probe(own) = record {
                let id = own.name.subtype.rsplit('-').next().expect("a name");
                probed.push((id, (own.probes.related, own.probes.argmax.len())));
            }
        }
        assert_eq!(probed, wanted, "{name}");
    }
}

/// NL2Bash names no prompts beside its pairs.
#[test]
fn what_names_no_prompts_cannot_be_probed() {
    let from = miniature("nl2bash");
    let bench = bench_of(&format!("[probing]\nfrom = {from:?}\nformat = \"nl2bash\"\n"));
    let assert = bench.run("out").code(2);
    let error = bench::stderr(&assert, bench.folder.path());
    assert!(error.contains("no row names prompts to probe its edit on"), "{error}");
}
