//! A model of one's own: patched, written, read again, and taken back.

use crate::support::{golden, ment, set_up_model};
use ment::own_model::patch::file::{Patch, PatchFile};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub(crate) const PROMPT: &str = "def add(a, b):\n    return";
pub(crate) const OTHER: &str = "def mean(values):\n    total";

/// A folder with a copy of the tiny checkpoint, in which commands are run.
pub(crate) struct Workplace(TempDir);

impl Workplace {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("base");
        fs::create_dir(&base).unwrap();
        for file in ["config.json", "model.safetensors", "tokenizer.json"] {
            fs::copy(golden("tiny").join(file), base.join(file)).unwrap();
        }
        Self(folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn ment(&self, arguments: &[&str]) -> assert_cmd::assert::Assert {
        ment().current_dir(self.0.path()).args(arguments).assert()
    }

    pub(crate) fn says(&self, arguments: &[&str]) -> String {
        let assert = self.ment(arguments).success();
        String::from_utf8(assert.get_output().stdout.clone()).unwrap()
    }

    /// What a refused command says; nothing on stdout, and exit code 2.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let assert = self.ment(arguments).code(2).stdout("");
        String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
    }

    /// A patch `out` that makes the checkpoint `model` say `target` after `prompt`.
    pub(crate) fn patch(
        &self,
        model: &str,
        prompt: &str,
        target: &str,
        out: &str,
        more: &[&str],
    ) -> String {
        let arguments =
            ["patch", "--model", model, "--prompt", prompt, "--target", target, "--out", out];
        self.says(&[&arguments, more].concat())
    }

    /// The token that the checkpoint says next.
    pub(crate) fn next(&self, model: &str, prompt: &str) -> String {
        let said = self.says(&["predict", "--model", model, "--prompt", prompt, "--json"]);
        let said: Value = serde_json::from_str(&said).unwrap();
        said["next"][0]["text"].as_str().unwrap().to_string()
    }

    /// Names and contents of all files below `name`.
    pub(crate) fn contents(&self, name: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.path(name)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let relative = path.strip_prefix(self.path(name)).unwrap().to_path_buf();
                    found.push((relative, fs::read(&path).unwrap()));
                }
            }
        }
        found.sort();
        found
    }

    /// Names in the workplace itself, hidden ones too.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> =
            names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

#[test]
fn without_out_nothing_on_disk_changes() {
    let place = Workplace::new();
    let before = place.contents(".");
    let arguments = ["patch", "--model", "base", "--prompt", PROMPT, "--target", " best"];
    let said = place.says(&arguments);
    for part in [
        "target   1 token: \" best\"",
        "token 1 of 1: \" best\" instead of \" a\"",
        "the model now predicts the whole target",
        "kept     24 texts: perplexity",
        "nothing on disk was changed",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    let json: Value =
        serde_json::from_str(&place.says(&[&arguments[..], &["--json"]].concat())).unwrap();
    assert_eq!((&json["solved"], &json["patch"]), (&true.into(), &Value::Null));
    let repair = &json["repairs"][0];
    assert_eq!((&repair["target"], &repair["was"]), (&" best".into(), &" a".into()));
    assert_eq!(repair["top_before"][0]["text"], " a");
    assert_eq!(repair["top_after"][0]["text"], " best");
    assert!(json["kept"]["perplexity_after"].as_f64().unwrap() > 1.0);
    assert_eq!(place.contents("."), before);
}

/// From a patch to a folder that says the target, and back to the base, to the last bit.
#[test]
fn a_patch_is_applied_and_taken_out() {
    let place = Workplace::new();
    place.patch("base", PROMPT, " best", "b.safetensors", &[]);
    assert_eq!(place.next("base", PROMPT), " a");
    let said =
        place.says(&["apply", "--model", "base", "--patch", "b.safetensors", "--out", "new"]);
    assert!(said.contains("b.safetensors: 1 of 1 tokens of \" best\" are predicted"), "{said}");
    assert_eq!(place.next("new", PROMPT), " best");
    let virtually = ["generate", "--prompt", PROMPT, "--tokens", "9"];
    let with =
        place.says(&[&virtually[..], &["--model", "base", "--patch", "b.safetensors"]].concat());
    assert_eq!(with, place.says(&[&virtually[..], &["--model", "new"]].concat()));
    let compared = place.says(
        &[&virtually[..], &["--model", "base", "--compare", "--patch", "b.safetensors"]].concat(),
    );
    assert!(compared.starts_with("[- a"), "{compared}");

    let mut fewer = place.contents("base");
    fewer.retain(|(name, _)| name != Path::new("model.safetensors"));
    let new = place.contents("new");
    assert!(fewer.iter().all(|file| new.contains(file)), "all but the weights is as it was");
    place.says(&["patch", "--model", "new", "--revert", "b.safetensors", "--out", "back"]);
    assert_eq!(place.contents("back"), place.contents("base"));
    assert_eq!(place.names(), ["b.safetensors", "back", "base", "new"], "nothing is left over");
}

/// Each architecture that stores its FFN output matrix in another way: under another name, transposed, without
/// the usual beginning of the names; or adds its output in another way.
#[test]
fn every_way_of_storing_the_matrix_is_patched_and_taken_out() {
    for name in
        ["gemma3", "gpt2", "gpt_neox", "gptj", "granite", "opt", "phi", "phi3", "starcoder2"]
    {
        let place = Workplace(tempfile::tempdir().unwrap());
        let (base, golden) = (place.path("base"), golden("architectures"));
        fs::create_dir(&base).unwrap();
        for file in ["config.json", "model.safetensors"] {
            fs::copy(golden.join(name).join(file), base.join(file)).unwrap();
        }
        fs::copy(golden.join("tokenizer.json"), base.join("tokenizer.json")).unwrap();
        let prompt = "def add(a";
        let said =
            place.says(&["predict", "--model", "base", "--prompt", prompt, "--top", "8", "--json"]);
        let said: Value = serde_json::from_str(&said).unwrap();
        let next = said["next"].as_array().unwrap()[1..].iter();
        let patch = |target: &str| {
            let of = ["patch", "--model", "base", "--prompt", prompt, "--target", target];
            place.ment(&[&of[..], &["--out", "b.safetensors"]].concat())
        };
        let texts = next.filter_map(|token| token["text"].as_str());
        let target = texts.into_iter().find(|text| patch(text).try_success().is_ok());
        let target = target.unwrap_or_else(|| panic!("{name}: no token can be put on top"));
        place.says(&["apply", "--model", "base", "--patch", "b.safetensors", "--out", "new"]);
        assert_eq!(place.next("new", prompt), target, "{name}");
        place.says(&["patch", "--model", "new", "--revert", "b.safetensors", "--out", "back"]);
        assert_eq!(place.contents("back"), place.contents("base"), "{name}");
        // And what a neuron reads.
        let joint =
            ["--method", "joint", "--set", "joint.keys.tokens=512", "--set", "joint.rate=1"];
        let of = ["patch", "--model", "base", "--prompt", prompt, "--target", target];
        place.says(&[&of[..], &joint, &["--out", "j.safetensors"]].concat());
        place.says(&["apply", "--model", "base", "--patch", "j.safetensors", "--out", "joint"]);
        assert_eq!(place.next("joint", prompt), target, "{name}");
        let revert = ["patch", "--model", "joint", "--revert", "j.safetensors", "--out", "away"];
        place.says(&revert);
        assert_eq!(place.contents("away"), place.contents("base"), "{name}");
    }
}

#[test]
fn several_patches_are_one_stack_however_they_were_put_on_it() {
    let place = Workplace::new();
    place.patch("base", PROMPT, " best", "one.safetensors", &[]);
    let on = place.patch("base", OTHER, " in", "two.safetensors", &["--patch", "one.safetensors"]);
    assert!(on.contains("patches  1 in place"), "{on}");
    assert!(on.contains("before   one.safetensors: 1 of 1 tokens"), "{on}");
    let apply = |model: &str, patches: &[&str], out: &str| {
        let arguments =
            [&["apply", "--model", model, "--out", out, "--patch"][..], patches].concat();
        place.ment(&arguments)
    };
    apply("base", &["one.safetensors", "two.safetensors"], "both").success();
    apply("base", &["one.safetensors"], "first").success();
    apply("first", &["two.safetensors"], "then").success();
    assert_eq!(place.contents("both"), place.contents("then"));
    assert_eq!(
        (place.next("both", PROMPT), place.next("both", OTHER)),
        (" best".into(), " in".into())
    );

    // The second needs the first, and neither may come twice.
    let stderr = |assert: assert_cmd::assert::Assert| {
        String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
    };
    let alone = stderr(apply("base", &["two.safetensors"], "x").code(2));
    assert!(alone.contains("which must come before it"), "{alone}");
    let twice = stderr(apply("both", &["one.safetensors"], "x").code(2));
    assert!(twice.contains("it is already applied"), "{twice}");
    let revert = |model, patch, out| ["patch", "--model", model, "--revert", patch, "--out", out];
    let below = place.refused(&revert("both", "one.safetensors", "x"));
    assert!(below.contains("was made on top of it; remove that one first"), "{below}");
    place.says(&revert("both", "two.safetensors", "less"));
    assert_eq!(place.contents("less"), place.contents("first"));
    place.says(&revert("less", "one.safetensors", "base-again"));
    assert_eq!(place.contents("base-again"), place.contents("base"));

    // A patch that asks for something else after the same prompt is a conflict, and is named.
    place.patch("base", PROMPT, " total", "third.safetensors", &[]);
    let assert = apply("base", &["one.safetensors", "third.safetensors"], "conflict").code(1);
    let said = stderr(assert);
    assert!(
        said.contains("have different targets after the same prompt: \" best\" and \" total\""),
        "{said}"
    );
}

/// A folder with weights in another form beside those that are read: it is told, and not copied.
#[test]
fn weights_that_no_patch_reaches_are_left_out() {
    let place = Workplace::new();
    fs::write(place.path("base/pytorch_model.bin"), "other weights").unwrap();
    fs::create_dir(place.path("base/onnx")).unwrap();
    fs::write(place.path("base/onnx/model.onnx"), "more").unwrap();
    fs::write(place.path("base/onnx/README.md"), "a text").unwrap();
    place.patch("base", PROMPT, " best", "b.safetensors", &[]);
    let said =
        place.says(&["apply", "--model", "base", "--patch", "b.safetensors", "--out", "new"]);
    assert!(
        said.contains("not copied, as no patch reaches them: onnx/model.onnx, pytorch_model.bin"),
        "{said}"
    );
    assert!(place.path("new/onnx/README.md").is_file());
    assert!(!place.path("new/pytorch_model.bin").exists());
}

#[test]
fn bad_input_is_refused_and_nothing_is_written() {
    let place = Workplace::new();
    place.patch("base", PROMPT, " best", "b.safetensors", &[]);
    let whole = fs::read(place.path("b.safetensors")).unwrap();
    fs::write(place.path("cut.safetensors"), &whole[..whole.len() - 1]).unwrap();
    fs::write(place.path("text.safetensors"), "no patch").unwrap();
    let newer = String::from_utf8_lossy(&whole).contains("{\\\"format\\\":3,");
    assert!(newer, "the card begins with its format");
    let text = b"{\\\"format\\\":3,";
    let at = whole.windows(text.len()).position(|window| window == text).unwrap();
    let mut newer = whole.clone();
    newer[at + text.len() - 2] = b'4';
    fs::write(place.path("newer.safetensors"), &newer).unwrap();
    // Format 1 had columns only, and is read.
    newer[at + text.len() - 2] = b'1';
    fs::write(place.path("older.safetensors"), newer).unwrap();
    let older = PatchFile::read(&place.path("older.safetensors")).unwrap().patch;
    assert_eq!(older.columns, PatchFile::read(&place.path("b.safetensors")).unwrap().patch.columns);
    let hostile = |name: &str, change: fn(&mut Patch)| {
        let mut patch = PatchFile::read(&place.path("b.safetensors")).unwrap().patch;
        change(&mut patch);
        patch.write(&place.path(name)).unwrap();
    };
    hostile("layer.safetensors", |patch| patch.columns[0].neuron.layer = usize::MAX);
    hostile("width.safetensors", |patch| {
        patch.columns.iter_mut().for_each(|column| column.delta.truncate(3));
    });
    hostile("token.safetensors", |patch| patch.card.target_ids = vec![u32::MAX]);
    hostile("aimless.safetensors", |patch| patch.card.target_ids.clear());
    hostile("infinite.safetensors", |patch| patch.columns[0].delta[0] = f32::INFINITY);
    fs::copy(golden("tiny/model.safetensors"), place.path("weights.safetensors")).unwrap();
    fs::create_dir(place.path("there")).unwrap();
    fs::write(place.path("kept.txt"), "a\n---\nb c d\n").unwrap();
    fs::write(place.path("empty.txt"), "\n").unwrap();
    // The same architecture with other weights.
    fs::create_dir(place.path("other")).unwrap();
    for (name, bytes) in place.contents("base") {
        fs::write(place.path("other").join(name), bytes).unwrap();
    }
    let mut weights = fs::read(place.path("other/model.safetensors")).unwrap();
    let last = weights.len() - 1;
    weights[last] ^= 1;
    fs::write(place.path("other/model.safetensors"), weights).unwrap();
    let (before, long) = (place.contents("."), "x = 1\n".repeat(200));

    let patch = |more: &[&'static str]| -> Vec<String> {
        let head = ["patch", "--model", "base"];
        head.iter().chain(more).map(ToString::to_string).collect()
    };
    let best =
        |more: &[&'static str]| patch(&[&["--prompt", PROMPT, "--target", " best"], more].concat());
    let apply = |file: &str, model: &str, out: &str| -> Vec<String> {
        ["apply", "--model", model, "--patch", file, "--out", out].map(Into::into).to_vec()
    };
    let mut too_long = patch(&["--target", " best", "--prompt"]);
    too_long.push(long);
    let cases: Vec<(&str, Vec<String>)> = vec![
        ("an empty target", patch(&["--prompt", PROMPT, "--target", ""])),
        ("an empty target in a file", patch(&["--prompt", PROMPT, "--target", "@empty.txt"])),
        ("a file that is not there", patch(&["--prompt", "@nowhere.txt", "--target", " best"])),
        (
            "a target that ends a sequence",
            patch(&["--prompt", PROMPT, "--target", " best<|endoftext|>"]),
        ),
        ("a key that the method does not read", best(&["--method", "kn", "--set", "ment.quota=1"])),
        ("a key that no patch reads", best(&["--set", "execution.strict=true"])),
        ("an empty prompt", patch(&["--prompt", "", "--target", " best"])),
        ("what the model says already", patch(&["--prompt", PROMPT, "--target", " a + b"])),
        ("a prompt longer than the context", too_long),
        ("no target", patch(&["--prompt", PROMPT])),
        ("an unknown method", best(&["--method", "grace"])),
        ("an unknown key", best(&["--set", "ment.quotas=1"])),
        ("a subject that is not in the prompt", best(&["--method", "rome", "--subject", "sum"])),
        ("a subject that the method does not read", best(&["--subject", "add"])),
        (
            "a layer that does not exist",
            best(&["--method", "ft", "--set", "fine_tuning.place={layer = 3}"]),
        ),
        (
            "a text too short for the keys",
            best(&["--method", "memit", "--set", "memit.keys={tokens = 47}"]),
        ),
        ("kept texts of one token", best(&["--keep", "kept.txt"])),
        ("kept texts without a text", best(&["--keep", "empty.txt"])),
        ("no kept texts", best(&["--keep", "nowhere.txt"])),
        ("a patch that is there", best(&["--out", "b.safetensors"])),
        (
            "a patch in no folder",
            patch(&["--prompt", PROMPT, "--target", " total", "--out", "no/b.safetensors"]),
        ),
        ("to take out what is not in", patch(&["--revert", "b.safetensors", "--out", "x"])),
        ("to take out without a place", patch(&["--revert", "b.safetensors"])),
        ("a truncated patch", apply("cut.safetensors", "base", "x")),
        ("a text for a patch", apply("text.safetensors", "base", "x")),
        ("a checkpoint for a patch", apply("weights.safetensors", "base", "x")),
        ("a patch of a layer that is none", apply("layer.safetensors", "base", "x")),
        ("a patch of short columns", apply("width.safetensors", "base", "x")),
        ("a patch of a token that is none", apply("token.safetensors", "base", "x")),
        ("a patch without a target", apply("aimless.safetensors", "base", "x")),
        ("a patch that is infinite", apply("infinite.safetensors", "base", "x")),
        ("a folder within the model's", apply("b.safetensors", "base", "base/x")),
        ("a patch of another format", apply("newer.safetensors", "base", "x")),
        ("a patch that is not there", apply("nowhere.safetensors", "base", "x")),
        ("a patch of another checkpoint", apply("b.safetensors", "other", "x")),
        ("a folder that is there", apply("b.safetensors", "base", "there")),
        ("a folder that is the model's", apply("b.safetensors", "base", "base")),
    ];
    let mut said = String::new();
    for (what, arguments) in cases {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let assert = place.ment(&arguments).stdout("");
        let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        assert!(!stderr.contains("panicked"), "{what}: {stderr}");
        let line = stderr.lines().map(str::trim).collect::<Vec<_>>().join(" ¶ ");
        said += &format!("{what}\n  {} {line}\n", assert.get_output().status.code().unwrap());
    }
    assert_eq!(place.contents("."), before);
    // Hashes are of files that another machine may make with other last bits.
    let hash = |word: &str| {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_hash = bare.len() == 12 && bare.bytes().all(|b| b.is_ascii_hexdigit());
        if is_hash { word.replace(bare, "[HASH]") } else { word.into() }
    };
    let lines = said.lines().map(|line| line.split(' ').map(hash).collect::<Vec<_>>().join(" "));
    insta::assert_snapshot!("bad_input", lines.collect::<Vec<_>>().join("\n"));
}

/// A history that does not fit its weights is refused, and not believed.
#[test]
fn weights_changed_behind_a_history_are_refused() {
    let place = Workplace::new();
    place.patch("base", PROMPT, " best", "b.safetensors", &[]);
    place.says(&["apply", "--model", "base", "--patch", "b.safetensors", "--out", "new"]);
    fs::copy(place.path("base/model.safetensors"), place.path("new/model.safetensors")).unwrap();
    let stderr =
        place.refused(&["patch", "--model", "new", "--revert", "b.safetensors", "--out", "back"]);
    assert!(stderr.contains("are not those that were written with these patches"), "{stderr}");
    fs::write(place.path("new/ment/patches.json"), "{").unwrap();
    let stderr = place.refused(&["generate", "--model", "new", "--prompt", PROMPT]);
    assert!(stderr.contains("patches.json"), "{stderr}");
}

/// A token that cannot be repaired is said, ends with 1, and leaves no file.
#[test]
fn a_failed_repair_is_said() {
    let place = Workplace::new();
    let arguments = [
        "patch",
        "--model",
        "base",
        "--prompt",
        PROMPT,
        "--target",
        " values",
        "--out",
        "x.safetensors",
        "--set",
        "ment.quota=1",
        "--set",
        "ment.estimate.coefficient=0.001",
    ];
    let assert = place.ment(&arguments).code(1);
    let (stdout, stderr) = {
        let output = assert.get_output();
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    assert!(stdout.contains("could not be repaired: one patch did not suffice"), "{stdout}");
    assert!(stdout.contains("ment.estimate.coefficient=0.002 (it was 0.001)"), "{stdout}");
    assert!(stdout.contains("--set ment.quota=2 (it was 1)"), "{stdout}");
    assert!(!stdout.contains("kept     "), "side effects of what is undone are nobody's: {stdout}");
    assert!(stderr.contains("no patch was written"), "{stderr}");
    assert_eq!(place.names(), ["base"]);
}

/// Knowledge Neurons, on the prompt at hand; and a variant of MENT.
#[test]
fn other_methods_patch_too() {
    let place = Workplace::new();
    for method in ["kn", "kn-1", "loc.-actv", "est.-onehot", "plan-score"] {
        let arguments =
            ["patch", "--model", "base", "--prompt", PROMPT, "--target", " best", "--json"];
        let assert = place.ment(&[&arguments[..], &["--method", method]].concat());
        let json: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
        let solved = json["solved"].as_bool().unwrap();
        assert_eq!(assert.get_output().status.code(), Some(if solved { 0 } else { 1 }), "{method}");
        assert_eq!(json["patches"].as_u64().unwrap() > 0, solved, "{method}");
    }
}

/// The default model, as a user would.
#[test]
fn smollm2_is_patched_and_written() {
    let place = Workplace::new();
    let model = set_up_model("smollm2-135m-instruct");
    let model = model.to_str().unwrap();
    let prompt = "# the largest value of a list\nx = [3, 1, 2]\nprint(";
    assert_eq!(place.next(model, prompt), "max");
    let said = place.patch(model, prompt, "min(x", "min.safetensors", &[]);
    assert!(said.contains("the model now predicts the whole target"), "{said}");
    let written =
        place.says(&["apply", "--model", model, "--patch", "min.safetensors", "--out", "new"]);
    assert!(written.contains("3 of 3 tokens of \"min(x\" are predicted"), "{written}");
    let text = place.says(&["generate", "--model", "new", "--prompt", prompt, "--tokens", "4"]);
    assert!(text.starts_with("min(x)"), "{text}");
}
