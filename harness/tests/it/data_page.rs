//! The example of `docs/data.md`, taken from the page and run with the tiny checkpoint.

use crate::bench::Bench;
use crate::support::{golden, root};
use ment::records::Record;

/// Writes every block of the page that stands below a line with the name of its file. Returns the names.
fn files_of_the_page(bench: &Bench) -> Vec<String> {
    let page = std::fs::read_to_string(root().join("docs/data.md")).expect("a page");
    let (mut names, mut above) = (Vec::new(), "");
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let name = above.strip_prefix('`').and_then(|name| name.strip_suffix("`:"));
            if let Some(name) = name {
                let path = bench.path(name);
                std::fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
                std::fs::write(path, block.join("\n")).expect("writable");
                names.push(name.to_string());
            }
        }
        above = if line.is_empty() { above } else { line };
    }
    names
}

fn run(bench: &Bench, config: &str) -> Vec<Record> {
    let model = golden("tiny");
    let model = model.to_str().expect("UTF-8");
    let arguments = ["run", config, "--out", config.trim_end_matches(".toml"), "--model", model];
    let demonstrations = ["--set", "retrieval.demonstrations=0"]; // they need the sentence encoder
    bench.ment(&[&arguments[..], &demonstrations].concat()).assert().success();
    bench.all_records(config.trim_end_matches(".toml"))
}

#[test]
fn the_example_of_the_page_runs() {
    let bench = Bench { folder: tempfile::tempdir().expect("a temporary folder") };
    let names = files_of_the_page(&bench);
    let wanted =
        ["my-data/retrieval.jsonl", "my-data/inference.jsonl", "patching.toml", "probing.toml"];
    assert_eq!(names, wanted);

    let data = |records: &[Record]| {
        records.iter().filter(|record| matches!(record, Record::Datum(_))).count()
    };
    assert_eq!(data(&run(&bench, "patching.toml")), 3);

    let mut probes = Vec::new();
    for record in run(&bench, "probing.toml") {
        if let Record::Probe(own) = record {
            assert!(own.probes.is_whole());
            let sizes = (own.probes.related, own.probes.argmax.len());
            probes.push((own.name.subtype.clone(), own.trial.method.clone(), sizes));
        }
    }
    let of = |method: &str| -> Vec<(&str, (usize, usize))> {
        let own = probes.iter().filter(|(_, own, _)| own == method);
        own.map(|(row, _, sizes)| (row.as_str(), *sizes)).collect()
    };
    assert_eq!(of("MENT"), [("norm", (2, 4)), ("largest", (1, 2)), ("row 3", (0, 0))]);
    assert_eq!(of("no edit"), of("MENT"));
    let table = std::fs::read_to_string(bench.path("probing/tables/table6.md")).expect("a table");
    let made_of =
        "not the paper's benchmark, but rows of a data set (my-data: 3 rows with 3 related and 3";
    assert!(table.contains(made_of), "{table}");
    let verified = bench.ment(&["verify", "probing"]).assert().success();
    let verified = String::from_utf8_lossy(&verified.get_output().stdout).into_owned();
    assert!(verified.contains("benchmark    holds"), "{verified}");
}

/// `--limit` counts rows; they get the records of a run on all of them, which then continues.
#[test]
fn a_limit_counts_rows() {
    let bench = Bench { folder: tempfile::tempdir().expect("a temporary folder") };
    files_of_the_page(&bench);
    let model = golden("tiny");
    let run = |more: &[&str]| {
        let model = model.to_str().expect("UTF-8");
        let arguments = ["run", "probing.toml", "--out", "out", "--model", model];
        bench.ment(&[&arguments[..], more].concat()).assert().success();
        bench.all_records("out")
    };
    let cases = |records: &[Record]| {
        records.iter().filter(|record| matches!(record, Record::Case(_))).count()
    };
    let first = run(&["--limit", "1"]);
    assert_eq!(cases(&first), 1);
    let whole = run(&[]);
    assert_eq!(cases(&whole), 3);
    assert_eq!(whole[..first.len()], first[..]);
}
