//! Help texts and commands that need no model.

use crate::support::{ment, root};

fn stdout(arguments: &[&str]) -> String {
    let assert = ment().args(arguments).assert().success();
    String::from_utf8_lossy(&assert.get_output().stdout).into_owned()
}

#[test]
fn help() {
    insta::assert_snapshot!("help", stdout(&["--help"]));
}

#[test]
fn help_of_run() {
    insta::assert_snapshot!("help_of_run", stdout(&["run", "--help"]));
}

#[test]
fn help_of_predict() {
    insta::assert_snapshot!("help_of_predict", stdout(&["predict", "--help"]));
}

#[test]
fn help_of_bench() {
    insta::assert_snapshot!("help_of_bench", stdout(&["bench", "--help"]));
}

#[test]
fn shards_that_make_no_sense_are_refused() {
    for shard in ["0/2", "3/2", "half"] {
        let assert = ment().args(["run", "c.toml", "--shard", shard]).assert().code(2);
        let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        assert!(stderr.contains("is not I/N with 1 ≤ I ≤ N"), "{stderr}");
    }
}

#[test]
fn a_run_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let assert = ment().current_dir(folder.path()).args(["report", "nothing"]).assert().code(2);
    insta::assert_snapshot!(String::from_utf8_lossy(&assert.get_output().stderr));
}

/// The committed run gives the committed tables, to the letter, from its records alone.
#[test]
fn the_published_run_gives_the_published_tables() {
    let published = root().join("results/published/rq1");
    let folder = tempfile::tempdir().unwrap();
    for file in ["manifest.json", "trials.jsonl"] {
        std::fs::copy(published.join(file), folder.path().join(file)).unwrap();
    }
    ment().arg("report").arg(folder.path()).assert().success();
    for table in ["table3", "costs"] {
        for form in ["md", "tex", "csv"] {
            let name = format!("{table}.{form}");
            let ours = std::fs::read_to_string(folder.path().join(&name)).unwrap();
            let theirs = std::fs::read_to_string(published.join(&name)).unwrap();
            assert_eq!(ours, theirs, "{name}");
        }
    }
}

#[cfg(not(feature = "torch"))]
#[test]
fn without_libtorch_no_model_runs() {
    let assert = ment()
        .current_dir(root())
        .args(["run", "configs/rq1.toml", "--out", "nowhere"])
        .assert()
        .code(2);
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(stderr.contains("built without the feature `torch`"), "{stderr}");
}

/// Every committed config is one.
#[test]
fn committed_configs_are_well_formed() {
    let mut found = 0;
    for entry in std::fs::read_dir(root().join("configs")).unwrap() {
        ment::config::Config::read(&entry.unwrap().path()).unwrap();
        found += 1;
    }
    assert!(found >= 2);
}
