//! Bad input, one line of a table each: what is said, with which exit code, and never a panic. Needs no
//! model; broken checkpoints have tests of their own.

use crate::support::{ment, root};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Runs `ment` with `arguments` in `folder`: its exit code and what it says on stderr, on one line, places
/// of this machine replaced.
fn said(folder: &Path, arguments: &[&str]) -> String {
    let assert = ment().current_dir(folder).args(arguments).assert();
    let output = assert.get_output();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("panicked"), "{arguments:?}: {stderr}");
    let stderr = stderr.replace(&folder.display().to_string(), "[FOLDER]");
    let stderr = stderr.replace(&root().display().to_string(), "[ROOT]");
    let line = stderr.lines().map(str::trim).collect::<Vec<_>>().join(" ¶ ");
    format!("{}  {}", output.status.code().unwrap_or(-1), line.trim_end_matches([' ', '¶']))
}

/// A folder with a config that is right: model, encoder and data are there as far as `ment check` looks.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    encoder(&folder.path().join("encoder"));
    fs::create_dir(folder.path().join("model")).expect("writable");
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let tiny = root().join("scripts/goldens/tiny").join(file);
        fs::copy(tiny, folder.path().join("model").join(file)).expect("copied");
    }
    let data = folder.path().join("data");
    fs::create_dir_all(&data).expect("writable");
    for name in ["fimax", "conala", "spoc"] {
        let sample = root().join("benchmark").join(name).join("sample");
        for file in fs::read_dir(sample).expect("a sample") {
            let file = file.expect("a file").path();
            fs::copy(&file, data.join(file.file_name().expect("a name"))).expect("copied");
        }
    }
    fs::write(folder.path().join("config.toml"), config("", "")).expect("writable");
    folder
}

/// A sentence encoder without layers.
fn encoder(folder: &Path) {
    fs::create_dir(folder).expect("writable");
    let config = r#"{"model_type": "bert", "hidden_act": "gelu", "vocab_size": 2, "hidden_size": 2,
        "num_hidden_layers": 0, "num_attention_heads": 1, "intermediate_size": 2,
        "max_position_embeddings": 2, "type_vocab_size": 1, "layer_norm_eps": 1e-12}"#;
    fs::write(folder.join("config.json"), config).expect("writable");
    fs::write(folder.join("sentence_bert_config.json"), r#"{"max_seq_length": 2}"#)
        .expect("writable");
    let matrix = |part: &str, rows: usize| (format!("{part}_embeddings.weight"), vec![rows, 2]);
    let tensors = [
        matrix("word", 2),
        matrix("position", 2),
        matrix("token_type", 1),
        ("LayerNorm.weight".into(), vec![2]),
        ("LayerNorm.bias".into(), vec![2]),
    ];
    let mut end = 0;
    let header: Vec<String> = tensors
        .iter()
        .map(|(name, shape)| {
            let start = end;
            end += 4 * shape.iter().product::<usize>();
            format!(
                r#""embeddings.{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{start},{end}]}}"#
            )
        })
        .collect();
    let header = format!("{{{}}}", header.join(","));
    let length = (header.len() as u64).to_le_bytes();
    let bytes = [&length[..], header.as_bytes(), &vec![0; end]].concat();
    fs::write(folder.join("model.safetensors"), bytes).expect("writable");
}

/// A config with `head` at its top and `methods` behind its only method.
fn config(head: &str, methods: &str) -> String {
    format!(
        "{head}\n[model]\nlabel = \"m\"\npath = \"model\"\n[retrieval]\nencoder = \"encoder\"\n\
         [[dataset]]\nname = \"conala\"\nfrom = \"data\"\nlimit = 2\n[[ment]]\n{methods}"
    )
}

#[test]
fn configs() {
    let right = config("", "");
    let probing = right.replace("limit = 2", "") + "[probing]\nfrom = \"benchmark\"\n";
    let cases: &[(&str, String)] = &[
        ("nothing in it", String::new()),
        ("no TOML", "model = = 3".into()),
        ("a key twice", right.replace("limit = 2", "limit = 2\nlimit = 3")),
        ("an unknown table", config("[modell]", "")),
        ("an unknown key of a table", right.replace("path =", "pth =")),
        ("an unknown key of a method", config("", "quotas = 3")),
        ("no path", right.replace("path = \"model\"", "")),
        ("quota 0", config("", "quota = 0")),
        ("quota below 0", config("", "quota = -3")),
        ("a quota that is text", config("", "quota = \"ten\"")),
        ("a quota that is no whole number", config("", "quota = 2.5")),
        ("coefficient 0", config("", "estimate.coefficient = 0.0")),
        ("a coefficient that is no number", config("", "estimate.coefficient = nan")),
        ("an infinite coefficient", config("", "estimate.coefficient = inf")),
        ("no pathways", config("", "estimate.pathways = 0.0")),
        ("more than all pathways", config("", "estimate.pathways = 1.5")),
        ("an unknown plan", config("", "plan = \"luck\"")),
        ("a stage that is no table", config("", "estimate = 3")),
        ("KN with no step", config("", "[[kn]]\nsteps = 0")),
        (
            "KN whose label says another step",
            config("", "[[kn]]\nlabel = \"KN (step=3)\"\nsteps = 4"),
        ),
        ("KN with more prompts needed than wanted", config("", "[[kn]]\nparallel.at_least = 11")),
        (
            "KN with more prompts needed than there are",
            config("", "[[kn]]\nparallel = { prompts = 900, at_least = 900 }"),
        ),
        ("KN with a threshold of 0", config("", "[[kn]]\nthreshold = 0.0")),
        ("KN with an unknown quadrature", config("", "[[kn]]\nquadrature = \"simpson\"")),
        ("a label twice", config("", "[[ment]]")),
        ("an empty label", config("", "label = \" \"")),
        ("a label of two lines", config("", "label = \"a\\nb\"")),
        ("a method called as the model", config("", "label = \"m\"")),
        ("an unknown data set", right.replace("conala", "conalla")),
        ("a data set twice", config("", "[[dataset]]\nname = \"conala\"\nfrom = \"data\"")),
        (
            "no data set",
            right.replace("[[dataset]]\nname = \"conala\"\nfrom = \"data\"\nlimit = 2\n", ""),
        ),
        ("limit 0", right.replace("limit = 2", "limit = 0")),
        ("a query without its slot", right.replace("limit = 2", "query = \"# input\"")),
        (
            "a demonstration without its output",
            right.replace("limit = 2", "demonstration = \"{input}\""),
        ),
        ("an unknown dtype", right.replace("path = \"model\"", "path = \"model\"\ndtype = \"f8\"")),
        ("an unknown engine", config("", "[execution]\nengine = \"fast\"")),
        ("no memory", config("", "[execution]\nmemory_mib = 0")),
        ("a seed below 0", config("", "[execution]\nseed = -1")),
        ("demonstrations below 0", right.replace("encoder =", "demonstrations = -1\nencoder =")),
        ("probing with chosen data", format!("{right}[probing]\nfrom = \"benchmark\"\n")),
        ("probing without its benchmark", probing.clone()),
        ("probing with a rank cap of 0", format!("{probing}rank_cap = 0\n")),
        ("probing with unknown cases", format!("{probing}cases = \"some\"\n")),
        ("an unknown format", right.replace("limit = 2", "format = \"csv\"")),
        ("a format that is no text", right.replace("limit = 2", "format = 3")),
        ("a format that the files do not have", right.replace("limit = 2", "format = \"jsonl\"")),
        ("probing with an unknown format", format!("{probing}format = \"csv\"\n")),
        ("probing with no rows", format!("{probing}rows = 0\n")),
        ("probing on rows of no folder", format!("{probing}format = \"jsonl\"\n")),
        (
            "probing on rows without prompts beside them",
            probing.replace("\"benchmark\"", "\"data\"") + "format = \"conala\"\n",
        ),
        ("no model there", right.replace("\"model\"", "\"nowhere\"")),
        ("no encoder there", right.replace("\"encoder\"", "\"nowhere\"")),
        ("no data there", right.replace("\"data\"", "\"nowhere\"")),
        ("a sweep over nothing", format!("{right}[sweep]\n\"ment.quota\" = []\n")),
        ("a sweep that is no list", format!("{right}[sweep]\n\"ment.quota\" = 3\n")),
        ("a sweep whose points are the same", format!("{right}[sweep]\n\"ment.quota\" = [3, 3]\n")),
        ("a sweep with a wrong key", format!("{right}[sweep]\n\"ment.quotta\" = [3]\n")),
        ("a sweep over a list", format!("{right}[sweep]\n\"ment\" = [3]\n")),
    ];
    let folder = folder();
    let right = said(folder.path(), &["check", "config.toml"]);
    assert_eq!(right.trim(), "0", "the config that the others are made of is right");
    let mut table = String::new();
    for (what, text) in cases {
        fs::write(folder.path().join("config.toml"), text).unwrap();
        let said = said(folder.path(), &["check", "config.toml"]);
        assert!(said.starts_with("2  error: "), "{what}: {said}");
        let _ = writeln!(table, "{what}: {said}");
    }
    fs::write(folder.path().join("config.toml"), [0xff, 0xfe, 0x00]).unwrap();
    let _ = writeln!(table, "no text: {}", said(folder.path(), &["check", "config.toml"]));
    let _ = writeln!(table, "no file: {}", said(folder.path(), &["check", "gone.toml"]));
    insta::assert_snapshot!(table);
}

#[test]
fn data() {
    let row =
        r#"{"intent": "add", "rewritten_intent": null, "snippet": "a + b", "question_id": 1}"#;
    let header = "text\tcode\tworkerid\tprobid\tsubid\tline\tindent\n";
    let cases: &[(&str, &str, &str, Vec<u8>)] = &[
        ("an empty file", "conala", "conala-test.json", Vec::new()),
        ("no JSON", "conala", "conala-test.json", b"intent,snippet\n".to_vec()),
        ("no list", "conala", "conala-test.json", row.into()),
        ("half a file", "conala", "conala-test.json", format!("[{row},").into()),
        ("no pair", "conala", "conala-test.json", b"[]".to_vec()),
        (
            "a row without its snippet",
            "conala",
            "conala-test.json",
            b"[{\"intent\": \"a\"}]".to_vec(),
        ),
        (
            "a snippet that is a number",
            "conala",
            "conala-test.json",
            row.replace("\"a + b\"", "3").replace('{', "[{").replace('}', "}]").into(),
        ),
        ("no UTF-8", "conala", "conala-test.json", vec![b'[', 0xff, b']']),
        ("an empty file", "fimax", "fimax-inference.csv", Vec::new()),
        ("no header", "fimax", "fimax-inference.csv", b"sort a list,builtins.sorted\n".to_vec()),
        (
            "a row with one column",
            "fimax",
            "fimax-inference.csv",
            b"query,apis\nsort a list\n".to_vec(),
        ),
        (
            "a row without APIs",
            "fimax",
            "fimax-inference.csv",
            b"query,apis\nsort a list,\n".to_vec(),
        ),
        (
            "what is no API",
            "fimax",
            "fimax-inference.csv",
            b"query,apis\nsort a list,sort()\n".to_vec(),
        ),
        ("an empty file", "spoc", "spoc-train-test.tsv", Vec::new()),
        ("another header", "spoc", "spoc-train-test.tsv", b"text code\n".to_vec()),
        (
            "a row with two columns",
            "spoc",
            "spoc-train-test.tsv",
            format!("{header}add\ta + b;\n").into(),
        ),
        (
            "nothing but rows without text",
            "spoc",
            "spoc-train-test.tsv",
            format!("{header}\t}}\t1\t1\t1\t1\t0\n").into(),
        ),
        ("one of two files", "nl2bash", "all.nl", b"list files\n".to_vec()),
        ("no list", "conala-edit", "all.json", b"{}".to_vec()),
        ("an entry without its request", "conala-edit", "all.json", b"[{\"case_id\": 1}]".to_vec()),
        (
            "an entry without neighbours",
            "conala-edit",
            "all.json",
            b"[{\"edit_request\": {\"intent\": \"a\", \"snippet\": \"b\", \"rewritten_intent\": \"c\"}}]"
                .to_vec(),
        ),
        ("entries of the other set", "codesearchnet-edit", "all.json", b"[{\"edit_request\": {\"intent\": \"a\"}}]".to_vec()),
        ("a line that is no object", "code-update-arena", "arena-ungrouped.jsonl", b"3\n".to_vec()),
        (
            "a line without its program",
            "code-update-arena",
            "arena-ungrouped.jsonl",
            b"{\"specific_update_id\": \"a\", \"prog_syn_id\": \"b\"}\n".to_vec(),
        ),
        ("JSON Lines without a division", "api-seq", "pairs.jsonl", b"{\"input\": \"a\", \"output\": \"b\"}\n".to_vec()),
        ("nothing to prompt", "api-seq", "retrieval.jsonl", b"{\"input\": \"a\", \"output\": \"b\"}\n".to_vec()),
    ];
    let mut table = String::new();
    for (what, dataset, file, bytes) in cases {
        let folder = folder();
        let config = config("", "").replace("conala", dataset);
        fs::write(folder.path().join("config.toml"), config).unwrap();
        fs::write(folder.path().join("data").join(file), bytes).unwrap();
        let said = said(folder.path(), &["check", "config.toml"]);
        assert!(said.starts_with("2  error: "), "{dataset}, {what}: {said}");
        let _ = writeln!(table, "{dataset}, {what}: {said}");
    }
    insta::assert_snapshot!(table);
}

#[test]
fn json_lines() {
    let with = |more: &str| format!(r#"{{"input": "a", "output": "b"{more}}}"#);
    let cases: &[(&str, String)] = &[
        ("no JSON", "input,output".into()),
        ("half a line", r#"{"input": "a", "#.into()),
        ("no object", r#"["a", "b"]"#.into()),
        ("no input", r#"{"output": "b"}"#.into()),
        ("no output", r#"{"input": "a"}"#.into()),
        ("an input that is null", r#"{"input": null, "output": "b"}"#.into()),
        ("an input that is a number", r#"{"input": 3, "output": "b"}"#.into()),
        ("a blank output", r#"{"input": "a", "output": " \n"}"#.into()),
        ("an unknown division", with(r#", "division": "test""#)),
        ("an id that is a list", with(r#", "id": []"#)),
        ("an id twice", [with(r#", "id": 3"#), with(r#", "id": 3"#)].join("\n")),
        ("related that is text", with(r#", "related": "c""#)),
        ("related that is an object", with(r#", "related": {"input": "c"}"#)),
        ("related that is empty", with(r#", "related": []"#)),
        ("related with a text in it", with(r#", "related": ["c"]"#)),
        ("related without an input", with(r#", "related": [{"input": "c"}, {"output": "d"}]"#)),
        ("related with a blank input", with(r#", "related": [{"input": ""}]"#)),
        ("related with another key", with(r#", "related": [{"input": "c", "target": "d"}]"#)),
        ("unrelated that is a number", with(r#", "unrelated": 3"#)),
        ("unrelated that is empty", with(r#", "unrelated": []"#)),
        ("unrelated without an input", with(r#", "unrelated": [{}]"#)),
        ("unrelated with an output of 3", with(r#", "unrelated": [{"input": "c", "output": 3}]"#)),
        ("unrelated with a blank output", with(r#", "unrelated": [{"input": "c", "output": ""}]"#)),
        ("no line", String::new()),
        ("no prompts beside the lines", with("")),
    ];
    let folder = folder();
    let own = folder.path().join("own");
    fs::create_dir(&own).unwrap();
    let methods = "[probing]\nfrom = \"own\"\n[[ment]]\n";
    let head = config("", "");
    let (head, _) = head.split_once("[[dataset]]").expect("a data set");
    fs::write(folder.path().join("config.toml"), format!("{head}{methods}")).unwrap();
    let mut table = String::new();
    for (what, lines) in cases {
        fs::write(own.join("inference.jsonl"), lines).unwrap();
        let said = said(folder.path(), &["check", "config.toml"]);
        assert!(said.starts_with("2  error: "), "{what}: {said}");
        let _ = writeln!(table, "{what}: {said}");
    }
    let right =
        with(r#", "related": [{"input": "c", "output": "d"}], "unrelated": [{"input": "e"}]"#);
    fs::write(own.join("inference.jsonl"), right).unwrap();
    let said = |arguments: &[&str]| said(folder.path(), arguments);
    assert_eq!(
        said(&["check", "config.toml"]).trim(),
        "0",
        "the line that the others are made of is right"
    );
    for set in ["probing.undeclared=drop", "probing.demonstrations=1", "probing.rows=0"] {
        let _ = writeln!(table, "{set}: {}", said(&["check", "config.toml", "--set", set]));
    }
    insta::assert_snapshot!(table);
}

#[test]
fn records_and_manifests() {
    let golden = root().join("harness/tests/runs/patching");
    let read = |name: &str| fs::read_to_string(golden.join(name)).unwrap();
    let (manifest, records) = (read("manifest.json"), read("trials.jsonl"));
    let first = records.lines().next().unwrap();
    let replaced = |from: &str, to: &str| {
        assert!(records.contains(from), "{from}");
        records.replacen(from, to, 1)
    };
    let cases: &[(&str, &str, String)] = &[
        ("no records", "trials.jsonl", String::new()),
        ("half a record", "trials.jsonl", first[..40].into()),
        ("a line that is no record", "trials.jsonl", format!("{first}\nnothing\n{first}\n")),
        ("an unknown kind", "trials.jsonl", replaced("\"kind\":\"trial\"", "\"kind\":\"trail\"")),
        ("a record without its outcome", "trials.jsonl", replaced("\"outcome\"", "\"outcame\"")),
        ("an unknown outcome", "trials.jsonl", replaced("\"solved\"", "\"sold\"")),
        ("an unknown data set", "trials.jsonl", records.replace("\"conala\"", "\"conalla\"")),
        (
            "an unknown method",
            "trials.jsonl",
            records.replace("\"method\":\"MENT\"", "\"method\":\"MEND\""),
        ),
        (
            "a solved error whose target is not on top",
            "trials.jsonl",
            replaced("\"outcome\":\"skipped\"", "\"outcome\":\"solved\""),
        ),
        ("deep nesting", "trials.jsonl", "[".repeat(100_000) + "\n"),
        ("no JSON", "manifest.json", "{".into()),
        ("an empty manifest", "manifest.json", String::new()),
        ("a manifest of nothing", "manifest.json", "{}".into()),
        ("a newer format", "manifest.json", manifest.replacen("\"format\": 2", "\"format\": 3", 1)),
        (
            "a format that is text",
            "manifest.json",
            manifest.replacen("\"format\": 2", "\"format\": \"two\"", 1),
        ),
    ];
    let mut table = String::new();
    for (what, file, text) in cases {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        fs::create_dir(&run).unwrap();
        fs::write(run.join("manifest.json"), &manifest).unwrap();
        fs::write(run.join("trials.jsonl"), &records).unwrap();
        fs::write(run.join(file), text).unwrap();
        let said = said(folder.path(), &["report", "run"]);
        assert!(said.starts_with("2  error: ") || said.starts_with("1  error: "), "{what}: {said}");
        let _ = writeln!(table, "{what}: {said}");
    }
    insta::assert_snapshot!(table);
}

#[test]
fn command_lines() {
    let folder = folder();
    fs::write(folder.path().join("two.toml"), config("", "[[kn]]")).expect("writable");
    let run = root().join("harness/tests/runs/patching");
    let probing = root().join("harness/tests/runs/probing");
    let (run, probing) = (run.to_str().unwrap(), probing.to_str().unwrap());
    let cases: &[&[&str]] = &[
        &["train"],
        &["check"],
        &["check", "config.toml", "--limit", "0"],
        &["check", "config.toml", "--limit", "many"],
        &["check", "config.toml", "--dataset", "spoc"],
        &["check", "config.toml", "--dataset", "spock"],
        &["check", "config.toml", "--from", "nowhere"],
        &["check", "config.toml", "--model", "nowhere"],
        &["check", "config.toml", "--full"],
        &["check", "config.toml", "--set", "quota"],
        &["check", "config.toml", "--set", "ment.quotta=3"],
        &["check", "config.toml", "--set", "model=3"],
        &["check", "config.toml", "--only", "KN"],
        &["check", "two.toml", "--only", "MENT", "--set", "kn.quota=3"],
        &["check", "two.toml", "--only", "MENT", "--set", "kn.\"KN (step=20)\".steps=3"],
        &["check", "config.toml", "--seed", "-1"],
        &["check", "data"],
        &["run", "config.toml", "--shard", "3/2"],
        &["run", "config.toml", "--threads", "0"],
        &["run", "config.toml", "--tables", "table9"],
        &["report", "data"],
        &["report", run, probing],
        &["report", run, "--out", "x"],
        &["report", "nowhere"],
        &["show", run, "zzzz"],
        &["show", "data"],
        &["verify", "data"],
        &["verify", run, "--again", "some"],
        &["predict"],
        &["predict", "--prompt", "a", "--ids", "1"],
        &["predict", "--prompt", "a", "--top", "0"],
    ];
    let mut table = String::new();
    for arguments in cases {
        let said = said(folder.path(), arguments);
        let arguments = arguments.join(" ").replace(&root().display().to_string(), "[ROOT]");
        assert!(said.starts_with("2  error: "), "{arguments}: {said}");
        let _ = writeln!(table, "{arguments}: {}", said.split(" ¶  ¶ ").next().unwrap());
    }
    insta::assert_snapshot!(table);
}
