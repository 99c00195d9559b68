//! Many requests to a model of one's own, repaired together.

use crate::patch::Workplace;
use serde_json::{Value, json};
use std::fs;

/// Two requests of two prompts each, whose targets the tiny model does not say.
fn requests(place: &Workplace) -> Vec<Value> {
    let prompts = [
        ["def add(a, b):\n    return", "def sum(x, y):\n    return"],
        ["for value in", "for item in"],
    ];
    let targets = [" total", " values"];
    for (prompts, target) in prompts.iter().zip(targets) {
        assert!(prompts.iter().all(|prompt| place.next("base", prompt) != target));
    }
    vec![
        json!({ "name": "first", "prompts": prompts[0], "target": targets[0], "keep": ["import"],
                "rephrasings": ["def f(a):\n    return"], "unrelated": ["while", "print("] }),
        json!({ "prompts": prompts[1], "target": targets[1] }),
    ]
}

fn write(place: &Workplace, requests: &[Value]) {
    let lines: Vec<String> = requests.iter().map(ToString::to_string).collect();
    fs::write(place.path("requests.jsonl"), lines.join("\n")).unwrap();
}

const REPAIR: [&str; 4] = ["repair", "requests.jsonl", "--model", "base"];

#[test]
fn requests_hold_side_by_side_and_one_can_be_left_out() {
    let place = Workplace::new();
    write(&place, &requests(&place));
    let said = place.says(
        &[
            &REPAIR[..],
            &["--out", "out", "--set", "joint.keys.tokens=512", "--set", "joint.slope=8"],
            // A column is a large part of a model as small as this one.
            &["--bound", "1"],
        ]
        .concat(),
    );
    assert!(
        said.contains("first") && said.contains("request-2") && said.contains("kept texts"),
        "{said}"
    );
    let found: Value =
        serde_json::from_str(&fs::read_to_string(place.path("out/repair.json")).unwrap()).unwrap();
    for (request, rephrasings) in found["requests"].as_array().unwrap().iter().zip([1, 0]) {
        assert_eq!(request["before"], json!({ "count": 0, "of": 2 }));
        assert_eq!(request["prompts"], json!({ "count": 2, "of": 2 }), "{request}");
        assert_eq!(request["rephrasings"]["of"], rephrasings);
        // Two rows and a column of 32 entries for each wrong token of the target, each in a neuron of its own.
        let neurons = request["neurons"].as_u64().unwrap();
        assert!((1..=2).contains(&neurons), "{request}");
        assert_eq!(request["parameters"], neurons * 3 * 32);
    }
    for file in ["tables/requests.md", "tables/kept.csv", "report.html", "card.md"] {
        assert!(place.path("out").join(file).is_file(), "{file}");
    }
    // What the measures say can be had in a checkpoint, whatever else is in it.
    let patches = ["out/patches/first.safetensors", "out/patches/request-2.safetensors"];
    let both = [&["apply", "--model", "base", "--out", "both", "--patch"][..], &patches].concat();
    let said = place.says(&both);
    assert!(
        said.contains("first.safetensors: 1 of 1 tokens") && said.contains("2 of 2 tokens"),
        "{said}"
    );
    for prompt in ["def add(a, b):\n    return", "def sum(x, y):\n    return"] {
        assert_eq!(place.next("both", prompt), " total");
    }
    // One of many is taken back by one command, in whatever order they were applied.
    place.says(&["patch", "--model", "both", "--revert", patches[0], "--out", "without"]);
    place.says(&["apply", "--model", "base", "--out", "second", "--patch", patches[1]]);
    let weights = |folder: &str| fs::read(place.path(folder).join("model.safetensors")).unwrap();
    assert_eq!(weights("without"), weights("second"));
}

/// A set that was solved, and stopped before it was measured, is only measured; another one is refused in its place. An
/// edit that changes too much is taken out.
#[test]
fn an_interrupted_set_goes_on_and_a_harmful_edit_is_refused() {
    let place = Workplace::new();
    write(&place, &requests(&place));
    let set = ["--out", "out", "--set", "joint.keys.tokens=512"];
    let repair = |more: &[&str]| place.ment(&[&REPAIR[..], &set, more].concat());
    let said = |more: &[&str]| {
        let assert = repair(more);
        String::from_utf8_lossy(&assert.get_output().stdout).into_owned()
    };
    assert!(said(&["--no-keep"]).contains("solved   2 requests"));
    let patch = place.path("out/patches/first.safetensors");
    let solved = fs::read(&patch).unwrap();
    fs::remove_file(place.path("out/repair.json")).unwrap();
    let other = place.refused(&[&REPAIR[..], &set, &["--set", "joint.slope=9"]].concat());
    assert!(other.contains("was begun with other requests, another model or another method"));
    assert!(said(&["--no-keep"]).contains("are measured"));
    assert_eq!(fs::read(&patch).unwrap(), solved);
    // Once it is whole, it is not done again.
    let again = place.refused(&[&REPAIR[..], &set].concat());
    assert!(again.contains("out"), "{again}");

    fs::remove_file(place.path("out/repair.json")).unwrap();
    fs::write(place.path("kept.txt"), "def add(a, b):\n    return a").unwrap();
    let said = said(&["--keep", "kept.txt", "--bound", "0"]);
    assert!(said.contains("refused  first: its edit changes"), "{said}");
    assert!(!patch.exists());
    let found: Value =
        serde_json::from_str(&fs::read_to_string(place.path("out/repair.json")).unwrap()).unwrap();
    assert_eq!(found["refused"][0]["name"], "first");
    assert_eq!(found["requests"][0]["parameters"], 0);
    assert_eq!(found["kept"][0]["changed_by_each"][0], 0);
    let page = fs::read_to_string(place.path("out/report.html")).unwrap();
    assert!(page.contains("first: changes") && page.contains("kept.txt"));
}

#[test]
fn other_methods_repair_requests_too() {
    let place = Workplace::new();
    write(&place, &requests(&place));
    for (method, key) in [("memit", "memit.weight=1.0"), ("alpha-edit", "alpha_edit.ridge=0.001")] {
        let keys = format!("{}.keys.tokens=512", key.split('.').next().unwrap());
        let arguments =
            ["--out", method, "--method", method, "--set", key, "--set", &keys, "--no-keep"];
        let assert = place.ment(&[&REPAIR[..], &arguments].concat());
        let output = assert.get_output();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{said}");
        assert!(said.contains("request-2") && !said.contains("kept texts"), "{said}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("takes no notice of `keep`"), "{stderr}");
        assert!(place.path(method).join("patches/first.safetensors").is_file());
    }
}

#[test]
fn what_cannot_be_repaired_is_told_first() {
    let place = Workplace::new();
    let good = requests(&place);
    let said = |place: &Workplace, more: &[&str]| {
        place.refused(&[&REPAIR[..], &["--out", "out"], more].concat())
    };
    write(&place, &good);
    for (more, reason) in [
        (&["--method", "ment"][..], "`ment` repairs one error at a time"),
        (&["--method", "joined"], "no method is called `joined`"),
        (&["--set", "joint.threshold=1"], "threshold must be below 1"),
        (&["--set", "joint.others=-1"], "keep and others must be 0 or above"),
        (&["--set", "joint.keys.tokens=20"], "a layer of the model has"),
        (&["--keep", "nowhere.txt"], "nowhere.txt"),
    ] {
        let stderr = said(&place, more);
        assert!(stderr.contains(reason), "{reason} is not in {stderr}");
    }
    let contradicts = json!({ "prompts": ["for value in"], "target": " other" });
    write(&place, &[good[0].clone(), good[1].clone(), contradicts]);
    let stderr = said(&place, &[]);
    assert!(
        stderr.contains("requests.jsonl: line 3: `target`: \" other\" contradicts line 2"),
        "{stderr}"
    );
    let long = json!({ "name": "long", "prompts": ["x ".repeat(3000)], "target": " a" });
    write(&place, &[long]);
    let stderr = said(&place, &[]);
    assert!(stderr.contains("long: `prompts`") && stderr.contains("context"), "{stderr}");
    fs::write(place.path("requests.jsonl"), "{\"prompts\": 3}").unwrap();
    let stderr = said(&place, &[]);
    assert!(stderr.contains("line 1: invalid type"), "{stderr}");
    write(&place, &good);
    fs::create_dir(place.path("out")).unwrap();
    assert!(said(&place, &[]).contains("out"));
    assert!(!place.path("out/patches").exists());
}
