//! Tables and pictures of two small runs that were made by hand, and can be read: `tests/runs`.

use crate::support::ment;
use ment::report::TABLES;
use std::path::Path;
use tempfile::TempDir;

/// The run of this name, in a folder that can be written to.
fn run(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/runs").join(name);
    for file in ["manifest.json", "trials.jsonl"] {
        std::fs::copy(from.join(file), folder.path().join(file)).unwrap();
    }
    folder
}

/// What `ment report` prints, but for the names of files.
fn printed(folder: &TempDir) -> String {
    let assert = ment().arg("report").arg(folder.path()).assert().success();
    let stdout = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    stdout.split("\nwritten:").next().unwrap().to_string()
}

#[test]
fn every_table_of_a_patching_run() {
    let folder = run("patching");
    insta::assert_snapshot!("patching", printed(&folder));
    for form in ["md", "tex", "csv"] {
        let text = std::fs::read_to_string(folder.path().join(format!("table5.{form}"))).unwrap();
        insta::assert_snapshot!(format!("table5_{form}"), text);
    }
}

#[test]
fn every_table_of_a_probing_run() {
    let folder = run("probing");
    insta::assert_snapshot!("probing", printed(&folder));
    let text = std::fs::read_to_string(folder.path().join("table6.tex")).unwrap();
    insta::assert_snapshot!("table6_tex", text);
}

/// No table is left out of the list that the command line knows, and the pictures of both runs are all
/// there are.
#[test]
fn tables_and_pictures_are_written() {
    let [patching, probing] = ["patching", "probing"].map(run);
    let mut written: Vec<String> = Vec::new();
    for folder in [&patching, &probing] {
        printed(folder);
        for file in std::fs::read_dir(folder.path()).unwrap() {
            written.push(file.unwrap().file_name().to_string_lossy().into_owned());
        }
    }
    for table in TABLES.iter().filter(|table| **table != "side_effects") {
        assert!(written.contains(&format!("{table}.md")), "{table}");
    }
    let mut pictures: Vec<&str> =
        written.iter().filter_map(|name| name.strip_suffix(".svg")).collect();
    pictures.sort_unstable();
    pictures.dedup();
    let all = [
        "figure6",
        "gain_by_place",
        "layers",
        "phases",
        "skipped_by_rank",
        "time_by_length",
        "tradeoff",
    ];
    assert_eq!(pictures, all);
    for picture in pictures {
        assert!(written.contains(&format!("{picture}.png")), "{picture}");
    }
}
