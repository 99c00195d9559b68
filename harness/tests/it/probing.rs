//! The probing experiment end to end with the real binary, on a tiny checkpoint and benchmark.

use crate::bench::{self, Bench};
use ment::edit::{Outcome, Phases};
use ment::records::{CaseRecord, ProbeTrial, Record, Trial};
use std::collections::BTreeMap;
use std::io::Write as _;

const METHODS: &str = "[[no_edit]]\n[[ment]]\n[[ment]]\nlabel = \"hopeless\"\nquota = 1\n\
                       estimate.coefficient = 0.000001\n";

/// Two types of two subtypes with three samples and two targets each; none of it means anything to
/// the tiny checkpoint, whose weights are random.
fn tiny() -> Bench {
    let bench = Bench { folder: tempfile::tempdir().expect("a temporary folder") };
    let folder = bench.path("benchmark");
    std::fs::create_dir(&folder).unwrap();
    let index = "name = \"tiny\"\nversion = \"1\"\ntypes = [\"a\", \"b\"]\nsubtypes = 2\ndemonstrations = 1\nsamples = 3\n\
                 targets = 2\n";
    std::fs::write(folder.join("benchmark.toml"), index).unwrap();
    for of in ["a", "b"] {
        let mut text = String::new();
        for subtype in ["one", "two"] {
            text += &format!(
                "[[subtype]]\nname = \"{of}_{subtype}\"\nargmax = \" =\"\ntargets = [\" +\", \" -\"]\n\
                 [[subtype.demonstration]]\ninput = \"show {of} {subtype}\"\noutput = \"{of}_{subtype} = 0\"\n"
            );
            for sample in 1..=3 {
                text += &format!(
                    "[[subtype.sample]]\nintent = \"{of} {subtype} {sample}\"\n\
                     before = \"{of}{sample}_{subtype}\"\nafter = \" {sample}\"\n"
                );
            }
        }
        std::fs::write(folder.join(format!("{of}.toml")), text).unwrap();
    }
    bench.config(&config("", METHODS));
    bench
}

fn config(probing: &str, methods: &str) -> String {
    let model = crate::support::golden("tiny");
    format!(
        "[model]\nlabel = \"tiny\"\npath = {model:?}\n[probing]\nfrom = \"benchmark\"\n{probing}\n{methods}"
    )
}

fn cases(records: &[Record]) -> Vec<&CaseRecord> {
    let mut cases = Vec::new();
    for record in records {
        if let Record::Case(case) = record {
            cases.push(case);
        }
    }
    cases
}

/// By method and case, times set to zero.
fn patches(records: &[Record]) -> BTreeMap<(String, String), ProbeTrial> {
    let patch = |record: &Record| match record {
        Record::Probe(own) => {
            let key = (own.trial.method.clone(), own.name.to_string());
            let trial = Trial { seconds: Phases::default(), ..own.trial.clone() };
            Some((key, ProbeTrial { trial, ..own.clone() }))
        }
        _ => None,
    };
    records.iter().filter_map(patch).collect()
}

fn run(bench: &Bench, out: &str, more: &[&str]) -> Vec<Record> {
    bench.ment(&[&["run", "config.toml", "--out", out], more].concat()).assert().success();
    bench.all_records(out)
}

#[test]
fn every_case_is_patched_and_probed() {
    let bench = tiny();
    let records = run(&bench, "out", &["--full"]);
    assert_eq!(cases(&records).len(), 24);
    let patches = patches(&records);
    assert_eq!(patches.len(), 3 * 24);
    let mut solved = 0;
    for ((method, case), patch) in &patches {
        let probes = &patch.probes;
        assert_eq!((probes.related, probes.argmax.len()), (2, 5), "{case}");
        assert!(probes.argmax_is.rank_before.iter().all(|&rank| rank == 1));
        if patch.trial.outcome == Outcome::Solved {
            solved += 1;
            assert!(method != "no edit" && patch.trial.after.target_rank == 1);
            assert_ne!(probes.target.probability_before, probes.target.probability_after);
        } else {
            assert_eq!(probes.target.rank_before, probes.target.rank_after);
            assert_eq!(probes.target.probability_before, probes.target.probability_after);
            assert_eq!(probes.now, probes.argmax);
        }
    }
    assert!(solved > 10, "MENT solves {solved} of 24");
}

/// MENT with too small a coefficient skips everything, and looks like the control but for its quota.
#[test]
fn the_control_is_a_method_that_skips_everything() {
    let bench = tiny();
    let records = run(&bench, "out", &[]);
    let patches = patches(&records);
    for ((method, case), patch) in &patches {
        if method == "hopeless" {
            assert_eq!(patch.trial.outcome, Outcome::Skipped, "{case}");
            assert_eq!(patch.probes, patches[&("no edit".to_string(), case.clone())].probes);
        }
    }
    let table = std::fs::read_to_string(bench.path("out/tables/table6.csv")).unwrap();
    let row = |label: &str| {
        let line = table.lines().find(|line| line.starts_with(label)).expect("a row");
        line.split(',').skip(1).map(|cell| cell.parse().unwrap()).collect::<Vec<f64>>()
    };
    assert_eq!(row("no edit")[..4], row("hopeless")[..4]);
    assert_eq!(row("no edit")[2..], [0.0, 0.0, 11.0]);
    assert_eq!(row("hopeless")[4], 2.0, "one more than its quota");
}

/// One sample a subtype and target, another one each time; the rest is probed all the same.
#[test]
fn a_stratified_choice_is_part_of_the_whole() {
    let bench = tiny();
    let some = run(&bench, "some", &[]);
    let all = run(&bench, "all", &["--full"]);
    assert_eq!(cases(&some).len(), 8);
    let samples: Vec<usize> = cases(&some).iter().map(|case| case.name.sample).collect();
    assert_eq!(samples, [1, 2, 2, 3, 3, 1, 1, 2]);
    let (some, all) = (patches(&some), patches(&all));
    for (key, patch) in some {
        let whole = &all[&key];
        assert_eq!(
            (&patch.trial.neurons, &patch.probes),
            (&whole.trial.neurons, &whole.probes),
            "{key:?}"
        );
    }
}

#[test]
fn a_stopped_run_goes_on_and_shards_share_one() {
    let bench = tiny();
    let whole = run(&bench, "whole", &[]);
    let records = bench.path("whole/trials.jsonl");
    let text = std::fs::read_to_string(&records).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    std::fs::write(&records, lines[..lines.len() / 2].concat() + "{\"kind\":\"pa").unwrap();
    let continued = run(&bench, "whole", &[]);
    assert_eq!(patches(&whole), patches(&continued));
    assert_eq!(cases(&whole), cases(&continued));

    run(&bench, "shared", &["--shard", "1/2"]);
    let shared = run(&bench, "shared", &["--shard", "2/2"]);
    assert_eq!(patches(&whole), patches(&shared));
}

/// Methods on a case share its trace and what was located on it: each does what it does alone.
#[test]
fn what_methods_share_changes_none_of_them() {
    let bench = tiny();
    let of = |label: &str, keys: &str| format!("[[ment]]\nlabel = \"{label}\"\n{keys}\n");
    let methods = [
        of("MENT", ""),
        of("one-hot", "estimate.virtual_distribution = \"one_hot\""),
        of("three", "candidates = 3\nquota = 3"),
        of("activation", "locate.score = \"activation\""),
        of("score", "plan = \"score\""),
        "[[no_edit]]\n".to_string(),
    ];
    bench.config(&config("", &methods.concat()));
    let together = patches(&run(&bench, "together", &[]));
    assert_eq!(together.len(), methods.len() * 8);
    let mut alone = BTreeMap::new();
    for (index, method) in methods.iter().enumerate() {
        bench.config(&config("", method));
        alone.extend(patches(&run(&bench, &format!("alone{index}"), &[])));
    }
    assert_eq!(together, alone);
}

/// One folder: some cases, then all of them, then another method, and ranks read otherwise.
#[test]
fn a_run_goes_on_with_more_cases_and_methods() {
    let bench = tiny();
    let encoder = crate::support::set_up_model("all-minilm-l6-v2");
    let sample = crate::support::root().join("benchmark/conala/sample");
    let surroundings = format!(
        "[retrieval]\nencoder = {encoder:?}\n[[dataset]]\nname = \"conala\"\nfrom = {sample:?}\n[[ment]]\n"
    );
    let table = || std::fs::read_to_string(bench.path("out/tables/table6.md")).unwrap();
    bench.config(&config("", &surroundings));
    let some = run(&bench, "out", &[]);
    assert!(table().contains("- 8 of 24 cases; in 8 of them") && table().contains("as 10 at most"));
    let kn = "[[kn]]\nparallel.demonstrations = false\nsteps = 1\nlabel = \"KN\"\n";
    bench.config(&config("rank_cap = 20", &(surroundings + kn)));
    let all = run(&bench, "out", &["--full"]);
    assert!(table().contains("- 24 cases; in 24 of them") && table().contains("as 20 at most"));
    assert!(table().contains("| KN |"));
    assert_eq!((cases(&some).len(), cases(&all).len()), (8, 24));
    let (some, all) = (patches(&some), patches(&all));
    assert_eq!((some.len(), all.len()), (8, 48));
    assert!(some.iter().all(|(key, patch)| all[key] == *patch));
    let before = std::fs::read(bench.path("out/trials.jsonl")).unwrap();
    run(&bench, "out", &[]);
    assert_eq!(std::fs::read(bench.path("out/trials.jsonl")).unwrap(), before);
}

#[test]
fn more_demonstrations_than_there_are_are_refused() {
    let bench = tiny();
    bench.config(&config("demonstrations = 9\n", "[[ment]]\n"));
    let assert = bench.ment(&["check", "config.toml"]).assert().code(2).stdout("");
    let message = bench::stderr(&assert, bench.folder.path());
    assert!(message.contains("probing.demonstrations = 9, and the benchmark"), "{message}");
    assert_eq!(message, bench.refused());
}

#[test]
fn a_limit_is_refused() {
    let bench = tiny();
    let sample = crate::support::root().join("benchmark/conala/sample");
    let dataset = format!("[[dataset]]\nname = \"conala\"\nfrom = {sample:?}\n[[ment]]\n");
    bench.config(&config("", &dataset));
    let assert = bench.ment(&["run", "config.toml", "--limit", "3"]).assert().code(2);
    let error = bench::stderr(&assert, bench.folder.path());
    assert!(error.contains("probing.rows (--limit) counts rows of a data set"), "{error}");
}

/// Records that `gzip` compressed give the same tables, and are continued.
#[test]
fn compressed_records_are_read_and_continued() {
    let bench = tiny();
    let whole = run(&bench, "out", &[]);
    let table = std::fs::read(bench.path("out/tables/table6.md")).unwrap();
    let plain = bench.path("out/trials.jsonl");
    let bytes = std::fs::read(&plain).unwrap();
    let compress = |bytes: &[u8]| {
        let file = std::fs::File::create(bench.path("out/trials.jsonl.gz")).unwrap();
        let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap();
        std::fs::remove_file(&plain).unwrap();
    };
    compress(&bytes);
    std::fs::remove_file(bench.path("out/tables/table6.md")).unwrap();
    bench.ment(&["report", "out"]).assert().success();
    assert_eq!(std::fs::read(bench.path("out/tables/table6.md")).unwrap(), table);

    let half = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(15).unwrap().0 + 1;
    std::fs::write(&plain, []).unwrap();
    compress(&bytes[..half]);
    let continued = run(&bench, "out", &[]);
    assert_eq!(patches(&whole), patches(&continued));
    let more = std::fs::read(&plain).unwrap();
    assert!(!more.is_empty() && more.len() < bytes.len());

    let packed = std::fs::read(bench.path("out/trials.jsonl.gz")).unwrap();
    std::fs::write(bench.path("out/trials.jsonl.gz"), &packed[..packed.len() / 2]).unwrap();
    let assert = bench.ment(&["report", "out"]).assert().code(2);
    insta::assert_snapshot!(bench::stderr(&assert, bench.folder.path()));
}

/// How the declared tokens of a benchmark stand with a model, a line a subtype and a line a miss.
#[test]
fn the_fit_of_a_benchmark_is_reported() {
    let bench = tiny();
    let model = crate::support::golden("tiny").display().to_string();
    let assert = bench.ment(&["check", "benchmark", "--model", &model]).assert().success();
    insta::assert_snapshot!(String::from_utf8_lossy(&assert.get_output().stdout));
    let assert = bench.ment(&["check", "benchmark", "--model", "nowhere"]).assert().code(2);
    assert!(bench::stderr(&assert, bench.folder.path()).contains("nowhere"));
}

/// The tiny checkpoint never predicts what is declared.
#[test]
fn what_the_model_does_not_predict_is_edited_dropped_or_nudged() {
    let bench = tiny();
    let edited = run(&bench, "edited", &[]);
    assert!(cases(&edited).iter().all(|case| case.declared_rank > 1 && !case.dropped));

    bench.config(&config("undeclared = \"drop\"", METHODS));
    let error = bench.refused();
    assert!(error.contains("all 8 cases were dropped"), "{error}");
    let dropped = bench.all_records("out");
    assert!(cases(&dropped).iter().all(|case| case.dropped));
    assert_eq!(patches(&dropped).len(), 0);

    bench.config(&config("undeclared = \"nudge\"", METHODS));
    let nudged = patches(&run(&bench, "nudged", &[]));
    let declared: BTreeMap<String, u32> =
        cases(&edited).iter().map(|case| (case.name.to_string(), case.declared)).collect();
    let reached =
        nudged.iter().filter(|((_, case), patch)| patch.trial.before.argmax == declared[case]);
    assert!(reached.count() > nudged.len() / 2, "MENT makes most declared tokens the argmax");
    let records = bench.all_records("nudged");
    for case in cases(&records) {
        let before = &nudged[&("MENT".to_string(), case.name.to_string())].trial.before;
        assert_eq!(case.nudged, Some(before.argmax == case.declared), "{}", case.name);
    }
    let made = cases(&records).iter().filter(|case| case.nudged == Some(true)).count();
    let table = std::fs::read_to_string(bench.path("nudged/tables/table6.md")).unwrap();
    assert!(table.contains(&format!("until MENT made it do so in {made}")), "{table}");
}

/// With KN, parallel prompts come from a data set; without one the config is refused.
#[test]
fn knowledge_neurons_need_a_data_set() {
    let bench = tiny();
    bench.config(&config("", "[[kn]]\n"));
    assert!(bench.refused().contains("[[kn]] needs parallel prompts; add a [[dataset]] entry"));
    let encoder = crate::support::set_up_model("all-minilm-l6-v2");
    let sample = crate::support::root().join("benchmark/conala/sample");
    bench.config(&config(
        "",
        &format!(
            "[retrieval]\nencoder = {encoder:?}\n[[dataset]]\nname = \"conala\"\nfrom = {sample:?}\n\
             [[kn]]\nparallel.demonstrations = false\nsteps = 1\nlabel = \"KN\"\n"
        ),
    ));
    let patches = patches(&run(&bench, "out", &[]));
    assert!(patches.values().any(|patch| patch.trial.parallel > Some(0)));
}

#[test]
fn a_benchmark_that_does_not_fit_is_refused() {
    let bench = tiny();
    let file = bench.path("benchmark/a.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\" +\", \" -\"", "\" +\", \" = 1\"")).unwrap();
    let error = bench.refused();
    assert!(error.contains("a_one: for this tokenizer one of \" =\" and \" = 1\""), "{error}");
    std::fs::write(&file, text.replacen("after = \" 1\"", "", 1)).unwrap();
    let error = bench.refused();
    assert!(error.contains("benchmark/a.toml:8: missing field `after`"), "{error}");
    let assert = bench.ment(&["check", "config.toml"]).assert().code(2);
    assert_eq!(bench::stderr(&assert, bench.folder.path()), error);
    std::fs::write(&file, text).unwrap();
    let assert = bench.ment(&["check", "config.toml"]).assert().success();
    insta::assert_snapshot!(
        String::from_utf8_lossy(&assert.get_output().stdout)
            .replace(&crate::support::root().display().to_string(), "[ROOT]")
    );
}

/// Cases that were not chosen are not run, and each patch is held against its case.
#[test]
fn a_probing_run_is_verified() {
    let bench = tiny();
    run(&bench, "out", &[]);
    let model = crate::support::golden("tiny");
    let verify = |more: &[&str]| {
        let arguments = ["verify", "out", "--model", model.to_str().unwrap()];
        let assert = bench.ment(&[&arguments, more].concat()).assert();
        let output = assert.get_output();
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success())
    };
    let (stdout, well) = verify(&["--again", "3"]);
    assert!(well && stdout.contains("24 patches of 8 cases"), "{stdout}");
    assert!(stdout.contains("3 trials run again: 3 bit for bit the same"), "{stdout}");
    let path = bench.path("out/trials.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let patch = text.lines().find(|line| line.contains("\"kind\":\"patch\"")).unwrap();
    let start = patch.find("\"rank_after\":[").unwrap() + "\"rank_after\":[".len();
    let comma = start + patch[start..].find(',').unwrap();
    let shorter = format!("{}{}", &patch[..start], &patch[comma + 1..]);
    std::fs::write(&path, text.replacen(patch, &shorter, 1)).unwrap();
    let (stdout, well) = verify(&[]);
    assert!(!well && stdout.contains("patches      FAILS"), "{stdout}");
}

/// What is there is counted, and nothing is written.
#[test]
fn a_dry_run_counts_cases() {
    let bench = tiny();
    let dry = || {
        let arguments = ["run", "config.toml", "--out", "out", "--full", "--dry-run"];
        let assert = bench.ment(&arguments).assert().success();
        let stdout = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
        let line = stdout.lines().find(|line| line.starts_with("tiny: MENT")).expect("a row");
        line.split_whitespace().skip(2).take(3).map(|n| n.parse().unwrap()).collect::<Vec<u32>>()
    };
    assert_eq!(dry(), [24, 0, 24]);
    assert!(!bench.path("out").exists());
    run(&bench, "out", &[]);
    assert_eq!(dry(), [24, 8, 16]);
}
