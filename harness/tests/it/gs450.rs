//! The benchmark of generalization and specificity: what is in it, and what is refused.

use crate::support::{ment, root};
use ment::data::benchmark::{Benchmark, Place};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Both versions of the benchmark.
const VERSIONS: [&str; 2] = ["benchmark/gs450", "benchmark/gs450-2"];

fn gs450(version: &str) -> Benchmark {
    Benchmark::load(&root().join(version)).unwrap()
}

/// The example of the paper's section III-D.
#[test]
fn assign_is_probed_on_9_and_on_40_of_four_subtypes() {
    let benchmark = gs450(VERSIONS[1]);
    let subtype = benchmark.subtypes.iter().position(|s| s.name == "assign").unwrap();
    for sample in 0..10 {
        let patched = Place { subtype, sample };
        let related: Vec<Place> = benchmark.related(patched).collect();
        let unrelated: Vec<Place> = benchmark.unrelated(patched).collect();
        assert_eq!((related.len(), unrelated.len()), (9, 40));
        assert!(!related.contains(&patched) && !unrelated.contains(&patched));
        assert!(related.iter().all(|place| place.subtype == subtype));
        let names: BTreeSet<&str> =
            unrelated.iter().map(|place| benchmark.subtypes[place.subtype].name.as_str()).collect();
        let named = ["arithmetic_mod", "assign_multiply", "bit_logical_and", "comparison_ge"];
        assert_eq!(names, BTreeSet::from(named));
    }
}

/// Python itself has the last word on what is Python.
#[test]
fn python_parses_every_sample_and_demonstration() {
    let mut codes = Vec::new();
    for subtype in VERSIONS.iter().flat_map(|version| gs450(version).subtypes) {
        codes.extend(subtype.demonstrations.iter().map(|pair| pair.output.clone()));
        let argmax = &subtype.argmax;
        codes.extend(subtype.samples.iter().map(|s| format!("{}{argmax}{}", s.before, s.after)));
    }
    let script = "import ast, json, sys\nfor code in json.loads(sys.argv[1]): ast.parse(code)";
    let codes = serde_json::to_string(&codes).unwrap();
    let out = Command::new("python3").args(["-c", script, &codes]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// It is Table II, among others.
#[test]
fn is_checked_without_a_model() {
    let check = |version| {
        let assert = ment().current_dir(root()).args(["check", version]).assert().success();
        String::from_utf8_lossy(&assert.get_output().stdout).into_owned()
    };
    insta::assert_snapshot!(check(VERSIONS[1]));
    assert_eq!(check(VERSIONS[0]).replace("1.0.0", "2.0.1"), check(VERSIONS[1]));
}

/// Demonstrations of a type serve the subtypes that have none of their own.
#[test]
fn subtypes_share_the_demonstrations_of_their_type() {
    for of_type in gs450(VERSIONS[1]).subtypes.chunks(5) {
        assert!(of_type.iter().all(|subtype| subtype.demonstrations == of_type[0].demonstrations));
        assert_eq!(of_type[0].demonstrations.len(), 3);
    }
    let folder = tempfile::tempdir().unwrap();
    let own = "[[subtype.demonstration]]\ninput = \"one\"\noutput = \"x = 1\"\n";
    let shared = "[[demonstration]]\ninput = \"one\"\noutput = \"x = 1\"\n";
    let benchmark =
        load(folder.path(), INDEX, &(shared.to_string() + &TYPE.replace(own, ""))).unwrap();
    assert_eq!(benchmark.subtypes[0].demonstrations[0].input, "one");
    // A subtype's own demonstrations come instead of the shared ones.
    let other = shared.replace("one", "another").replace("x = 1", "x = 4");
    let benchmark = load(folder.path(), INDEX, &(other + TYPE)).unwrap();
    assert_eq!(benchmark.subtypes[0].demonstrations[0].input, "one");
}

const INDEX: &str = "name = \"tiny\"\nversion = \"1\"\nlanguage = \"python\"\ntypes = [\"a\"]\n\
                     subtypes = 1\ndemonstrations = 1\nsamples = 2\ntargets = 1\n";
const TYPE: &str = r#"[[subtype]]
name = "assign"
argmax = " ="
targets = [" +"]
[[subtype.demonstration]]
input = "one"
output = "x = 1"
[[subtype.sample]]
intent = "two"
before = "y"
after = " 2"
[[subtype.sample]]
intent = "three"
before = "z"
after = " 3"
"#;

fn load(folder: &Path, index: &str, of_type: &str) -> Result<Benchmark, String> {
    std::fs::write(folder.join("benchmark.toml"), index).unwrap();
    std::fs::write(folder.join("a.toml"), of_type).unwrap();
    let here = folder.display().to_string() + "/";
    Benchmark::load(folder).map_err(|error| format!("{error:#}").replace(&here, ""))
}

/// Each mistake is refused with its file, its line and what is wrong.
#[test]
fn mistakes_are_named_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    load(folder.path(), INDEX, TYPE).unwrap();
    let mut out = String::new();
    let mistakes = [
        ("a missing field", "after = \" 2\"\n", ""),
        ("an unknown field", "after = \" 2\"", "after = \" 2\"\nnote = \"\""),
        ("a wrong type", "targets = [\" +\"]", "targets = \" +\""),
        ("too many targets", "[\" +\"]", "[\" +\", \" -\"]"),
        ("a subtype named like a type", "name = \"assign\"", "name = \"a\""),
        (
            "a missing demonstration",
            "[[subtype.demonstration]]\ninput = \"one\"\noutput = \"x = 1\"\n",
            "",
        ),
        ("a target that is the argmax", "[\" +\"]", "[\" =\"]"),
        ("a blank target", "[\" +\"]", "[\" \"]"),
        ("a blank argmax", "argmax = \" =\"", "argmax = \"\""),
        ("an intent twice", "intent = \"three\"", "intent = \"two\""),
        ("a demonstration as sample", "intent = \"three\"", "intent = \"one\""),
        ("a code twice", "before = \"z\"", "before = \"y\""),
        ("no Python", "after = \" 3\"", "after = \" = 3\""),
        ("a demonstration that is no Python", "output = \"x = 1\"", "output = \"x = = 1\""),
        ("broken TOML", "[[subtype]]", "[[subtype"),
    ];
    for (what, from, to) in mistakes {
        assert!(TYPE.contains(from), "{what}");
        let error = load(folder.path(), INDEX, &TYPE.replacen(from, to, 1)).unwrap_err();
        out += &format!("{what}:\n{error}\n\n");
    }
    for (what, from, to) in [
        ("another count of samples", "samples = 2", "samples = 3"),
        ("another count of subtypes", "subtypes = 1", "subtypes = 2"),
        ("nothing to probe on", "samples = 2", "samples = 1"),
        ("a type elsewhere", "[\"a\"]", "[\"../a\"]"),
        ("a type without a file", "[\"a\"]", "[\"b\"]"),
        ("no types", "[\"a\"]", "[]"),
        ("a type twice", "[\"a\"]", "[\"a\", \"a\"]"),
    ] {
        assert!(INDEX.contains(from), "{what}");
        let error = load(folder.path(), &INDEX.replacen(from, to, 1), TYPE).unwrap_err();
        out += &format!("{what}:\n{error}\n\n");
    }
    insta::assert_snapshot!(out);
}
