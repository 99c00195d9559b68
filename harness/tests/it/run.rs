//! `ment run` end to end with the real binary on a tiny checkpoint.
use crate::bench::{self, Bench};
use crate::support::root;
use ment::edit::Outcome;
use ment::records::{ErrorTrial, Record, Trial};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

fn errors(records: &[Record]) -> impl Iterator<Item = &ErrorTrial> {
    records.iter().filter_map(|record| match record {
        Record::Trial(own) => Some(own),
        _ => None,
    })
}

fn trials(records: &[Record]) -> impl Iterator<Item = &Trial> {
    errors(records).map(|own| &own.trial)
}

#[test]
fn a_run_repairs_errors_and_prints_table_three() {
    let bench = Bench::tiny();
    let assert = bench.run("out").success();
    let stdout = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    for part in ["Table III", "CoNaLa", "tiny", "+ MENT", "Δ MENT", "out/report.html"] {
        assert!(stdout.contains(part), "{part} is not in\n{stdout}");
    }
    let records = bench.records("out");
    assert!(trials(&records).count() > 5, "the tiny model errs");
    for trial in trials(&records) {
        assert!(trial.before.target_rank > 1);
        assert!((1..=10).contains(&trial.neurons.len()));
        match trial.outcome {
            Outcome::Solved => assert_eq!(trial.after.argmax, trial.target),
            Outcome::Skipped => assert_eq!(trial.neurons.len(), 10),
            Outcome::AlreadySolved => panic!("edits are undone after each error"),
        }
    }
    assert!(trials(&records).any(|trial| trial.outcome == Outcome::Solved));
}

/// A push so large that every edit makes logits that are not finite: no candidate is taken, nothing that
/// is no number gets a rank, and the table stays one.
#[test]
fn edits_that_break_the_model_are_not_taken() {
    let bench = Bench::tiny();
    let methods = "label = \"all\"\nestimate.coefficient = 1e300\n[[ment]]\nlabel = \"score\"\n\
                   plan = \"score\"\nestimate.coefficient = 1e300\n";
    bench.config(&Bench::tiny_config(methods));
    bench.run("out").success();
    let records = bench.records("out");
    assert!(trials(&records).count() > 5);
    for trial in trials(&records) {
        assert_eq!((trial.outcome, trial.neurons.len()), (Outcome::Skipped, 0));
        assert_eq!(trial.after, trial.before);
    }
    bench.ment(&["verify", "out"]).assert().success();
}

/// A data set that no line of Rust knows: JSON Lines in a folder. Its tables, pictures and page are made like
/// any other's, beside a data set of the paper, and say that the paper does not have it.
#[test]
fn a_data_set_of_ones_own_is_a_folder_of_json_lines() {
    let bench = Bench::tiny();
    fs::create_dir(bench.path("own")).unwrap();
    fs::write(bench.path("own/README.md"), "# Two lines of Python").unwrap();
    let line = |input: &str, output: &str| {
        format!("{}\n", serde_json::json!({ "input": input, "output": output }))
    };
    let inference = line("add two numbers", "return a + b") + &line("sum", "total = total + x");
    fs::write(bench.path("own/inference.jsonl"), inference).unwrap();
    fs::write(bench.path("own/retrieval.jsonl"), line("subtract", "return a - b")).unwrap();
    bench.config(&Bench::tiny_config("[[dataset]]\nname = \"own\"\nfrom = \"own\"\n"));
    let stdout = |assert: &assert_cmd::assert::Assert| {
        String::from_utf8_lossy(&assert.get_output().stdout).into_owned()
    };
    let said = stdout(&bench.ment(&["check", "config.toml"]).assert().success());
    assert!(said.contains("own: 2 data prompted, 1 pairs to retrieve from"), "{said}");
    let said = stdout(&bench.run("out").success());
    assert!(
        said.contains("CoNaLa") && said.contains("own: a data set that the paper does not have")
    );
    let own = |record: &&Record| record.dataset().is_some_and(|name| name.as_str() == "own");
    assert!(bench.records("out").iter().filter(own).count() >= 4);
    let table = fs::read_to_string(bench.path("out/tables/table1.csv")).unwrap();
    assert!(table.contains("own"), "{table}");
    bench.ment(&["verify", "out"]).assert().success();
    bench.ment(&["report", "out", "out"]).assert().success();
}

/// Records in an order that does not depend on who wrote them when.
fn sorted(bench: &Bench, out: &str) -> Vec<Record> {
    let mut records = bench.all_records(out);
    records.sort_by_cached_key(|record| record.key().to_string());
    records
}

/// Two shards, one after the other or at once, are the run: the same measurements, once each, and
/// the same tables. Who then runs all of it finds it done.
#[test]
fn shards_make_up_the_run() {
    let bench = Bench::tiny();
    bench.config(&Bench::tiny_config("").replace("limit = 2", "limit = 5"));
    bench.run("whole").success();
    let shard = |shard: &str| {
        let arguments = ["run", "config.toml", "--out", "shared", "--shard", shard];
        bench.ment(&arguments).assert().success()
    };
    std::thread::scope(|scope| {
        scope.spawn(|| shard("1/2"));
        scope.spawn(|| shard("2/2"));
    });
    let (whole, shared) = (sorted(&bench, "whole"), sorted(&bench, "shared"));
    assert_eq!(whole.iter().map(Record::key).collect::<Vec<_>>(), {
        shared.iter().map(Record::key).collect::<Vec<_>>()
    });
    for (a, b) in trials(&whole).zip(trials(&shared)) {
        assert_eq!((&a.neurons.len(), a.outcome), (&b.neurons.len(), b.outcome));
    }
    bench.ment(&["report", "shared"]).assert().success();
    // Confidence intervals too, which are drawn: they stand beside the paper's rows.
    for table in ["tables/table3.csv", "tables/beside_table3.csv"] {
        let read = |out: &str| fs::read_to_string(bench.path(out).join(table)).unwrap();
        assert_eq!(read("whole"), read("shared"), "{table}");
    }
    // Shards of another division overlap with these: what both measure counts once.
    shard("1/3");
    bench.run("shared").success();
    assert_eq!(sorted(&bench, "shared").len(), whole.len());
    assert!(fs::read_to_string(bench.path("shared").join("trials.jsonl")).unwrap().is_empty());
}

#[test]
fn a_run_and_its_shards_do_not_run_at_once() {
    let bench = Bench::tiny();
    bench.run("out").success();
    let whole = fs::File::open(bench.path("out").join("trials.jsonl")).unwrap();
    whole.lock().unwrap();
    let arguments = ["run", "config.toml", "--out", "out", "--shard", "1/2"];
    let assert = bench.ment(&arguments).assert().code(2);
    let stderr = bench::stderr(&assert, bench.folder.path());
    assert!(stderr.contains("another process is writing this run"), "{stderr}");
}

/// Memory decides how much is run at once, not what is found, and is no part of the run's identity.
#[test]
fn a_run_in_little_memory_finds_the_same() {
    let bench = Bench::tiny();
    bench.run("plenty").success();
    let config = Bench::tiny_config("").replace("[model]", "[execution]\nmemory_mib = 1\n[model]");
    bench.config(&config);
    bench.run("little").success();
    let choices = |records: &[Record]| -> Vec<_> {
        trials(records)
            .map(|t| {
                (t.id.clone(), t.outcome, t.neurons.iter().map(|n| n.neuron).collect::<Vec<_>>())
            })
            .collect()
    };
    assert_eq!(choices(&bench.records("plenty")), choices(&bench.records("little")));
    bench.run("plenty").success();
}

#[test]
fn bf16_is_said_in_the_tables() {
    let bench = Bench::tiny();
    let config =
        Bench::tiny_config("").replace("label = \"tiny\"", "label = \"tiny\"\ndtype = \"bf16\"");
    bench.config(&config);
    let assert = bench.run("out").success();
    let stdout = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    assert!(stdout.contains("weights and activations are bfloat16"), "{stdout}");
    assert!(trials(&bench.records("out")).count() > 0);
}

#[test]
fn both_engines_commit_the_same_neurons() {
    let bench = Bench::tiny();
    bench.run("replay").success();
    let reference =
        Bench::tiny_config("").replace("[model]", "[execution]\nengine = \"reference\"\n[model]");
    bench.config(&reference);
    bench.run("reference").success();
    let (replay, reference) = (bench.records("replay"), bench.records("reference"));
    let choices = |records: &[Record]| -> Vec<_> {
        errors(records)
            .map(|ErrorTrial { position, trial, .. }| {
                let neurons = trial.neurons.iter().map(|patched| patched.neuron);
                (*position, trial.outcome, neurons.collect::<Vec<_>>())
            })
            .collect()
    };
    assert_eq!(choices(&replay), choices(&reference));
    for (a, b) in trials(&replay).zip(trials(&reference)) {
        assert!((a.after.target_probability - b.after.target_probability).abs() < 1e-5);
    }
}

/// Wherever a run was cut, also within a line, the same command ends with the same records.
#[test]
fn a_cut_run_continues_to_the_same_end() {
    for mode in ["undo", "keep"] {
        let bench = Bench::tiny();
        bench.config(&Bench::tiny_config(&format!("across_errors = \"{mode}\"\n")));
        bench.run("whole").success();
        let whole = bench.records("whole");
        let length = fs::metadata(bench.path("whole/trials.jsonl")).unwrap().len();
        for cut in [0, length / 7, length / 2, length - 3] {
            let out = format!("cut-{cut}");
            bench::copy(&bench.path("whole"), &bench.path(&out));
            let file = OpenOptions::new().write(true).open(bench.path(&out).join("trials.jsonl"));
            file.unwrap().set_len(cut).unwrap();
            bench.run(&out).success();
            assert_eq!(bench.records(&out), whole, "{mode}, cut at {cut} of {length}");
        }
    }
}

#[test]
fn a_killed_run_continues_to_the_same_end() {
    let bench = Bench::tiny();
    bench.config(&Bench::tiny_config("").replace("limit = 2", "limit = 12"));
    bench.run("whole").success();
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("ment"))
        .current_dir(bench.folder.path())
        .args(["run", "config.toml", "--out", "killed"])
        .env("OMP_NUM_THREADS", "1")
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let records = bench.path("killed/trials.jsonl");
    let lines = || fs::read_to_string(&records).map_or(0, |text| text.lines().count());
    while lines() < 30 {
        assert!(child.try_wait().unwrap().is_none(), "ended before it could be killed");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = lines();
    bench.run("killed").success();
    assert!(lines() > before, "nothing was left to do");
    assert_eq!(bench.records("killed"), bench.records("whole"));
}

/// The first Ctrl-C ends a run cleanly with exit code 130, and it can be continued.
#[cfg(unix)]
#[test]
fn an_interrupted_run_says_so_and_continues() {
    let bench = Bench::tiny();
    bench.config(&Bench::tiny_config("").replace("limit = 2", "limit = 12"));
    let child = Command::new(assert_cmd::cargo::cargo_bin!("ment"))
        .current_dir(bench.folder.path())
        .args(["run", "config.toml", "--out", "out"])
        .env("OMP_NUM_THREADS", "1")
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let records = bench.path("out/trials.jsonl");
    while fs::read_to_string(&records).map_or(0, |text| text.lines().count()) < 30 {
        std::thread::sleep(Duration::from_millis(2));
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("run the same command again to continue"), "{stderr}");
    bench.run("out").success();
}

/// With `across_errors = "keep"` the errors of a datum are repaired in the order of their positions, each
/// under the edits before it, and the edited model is predicted again at the end.
#[test]
fn edits_that_pile_up_act_on_later_errors_and_are_predicted_again() {
    let bench = Bench::tiny();
    let measured = |across_errors: &str, out: &str| {
        bench.config(&Bench::tiny_config(&format!("across_errors = \"{across_errors}\"\n")));
        bench.run(out).success();
        bench.records(out)
    };
    let (kept, alone) = (measured("keep", "keep"), measured("undo", "undo"));
    let of_datum = |records: &[Record], datum: usize| -> Vec<(usize, Trial)> {
        let own = errors(records).filter(|error| error.datum == datum);
        own.map(|error| (error.position, error.trial.clone())).collect()
    };
    let mut acted = 0;
    for datum in [0, 1] {
        let (kept, alone) = (of_datum(&kept, datum), of_datum(&alone, datum));
        assert!(kept.is_sorted_by(|a, b| a.0 < b.0), "in the order of positions");
        assert!(kept.len() > 2 && kept.len() == alone.len());
        let mut edited = false;
        for ((position, kept), (_, alone)) in kept.iter().zip(&alone) {
            assert!(edited || kept.before == alone.before, "{position}: no edit came before it");
            acted += usize::from(kept.before != alone.before);
            edited |= kept.outcome == Outcome::Solved;
        }
    }
    assert!(acted > 0, "an edit changes what the model predicts at a later error");
    let predicted = |records: &[Record]| -> Vec<Vec<u32>> {
        let own = records.iter().filter_map(|record| match record {
            Record::Prediction(prediction) if prediction.method == "MENT" => Some(prediction),
            _ => None,
        });
        own.map(|prediction| prediction.predicted.clone()).collect()
    };
    assert_eq!(predicted(&kept).len(), 2);
    assert_ne!(predicted(&kept), predicted(&alone), "all edits at once are not each one alone");
}

#[test]
fn unrelated_predictions_are_probed_where_the_config_asks() {
    let bench = Bench::tiny();
    let config = Bench::tiny_config("");
    bench.config(&config.replace("[model]", "[execution]\nunrelated_probes = 2\n[model]"));
    let assert = bench.run("out").success();
    assert!(String::from_utf8_lossy(&assert.get_output().stdout).contains("Kept"));
    let records = bench.records("out");
    for own in errors(&records) {
        // Two bystanders, one of which is the datum itself.
        let expected = if own.trial.outcome == Outcome::Solved { 1 } else { 0 };
        assert_eq!(own.unrelated.len(), expected);
    }
}

#[test]
fn a_folder_of_another_run_is_left_alone() {
    let bench = Bench::tiny();
    bench.run("out").success();
    let before = fs::read(bench.path("out/trials.jsonl")).unwrap();
    bench.config(&Bench::tiny_config("estimate.coefficient = 2.0\nquota = 3\n"));
    insta::assert_snapshot!("another_run", bench.refused());
    assert_eq!(fs::read(bench.path("out/trials.jsonl")).unwrap(), before);
}

#[test]
fn a_newer_format_is_refused() {
    let bench = Bench::tiny();
    bench.run("out").success();
    let manifest = bench.path("out/manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replacen("\"format\": 2", "\"format\": 99", 1)).unwrap();
    insta::assert_snapshot!("newer_format", bench.refused());
}

#[test]
fn a_damaged_record_is_named() {
    let bench = Bench::tiny();
    bench.run("out").success();
    let path = bench.path("out/trials.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[3] = "{\"kind\":\"trial\"";
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    insta::assert_snapshot!("damaged_record", bench.refused());
}

/// Whatever record is taken out, the run measures it again, and nothing twice.
#[test]
fn a_record_taken_out_is_measured_again() {
    let bench = Bench::tiny();
    bench.run("out").success();
    let sorted = || {
        let records = bench.records("out");
        let mut lines: Vec<String> =
            records.iter().map(|record| serde_json::to_string(record).unwrap()).collect();
        lines.sort();
        lines
    };
    let whole = sorted();
    let path = bench.path("out/trials.jsonl");
    for taken in 0..whole.len() {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().enumerate().filter(|(index, _)| *index != taken);
        let rest: String = lines.map(|(_, line)| format!("{line}\n")).collect();
        fs::write(&path, rest).unwrap();
        bench.run("out").success();
        assert_eq!(sorted(), whole, "record {taken}");
    }
}

/// A table of an unfinished run says so, and compares nothing that has other data.
#[test]
fn an_unfinished_run_is_reported_as_such() {
    let bench = Bench::tiny();
    bench.run("out").success();
    let path = bench.path("out/trials.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let whole: String =
        text.trim_end().rsplit_once('\n').map(|(rest, _)| format!("{rest}\n")).unwrap();
    fs::write(&path, whole).unwrap();
    let assert = bench.ment(&["report", "out"]).assert().success();
    let stdout = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    assert!(stdout.contains("+ MENT (unfinished: 1 of 2 data)"), "{stdout}");
    assert!(!stdout.contains("Δ MENT"), "{stdout}");
    fs::write(&path, "").unwrap();
    let assert = bench.ment(&["report", "out"]).assert().code(2);
    assert!(bench::stderr(&assert, bench.folder.path()).contains("holds no measurements yet"));
}

#[test]
fn a_folder_in_use_is_refused() {
    let bench = Bench::tiny();
    bench.run("out").success();
    let held = OpenOptions::new().append(true).open(bench.path("out/trials.jsonl")).unwrap();
    held.lock().unwrap();
    insta::assert_snapshot!("in_use", bench.refused());
}

/// A write that fails half way, as on a full disk: what was there stays, and once there is room
/// the run continues to the same end.
#[cfg(unix)]
#[test]
fn a_full_disk_ends_the_run_with_a_clear_error() {
    let bench = Bench::tiny();
    bench.run("whole").success();
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" run config.toml --out out";
    let ment = assert_cmd::cargo::cargo_bin!("ment");
    let mut limited = assert_cmd::Command::new("sh");
    limited.current_dir(bench.folder.path()).env("OMP_NUM_THREADS", "1");
    let assert = limited.args(["-c", script]).arg(ment).assert().code(1);
    let stderr = bench::stderr(&assert, bench.folder.path());
    insta::assert_snapshot!("full_disk", stderr);
    bench.run("out").success();
    assert_eq!(bench.records("out"), bench.records("whole"));
}

#[test]
fn config_mistakes_show_the_line() {
    let bench = Bench::tiny();
    bench.config(&Bench::tiny_config("quotta = 3\n"));
    insta::assert_snapshot!("unknown_key", bench.refused());
    let mut file = OpenOptions::new().append(true).open(bench.path("config.toml")).unwrap();
    file.write_all(b"[[ment]]\n").unwrap();
    assert!(bench.refused().contains("quotta"), "the first mistake is still the one shown");
}

/// The main job on the real model and the real retrieval, one datum of each data set.
#[test]
fn smollm2_is_repaired_on_every_data_set() {
    let folder = tempfile::tempdir().unwrap();
    crate::support::set_up_model("smollm2-135m-instruct");
    let config = fs::read_to_string(root().join("configs/patching.toml")).unwrap();
    let config = config.replace("step=20", "step=2").replace("steps = 20", "steps = 2"); // a tenth of the time
    fs::write(folder.path().join("config.toml"), config).unwrap();
    crate::support::ment()
        .current_dir(root())
        .arg("run")
        .arg(folder.path().join("config.toml"))
        .args(["--limit", "1", "--out"])
        .arg(folder.path().join("out"))
        .assert()
        .success();
    let text = fs::read_to_string(folder.path().join("out/trials.jsonl")).unwrap();
    let records: Vec<Record> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let data = records.iter().filter_map(|record| match record {
        Record::Datum(datum) => Some(datum),
        _ => None,
    });
    for datum in data.clone() {
        assert_eq!(datum.demonstrations.len(), 3);
        assert!(datum.prompt_tokens > 30);
    }
    assert_eq!(data.clone().count(), 3);
    let errors: usize = data.map(|datum| datum.errors().count()).sum();
    assert_eq!(trials(&records).count(), 4 * errors, "no edit, KN at two steps, MENT");
    let ment = trials(&records).filter(|trial| trial.method == "MENT");
    let solved = ment.filter(|trial| trial.outcome == Outcome::Solved).count();
    assert!(solved * 2 > errors, "MENT solves most errors: {solved} of {errors}");
}
