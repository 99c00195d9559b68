//! What the command line changes in a config, and `[sweep]`: many runs of one.

use crate::bench::Bench;
use ment::records::Record;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

fn manifest(bench: &Bench, out: &str) -> Value {
    let text = fs::read_to_string(bench.path(out).join("manifest.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_command_line_has_the_last_word() {
    let bench = Bench::tiny();
    bench.config(&format!("{}[[no_edit]]\n", Bench::tiny_config("")));
    let more =
        ["--set", "ment.quota=3", "--set", "ment.MENT.plan=rank", "--only", "MENT", "--seed", "7"];
    bench.ment(&[&["run", "config.toml", "--out", "out"], &more[..]].concat()).assert().success();
    let identity = &manifest(&bench, "out")["identity"];
    assert_eq!(identity["config"]["execution"]["seed"], 7);
    let methods = identity["methods"].as_object().unwrap();
    assert_eq!(methods.keys().collect::<Vec<_>>(), ["MENT"]);
    assert_eq!((&methods["MENT"]["quota"], &methods["MENT"]["plan"]), (&3.into(), &"rank".into()));
    for (wrong, says) in [
        (
            ["--only", "MEND"],
            "--only: no method is called `MEND`; the methods are `no edit`, `MENT`",
        ),
        (["--set", "ment.quotta=3"], "did you mean `quota`?"),
        (["--set", "quota"], "is not KEY=VALUE"),
    ] {
        let assert = bench.ment(&["check", "config.toml", wrong[0], wrong[1]]).assert().code(2);
        let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        assert!(stderr.contains(says), "{stderr}");
    }
}

const SWEEP: &str = "[sweep]\n\"ment.quota\" = [1, 2]\n\"execution.seed\" = [0, 1]\n";

/// The folders of points, by name.
fn points(bench: &Bench) -> Vec<PathBuf> {
    let entries = fs::read_dir(bench.path("out")).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> =
        entries.filter(|path| path.join("manifest.json").is_file()).collect();
    folders.sort();
    folders
}

#[test]
fn every_point_of_a_grid_is_a_run_of_its_own() {
    let bench = Bench::tiny();
    bench.config(&format!("{}{SWEEP}", Bench::tiny_config("")));
    let assert = bench.run("out").success();
    let stdout = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    assert!(stdout.contains("execution.seed = 1, ment.quota = 2: MENT"), "{stdout}");
    let folders = points(&bench);
    assert_eq!(folders.len(), 4);
    for folder in &folders {
        assert!(folder.join("tables/table3.md").is_file() && folder.join("report.html").is_file());
    }
    assert!(bench.path("out/tables/sweep.csv").is_file());
    // Another order of keys, what is no part of a run, the same ids; a smaller grid is a part of the larger.
    let text = fs::read_to_string(bench.path("config.toml")).unwrap();
    let text = text.replace("\"ment.quota\" = [1, 2]\n", "") + "\"ment.quota\" = [2]\n";
    bench.config(&text);
    let records = || -> Vec<String> {
        folders.iter().map(|own| fs::read_to_string(own.join("trials.jsonl")).unwrap()).collect()
    };
    let before = records();
    bench
        .ment(&["run", "config.toml", "--out", "out", "--set", "execution.strict=true"])
        .assert()
        .success();
    assert_eq!(
        (points(&bench), records()),
        (folders.clone(), before),
        "nothing was measured twice"
    );
    let sessions = |own: &PathBuf| {
        let text = fs::read_to_string(own.join("manifest.json")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["sessions"].as_array().unwrap().len()
    };
    let mut sessions: Vec<usize> = folders.iter().map(sessions).collect();
    sessions.sort_unstable();
    assert_eq!(sessions, [1, 1, 2, 2], "two of the four points were looked at again");
}

#[test]
fn a_point_that_fails_stops_no_other_and_is_named() {
    let bench = Bench::tiny();
    bench.config(&format!("{}[sweep]\n\"ment.quota\" = [0, 1]\n", Bench::tiny_config("")));
    let assert = bench.run("out").code(1);
    let log = fs::read_to_string(bench.path("out/log.jsonl")).unwrap();
    assert!(log.contains("this point failed, the others continue: ment.quota = 0"), "{log}");
    let output = assert.get_output();
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        stderr.contains("1 of 2 points failed:\nment.quota = 0: 0 is not a positive"),
        "{stderr}"
    );
    assert!(stdout.contains("not there: ment.quota = 0: 0 is not a positive"), "{stdout}");
    assert!(stdout.contains("ment.quota = 1: MENT"), "{stdout}");
    assert_eq!(points(&bench).len(), 1);
    let assert = bench.ment(&["check", "config.toml"]).assert().code(2);
    let output = assert.get_output();
    assert!(
        String::from_utf8_lossy(&output.stdout)
            .contains("point       ment.quota = 1 → results/config/")
    );
    assert!(String::from_utf8_lossy(&output.stderr).contains("ment.quota = 0: 0 is not"));
}

/// A point that is a model elsewhere has an id of its own, and is run in a folder of its own.
#[test]
fn models_are_swept_as_one_value() {
    let bench = Bench::tiny();
    let (tiny, codegen) = (crate::support::golden("tiny"), crate::support::golden("llama"));
    let models =
        format!("[{{ label = \"a\", path = {tiny:?} }}, {{ label = \"b\", path = {codegen:?} }}]");
    bench.config(&format!("{}[sweep]\nmodel = {models}\n", Bench::tiny_config("")));
    let assert = bench.ment(&["check", "config.toml"]).assert();
    let stdout = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    assert!(stdout.contains("model       a ("), "{stdout}");
    let same = "[sweep]\n\"execution.seed\" = [1, 2]\n";
    bench.config(&format!("{}{same}", Bench::tiny_config("")));
    let assert = bench.ment(&["run", "config.toml", "--out", "x", "--seed", "3"]).assert().code(2);
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(stderr.contains("are the same run"), "{stderr}");
}

/// What is there is counted, and nothing is written.
#[test]
fn a_dry_run_says_what_is_left() {
    let bench = Bench::tiny();
    bench.config(&Bench::tiny_config("").replace("limit = 2", "limit = 4"));
    let dry = || {
        let arguments = ["run", "config.toml", "--out", "out", "--dry-run"];
        let assert = bench.ment(&arguments).assert().success();
        String::from_utf8_lossy(&assert.get_output().stdout).into_owned()
    };
    /// Trials, there, left.
    fn counts(stdout: &str) -> Vec<usize> {
        let line =
            stdout.lines().find(|line| line.starts_with("CoNaLa sample: MENT")).expect("a row");
        let cells = line["CoNaLa sample: MENT".len()..].split_whitespace().take(3);
        cells.map(|cell| cell.parse().unwrap()).collect()
    }
    let before = dry();
    assert!(!bench.path("out").exists(), "a dry run writes nothing");
    assert!(before.contains("plan        4 data × 1 methods"), "{before}");
    assert!(before.contains("minutes are left on this machine"), "{before}");
    bench.run("out").success();
    let all = bench.all_records("out").iter().filter(|r| matches!(r, Record::Trial(_))).count();
    assert_eq!(counts(&before), [all, 0, all], "four data are all that are predicted");
    assert_eq!(counts(&dry()), [all, all, 0]);
    // Half of it taken away.
    let path = bench.path("out/trials.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&path, lines[..lines.len() / 2].join("\n") + "\n").unwrap();
    let there = bench.all_records("out").iter().filter(|r| matches!(r, Record::Trial(_))).count();
    assert!((1..all).contains(&there));
    assert_eq!(counts(&dry()), [all, there, all - there]);
    // Another run is refused here, too.
    let arguments = ["run", "config.toml", "--out", "out", "--dry-run", "--seed", "3"];
    bench.ment(&arguments).assert().code(2);
}
