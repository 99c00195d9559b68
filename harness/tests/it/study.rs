//! Studies of edits that stay, on the tiny checkpoint.

use crate::support::{golden, ment, root};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const CHAINS: &str = r#"
[model]
label = "tiny"
path = "MODEL"

[[ment]]
label = "MENT"

[[kn]]
label = "KN (step=20)"
parallel.own = true
positions = "all"

[chains]
preamble = ""
form = "{question}"
stop = ["\n\n"]
tokens = 40
code = "Answer:"
repair = ["token", "name"]
controls = ["def add(a, b):\n"]

[[chains.case]]
name = "total"
library = "none"
question = "def mean(values):\n   "
lead = ""
wrong = "total"
right = "best"

[[chains.case]]
name = "best"
library = "none"
question = "def largest(values):\n   "
lead = ""
wrong = "best"
right = "total"
"#;

const SEQUENCE: &str = r#"
[model]
label = "tiny"
path = "MODEL"

[sequence]
count = 5
readings = [1, 3]

[[dataset]]
name = "conala"
from = "DATA"
division = "calibration"

[[dataset]]
name = "fimax"
from = "FIMAX"

[[ment]]
label = "MENT"

[[ment]]
label = "MENT, coefficient 1"
estimate.coefficient = 1.0
"#;

fn place(config: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let sample = |name: &str| root().join("benchmark").join(name).join("sample");
    let config = config
        .replace("MODEL", golden("tiny").to_str().unwrap())
        .replace("DATA", sample("conala").to_str().unwrap())
        .replace("FIMAX", sample("fimax").to_str().unwrap());
    fs::write(folder.path().join("study.toml"), config).unwrap();
    folder
}

fn study(folder: &Path, arguments: &[&str]) -> assert_cmd::assert::Assert {
    let all = [&["study", "study.toml", "--out", "out"], arguments].concat();
    ment().current_dir(folder).args(all).assert()
}

fn steps(folder: &Path) -> String {
    fs::read_to_string(folder.join("out/steps.jsonl")).unwrap()
}

/// The lines with times taken out.
fn timeless(steps: &str) -> Vec<serde_json::Value> {
    steps
        .lines()
        .map(|line| {
            let mut step: serde_json::Value = serde_json::from_str(line).unwrap();
            step.as_object_mut().unwrap().remove("seconds");
            step
        })
        .collect()
}

/// Runs `config`; runs it again from each of some beginnings of what it measured, as one that was killed
/// there; and makes the tables from the records alone.
fn measured_continued_and_reported(config: &str, tables: &[&str]) -> TempDir {
    let folder = place(config);
    let said = study(folder.path(), &[]).success();
    let stdout = String::from_utf8_lossy(&said.get_output().stdout).into_owned();
    let whole = steps(folder.path());
    let lines: Vec<&str> = whole.lines().collect();
    for cut in [0, 1, lines.len() / 2, lines.len() - 1] {
        let torn = format!("{}\n{{\"kind\":\"to", lines[..cut].join("\n"));
        fs::write(folder.path().join("out/steps.jsonl"), torn.trim_start_matches('\n')).unwrap();
        study(folder.path(), &[]).success();
        assert_eq!(timeless(&steps(folder.path())), timeless(&whole), "from {cut} lines on");
    }
    fs::write(folder.path().join("out/steps.jsonl"), &whole).unwrap();
    study(folder.path(), &[]).success();
    assert_eq!(steps(folder.path()), whole, "a finished study measures nothing");
    for table in tables {
        fs::remove_file(folder.path().join("out").join(table)).unwrap();
    }
    let again = ment().current_dir(folder.path()).args(["report", "out"]).assert().success();
    assert_eq!(String::from_utf8_lossy(&again.get_output().stdout), stdout);
    for table in tables {
        assert!(folder.path().join("out").join(table).is_file(), "{table}");
    }
    let other = study(folder.path(), &["--set", "ment.quota=3"]).code(2);
    let stderr = String::from_utf8_lossy(&other.get_output().stderr).into_owned();
    assert!(stderr.contains("holds another study") && stderr.contains("quota"), "{stderr}");
    folder
}

#[test]
fn chains_are_measured_continued_and_reported() {
    let files = [
        "case-study.md",
        "case-study.html",
        "tables/follow.csv",
        "figures/case-total.one-token.svg",
        "figures/case-total.one-token.png",
    ];
    let folder = measured_continued_and_reported(CHAINS, &files);
    let page = fs::read_to_string(folder.path().join("out/case-study.html")).unwrap();
    for part in
        ["class=\"replaced\"", "class=\"new\"", "class=\"sides\"", "none: <code>total</code>"]
    {
        assert!(page.contains(part), "{part}");
    }
    // What the page shows can be had: its patches apply.
    let patch = "out/patches/total.ment.one-token.safetensors";
    let mut apply = ment();
    apply.current_dir(folder.path()).args(["apply", "--patch", patch, "--out", "new", "--model"]);
    let said = apply.arg(golden("tiny")).assert().success();
    let stdout = String::from_utf8_lossy(&said.get_output().stdout).into_owned();
    assert!(stdout.contains("1 of 1 tokens of \" best\" are predicted"), "{stdout}");
}

#[test]
fn sequences_are_measured_continued_and_reported() {
    let folder = measured_continued_and_reported(
        SEQUENCE,
        &["tables/drift.md", "figures/drift.svg", "figures/drift.png"],
    );
    let csv = fs::read_to_string(folder.path().join("out/tables/drift.csv")).unwrap();
    let mut table = csv::Reader::from_reader(csv.as_bytes());
    let headings = table.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    assert_eq!(rows.iter().map(|row| &row[0]).collect::<Vec<_>>(), ["MENT", "MENT, coefficient 1"]);
    let steps = timeless(&steps(folder.path()));
    for row in &rows {
        let cell = |heading: &str| -> f64 {
            let place = headings.iter().position(|name| name == heading);
            row[place.unwrap_or_else(|| panic!("{heading} is not in {headings:?}"))]
                .parse()
                .unwrap()
        };
        let own = |kind: &str| {
            let own = steps.iter().filter(|step| step["kind"] == kind && step["method"] == row[0]);
            own.collect::<Vec<_>>()
        };
        // The numbers of the table are those that its steps give.
        let share = |pair: (usize, usize)| pair.0 as f64 / pair.1 as f64;
        for (count, after) in [(1, "after 1 error"), (5, "after 5 errors")] {
            let first = &own("repaired")[..count];
            let met = first.iter().filter(|step| step["outcome"] != "already_solved").count();
            let solved = first.iter().filter(|step| step["outcome"] == "solved").count();
            assert_eq!(cell(&format!("{after} repaired")), share((solved, met)), "{csv}");
            let readings = own("read");
            let reading = readings.iter().find(|step| step["after"] == count).unwrap();
            assert_eq!(reading["repaired"], solved);
            let held = reading["held"].as_u64().unwrap() as usize;
            assert_eq!(cell(&format!("{after} still hold")), share((held, solved)), "{csv}");
            assert_eq!(cell(&format!("{after} perplexity")), reading["perplexity"][1], "{csv}");
            let changed = [0, 1].map(|place| reading["changed"][place].as_u64().unwrap() as usize);
            assert_eq!(cell(&format!("{after} changed")), share((changed[0], changed[1])), "{csv}");
        }
    }
}

/// Three methods that repair many errors at once, and one that does not.
const TOGETHER: &str = "[[memit]]\nvalue.prefixes = 1\nvalue.clamp = 8.0\nweight = 1.0\nkeys.tokens = 512\n\
    [[alpha_edit]]\nvalue.prefixes = 1\nvalue.rate = 0.5\nvalue.clamp = 8.0\nridge = 0.001\nkeys.tokens = 512\n\
    [[star]]\n[[joint]]\nkeys.tokens = 512\n";

/// Groups end where the model is read, and each error of a group has its own patch.
#[test]
fn errors_are_repaired_together() {
    let methods = &SEQUENCE[SEQUENCE.find("[[ment]]").unwrap()..];
    let config = SEQUENCE
        .replace("readings = [1, 3]", "readings = [1, 3]\ntogether = 2")
        .replace(methods, TOGETHER);
    let folder = place(&config);
    study(folder.path(), &[]).success();
    let whole = timeless(&steps(folder.path()));
    for method in ["MEMIT", "AlphaEdit", "Joint", "STAR"] {
        let own: Vec<_> = whole.iter().filter(|step| step["method"] == method).collect();
        let errors = own.iter().filter(|step| step["kind"] == "repaired");
        let errors: Vec<_> = errors.map(|step| step["error"].as_u64().unwrap()).collect();
        assert_eq!(errors, [0, 1, 2, 3, 4]);
        let last = own.iter().rfind(|step| step["kind"] == "read").unwrap();
        let solved = own.iter().filter(|step| step["outcome"] == "solved").count();
        assert_eq!(
            (last["after"].as_u64(), last["repaired"].as_u64()),
            (Some(5), Some(solved as u64))
        );
        let patches = folder.path().join("out/patches").join(method.to_lowercase());
        let files = fs::read_dir(&patches).map_or(0, Iterator::count);
        assert_eq!(files, solved, "{method}");
        assert!(solved > 0, "{method}: nothing to test");
    }
    // Cut between two errors of a group, the rest of it is repaired.
    let file = folder.path().join("out/steps.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    let cut = text
        .lines()
        .position(|line| line.contains("\"AlphaEdit\"") && line.contains("\"error\":1"))
        .unwrap();
    let lines: Vec<&str> = text.lines().take(cut + 1).collect();
    fs::write(&file, lines.join("\n") + "\n").unwrap();
    study(folder.path(), &[]).success();
    let again = timeless(&steps(folder.path()));
    assert_eq!(again.len(), whole.len());
}

#[test]
fn studies_that_mean_nothing_are_refused() {
    let without = |config: &str, from: &str, to: &str| {
        assert!(config.contains(from));
        config.replace(from, to)
    };
    for (config, reason) in [
        (String::new(), "a study has a [chains] or a [sequence] table"),
        (CHAINS.to_string() + "[sequence]\ncount = 1\nreadings = []\n", "one of both"),
        (
            without(CHAINS, "form = \"{question}\"", "form = \"x\""),
            "must hold {question} exactly once",
        ),
        (
            without(CHAINS, "right = \"best\"", "right = \"total\""),
            "must be another name than `wrong`",
        ),
        (without(CHAINS, "name = \"best\"", "name = \"total\""), "case `total` is there twice"),
        (without(CHAINS, "name = \"best\"", "name = \"../x\""), "a name is of letters"),
        (without(CHAINS, "tokens = 40", "tokens = 0"), "0 is not a positive whole number"),
        (without(CHAINS, "wrong = \"total\"", "wrongly = \"total\""), "wrongly"),
        (
            without(
                &without(CHAINS, "wrong = \"total\"", "wrong = \"tot\""),
                "wrong = \"best\"",
                "wrong = \"worst\"",
            ),
            "case `best`: the unedited model does not say \"worst\" after the lead",
        ),
        (
            without(SEQUENCE, "readings = [1, 3]", "readings = [1, 6]"),
            "there is no error 6, as sequence.count = 5",
        ),
        (
            without(SEQUENCE, "\"MENT, coefficient 1\"", "\"ment\""),
            "labels of methods must differ in letters and digits",
        ),
        (without(SEQUENCE, "count = 5", "count = 5000"), "fewer than sequence.count = 5000"),
        (without(SEQUENCE, "[[ment]]", "[[mint]]"), "mint"),
    ] {
        let folder = place(&config);
        let assert = study(folder.path(), &[]).code(2);
        let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        assert!(stderr.contains(reason), "{reason} is not in {stderr}");
    }
    let folder = place(SEQUENCE);
    let assert = study(folder.path(), &["--set", "ment.across_errors=keep"]).code(2);
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(stderr.contains("`ment.across_errors=keep`: a study has no such key"), "{stderr}");
}
