//! `ment verify`, and what a manifest tells of a run.

use crate::bench::Bench;
use crate::support::{golden, root};
use ment::records::Record;
use serde_json::Value;
use std::fs;

/// The lines of `ment verify`, by what they check, and whether it ended well.
fn verify(bench: &Bench, more: &[&str]) -> (Vec<String>, bool) {
    let (model, from) = (golden("tiny"), root().join("benchmark/conala/sample"));
    let places = ["--model", model.to_str().unwrap(), "--from", from.to_str().unwrap()];
    let assert = bench.ment(&[&["verify", "out"], &places[..], more].concat()).assert();
    let output = assert.get_output();
    let stdout = String::from_utf8_lossy(&output.stdout);
    (stdout.lines().map(ToString::to_string).collect(), output.status.success())
}

fn failed(lines: &[String]) -> Vec<&str> {
    let failed = lines.iter().filter(|line| line.contains(" FAILS "));
    failed.map(|line| line.split_whitespace().next().unwrap()).collect()
}

#[test]
fn a_run_as_it_was_made_holds_and_ends_alike_again() {
    for config in [Bench::tiny_config(""), Bench::tiny_config("across_errors = \"keep\"\n")] {
        let bench = Bench::tiny();
        bench.config(&config);
        bench.run("out").success();
        let (lines, well) = verify(&bench, &["--again", "4"]);
        assert!(well, "{lines:#?}");
        assert_eq!(lines.iter().filter(|line| line.contains(" holds ")).count(), 10, "{lines:#?}");
        let [.., again, batches] = &lines[..] else { panic!("{lines:#?}") };
        assert!(batches.contains("the same in 512 MiB instead of 4096"), "{batches}");
        assert!(again.contains("4 trials run again: 4 bit for bit the same"), "{again}");
    }
}

/// Each change is found by the check it is of.
#[test]
fn what_was_changed_is_found() {
    let bench = Bench::tiny();
    bench.run("out").success();
    let records = fs::read_to_string(bench.path("out/trials.jsonl")).unwrap();
    let manifest = fs::read_to_string(bench.path("out/manifest.json")).unwrap();
    let table = fs::read_to_string(bench.path("out/tables/table3.csv")).unwrap();
    let trial = records.lines().find(|line| line.contains("\"kind\":\"trial\"")).unwrap();
    let trial: Value = serde_json::from_str(trial).unwrap();
    let id = trial["id"].as_str().unwrap();
    let changed = |file: &str, text: &str, from: &str, to: &str| {
        assert!(text.contains(from), "{from} is not in {file}");
        fs::write(bench.path("out").join(file), text.replacen(from, to, 1)).unwrap();
        let (lines, well) = verify(&bench, &[]);
        fs::write(bench.path("out").join(file), text).unwrap();
        assert!(!well);
        failed(&lines).join(" ")
    };
    let target = format!("\"target\":{}", trial["target"]);
    assert!(changed("trials.jsonl", &records, &target, "\"target\":1").contains("errors"));
    assert!(changed("trials.jsonl", &records, id, "0123456789abcdef").contains("ids"));
    let skipped = records.replacen("\"predicted\":[", "\"predicted\":[0,", 1);
    assert!(changed("trials.jsonl", &records, &records, &skipped).contains("predictions"));
    assert_eq!(changed("tables/table3.csv", &table, "0.", "1."), "tables");
    assert!(
        changed("manifest.json", &manifest, "\"demonstrations\": 0", "\"demonstrations\": 1")
            .contains("identity")
    );
    let doubled = format!("{}\n{records}", records.lines().next().unwrap());
    assert!(changed("trials.jsonl", &records, &records, &doubled).contains("files"));
    let hash =
        serde_json::from_str::<Value>(&manifest).unwrap()["identity"]["contents"]["model"].clone();
    assert!(changed("manifest.json", &manifest, hash.as_str().unwrap(), "0000").contains("model"));
    let (lines, well) = verify(&bench, &[]);
    assert!(well, "{lines:#?}");
}

/// Predictions of the same tokens are the same text.
#[test]
fn texts_that_are_not_those_of_their_tokens_are_found() {
    let folder = tempfile::tempdir().unwrap();
    crate::bench::copy(&root().join("harness/tests/runs/patching"), folder.path());
    let texts = || {
        let assert = crate::support::ment().arg("verify").arg(folder.path()).assert();
        let stdout = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
        stdout.lines().find(|line| line.starts_with("texts")).expect("a line").to_string()
    };
    assert!(texts().contains(" holds "), "{}", texts());
    let path = folder.path().join("trials.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        text.replacen("\"predicted_text\":\"np.sum\"", "\"predicted_text\":\"np.sun\"", 1),
    )
    .unwrap();
    assert!(texts().contains("\"np.sun\" has the tokens of another text"), "{}", texts());
}

/// Of a run that was stopped, nothing else is made up for.
#[test]
fn what_is_missing_is_not_run() {
    let bench = Bench::tiny();
    bench.config(&Bench::tiny_config("").replace("limit = 2", "limit = 4"));
    bench.run("out").success();
    let path = bench.path("out/trials.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&path, lines[..lines.len() * 2 / 3].join("\n") + "\n").unwrap();
    bench.ment(&["report", "out"]).assert().success();
    let (lines, _) = verify(&bench, &["--again", "2", "--seed", "5"]);
    let again = lines.iter().find(|line| line.starts_with("again")).expect("a line");
    assert!(again.contains("2 trials run again: 2 bit for bit the same"), "{lines:#?}");
}

/// The data are those of the folder that is named, and others are told apart.
#[test]
fn other_data_are_told_and_places_are_asked_for() {
    let bench = Bench::tiny();
    bench.run("out").success();
    let assert = bench.ment(&["verify", "out"]).assert().success();
    let stdout = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    assert!(
        stdout.contains("not checked  the manifest does not say where conala was read from"),
        "{stdout}"
    );
    let assert = bench.ment(&["verify", "out", "--again", "1"]).assert().code(2);
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(stderr.contains("this needs --model DIR"), "{stderr}");
    crate::bench::copy(&root().join("benchmark/conala/sample"), &bench.path("data"));
    let file = fs::read_dir(bench.path("data")).unwrap().map(|entry| entry.unwrap().path());
    let file = file.into_iter().find(|path| path.to_string_lossy().contains("test")).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("a ", "one ", 1)).unwrap();
    let assert = bench.ment(&["verify", "out", "--from", "data"]).assert().code(1);
    let stdout = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    assert!(stdout.contains("differs"), "{stdout}");
}

/// A manifest names every process that worked on a run, and beside the config's own words no folder of this
/// machine.
#[test]
fn a_manifest_tells_who_made_the_run() {
    let bench = Bench::tiny();
    bench.run("out").success();
    bench.run("out").success();
    let text = fs::read_to_string(bench.path("out/manifest.json")).unwrap();
    let mut manifest: Value = serde_json::from_str(&text).unwrap();
    let config = manifest["config"].take();
    for place in [root(), bench.folder.path().to_path_buf()] {
        assert!(!manifest.to_string().contains(place.to_str().unwrap()));
    }
    let sessions = manifest["sessions"].as_array().unwrap();
    let written: Vec<u64> = sessions.iter().map(|own| own["records"].as_u64().unwrap()).collect();
    assert_eq!(written, [bench.all_records("out").len() as u64, 0]);
    assert!(sessions.iter().all(|own| own["seconds"].as_f64().is_some_and(|s| s > 0.0)));
    assert!(sessions.iter().all(|own| own["peak_mib"].as_u64().is_some_and(|mib| mib > 10)));
    assert_eq!(sessions[0]["command"][1], "config.toml");
    assert_eq!(config.as_str().unwrap(), fs::read_to_string(bench.path("config.toml")).unwrap());
}

/// Logs are JSON in the folder; without a terminal a run that goes well says nothing on stderr.
#[test]
fn logs_are_json_in_the_folder_and_quiet_without_a_terminal() {
    let bench = Bench::tiny();
    bench.run("out").success().stderr("");
    let lines = || -> Vec<Value> {
        let text = fs::read_to_string(bench.path("out/log.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let quiet = lines();
    assert!(quiet.iter().any(|line| line["records"].is_u64()), "{quiet:#?}");
    assert!(quiet.iter().all(|line| line["timestamp"].is_string() && line["level"] == "INFO"));
    let assert =
        bench.ment(&["run", "config.toml", "--out", "loud"]).env("MENT_LOG", "debug").assert();
    let stderr = String::from_utf8_lossy(&assert.success().get_output().stderr).into_owned();
    assert!(stderr.contains("tiny (llama, 3 layers of 48 neurons)"), "{stderr}");
    let text = fs::read_to_string(bench.path("loud/log.jsonl")).unwrap();
    let trials = bench.all_records("loud").iter().filter(|r| matches!(r, Record::Trial(_))).count();
    assert_eq!(text.matches("\"message\":\"trial\"").count(), trials);
}

/// Both engines leave the weights as they were, which the strict mode looks at after every trial.
#[test]
fn a_strict_run_hashes_the_weights_and_finds_the_same() {
    let bench = Bench::tiny();
    bench.run("out").success();
    let strict = ["--set", "execution.strict=true"];
    bench
        .ment(&[&["run", "config.toml", "--out", "strict"], &strict[..]].concat())
        .assert()
        .success();
    assert_eq!(bench.records("strict"), bench.records("out"));
    let reference = ["--set", "execution.engine=reference", "--out", "reference"];
    bench.ment(&[&["run", "config.toml"], &strict[..], &reference].concat()).assert().success();
    // It is no part of what a run is.
    bench.ment(&[&["run", "config.toml", "--out", "out"], &strict[..]].concat()).assert().success();
}
