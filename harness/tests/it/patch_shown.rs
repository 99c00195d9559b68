//! Output of `ment patch` and `ment apply`: how prompt and target are cut, the text that the model writes by
//! itself, side effects, and patches that are lost.

use crate::patch::{OTHER, PROMPT, Workplace};
use serde_json::Value;
use std::fs;

/// A prompt that ends within a token of the whole text, or in a space that would belong to the next: the
/// ids that are repaired are those that a model meets which is given the prompt.
#[test]
fn a_border_within_a_token_is_told_and_repaired_as_generate_meets_it() {
    let place = Workplace::new();
    for (prompt, target, together, apart) in [
        ("def add(a, b):\n    return ", "best", "\" best\"", "\" \" \"b\" \"est\""),
        ("def add(a, b):\n    return b", "est", "\" best\"", "\" b\" \"est\""),
    ] {
        let push = ["--set", "ment.estimate.coefficient=2"];
        let said = place.patch("base", prompt, target, "b.safetensors", &push);
        let whole = "prompt and target meet within a token. Cut together they are … ";
        assert!(said.contains(&format!("{whole}{together}")), "{said}");
        assert!(said.contains(&format!("given the prompt meets … {apart}")), "{said}");
        let with = ["--prompt", prompt, "--patch", "b.safetensors"];
        let text = place.says(&[&["generate", "--model", "base"], &with[..]].concat());
        assert!(text.starts_with(target), "{text}");
        place.says(&["apply", "--model", "base", "--patch", "b.safetensors", "--out", "new"]);
        let text = place.says(&["generate", "--model", "new", "--prompt", prompt]);
        assert!(text.starts_with(target), "{text}");
        fs::remove_file(place.path("b.safetensors")).unwrap();
        fs::remove_dir_all(place.path("new")).unwrap();
    }
    let said = place.patch("base", PROMPT, " best", "b.safetensors", &[]);
    assert!(!said.contains("meet within a token"), "{said}");
}

/// The text of free generation is shown, and that a target ends within a word.
#[test]
fn the_text_after_the_prompt_alone_is_shown() {
    let place = Workplace::new();
    let patch = |target: &str| {
        let push = "ment.estimate.coefficient=1";
        let arguments =
            ["patch", "--model", "base", "--prompt", PROMPT, "--target", target, "--set", push];
        let json = place.says(&[&arguments[..], &["--json"]].concat());
        (place.says(&arguments), serde_json::from_str::<Value>(&json).unwrap())
    };
    let (said, json) = patch(" best");
    let written = json["written"]["text"].as_str().unwrap();
    assert!(
        said.contains(&format!("writes   {written:?} (greedily, after the prompt alone)")),
        "{said}"
    );
    assert!(written.starts_with(" best") && json["written"]["says_target"] == true, "{json}");
    assert_eq!(json["written"]["longer_word"], Value::Null);
    let (said, json) = patch(" va");
    let word = json["written"]["longer_word"].as_str().unwrap();
    assert!(word.starts_with("va") && word.len() > 2, "{json}");
    let note = format!("the word goes on: {word:?}. A target that includes what follows");
    assert!(said.contains(&note) && said.contains("\" va(\" or \" va\\n\""), "{said}");
}

/// Side effects are against the model without any patch, wherever the patches are, and large ones are
/// called that.
#[test]
fn side_effects_are_those_of_all_patches() {
    let place = Workplace::new();
    place.patch("base", PROMPT, " best", "one.safetensors", &[]);
    let arguments = ["patch", "--prompt", OTHER, "--target", " in", "--json"];
    let kept = |more: &[&str]| -> Value {
        serde_json::from_str(&place.says(&[&arguments[..], more].concat())).unwrap()
    };
    let alone = kept(&["--model", "base"]);
    assert_eq!(alone["kept_below"], Value::Null);
    let above = kept(&["--model", "base", "--patch", "one.safetensors"]);
    place.says(&["apply", "--model", "base", "--patch", "one.safetensors", "--out", "new"]);
    let inside = kept(&["--model", "new"]);
    let before = |json: &Value| json["kept"]["perplexity_before"].as_f64().unwrap();
    for json in [&above, &inside] {
        assert!((before(json) / before(&alone) - 1.0).abs() < 1e-5, "{json}");
        assert_eq!(json["kept_below"]["perplexity_before"], json["kept"]["perplexity_before"]);
    }
    let strong = ["--model", "base", "--set", "ment.estimate.coefficient=8"];
    let said = place.says(&[&arguments[..5], &strong[..]].concat());
    assert!(said.contains("warning  these side effects are large"), "{said}");
    assert!(said.contains("ment.estimate.coefficient=4 (it was 8)"), "{said}");
}

/// Patches that undo each other: `apply` writes the folder, says what is lost and what else changed, and
/// does not end as if all were well.
#[test]
fn patches_lost_in_a_stack_are_no_success() {
    let place = Workplace::new();
    place.patch("base", PROMPT, " best", "one.safetensors", &[]);
    place.patch("base", PROMPT, " total", "two.safetensors", &[]);
    let arguments = ["apply", "--model", "base", "--patch", "one.safetensors", "two.safetensors"];
    let assert = place.ment(&[&arguments[..], &["--out", "both"]].concat()).code(1);
    let (stdout, stderr) = {
        let output = assert.get_output();
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    assert!(stdout.contains(": it does not hold as it was made"), "{stdout}");
    assert!(stdout.contains("kept     24 texts: perplexity"), "{stdout}");
    assert!(stderr.contains("of 2 patches do not hold in this folder"), "{stderr}");
    assert!(place.path("both/model.safetensors").is_file());
}

/// A text is a text, whatever is called like it.
#[test]
fn a_text_that_is_the_name_of_a_file_is_a_text() {
    let place = Workplace::new();
    fs::write(place.path("LICENSE"), "\u{feff}def add(a, b):\n    return\n").unwrap();
    let ids = |prompt: &str| -> Value {
        let said =
            place.ment(&["predict", "--model", "base", "--prompt", prompt, "--json"]).success();
        serde_json::from_slice(&said.get_output().stdout).unwrap()
    };
    assert_eq!(ids("@LICENSE"), ids(PROMPT), "without byte-order mark and last line end");
    assert_ne!(ids("LICENSE"), ids(PROMPT));
    let assert = place.ment(&["generate", "--model", "base", "--prompt", "LICENSE"]).success();
    let note = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(note.contains("is taken as a text; @LICENSE reads the file"), "{note}");
    let stderr = place.refused(&["predict", "--model", "base", "--prompt", "@LICENCE"]);
    assert!(stderr.contains("LICENCE: cannot be read"), "{stderr}");
    assert!(stderr.contains("to give a text that begins with @, write @@"), "{stderr}");
    place.patch("base", PROMPT, " best", "b.safetensors", &[]);
    let with = ["--patch", "b.safetensors", "--threads", "1", "--prompt", PROMPT, "--top", "1"];
    let said = place.says(&[&["predict", "--model", "base"], &with[..]].concat());
    assert!(said.contains("\" best\""), "{said}");
}
