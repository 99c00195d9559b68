//! `ment predict` on a golden checkpoint.

use crate::support::{golden, ment, tensors};
use serde_json::Value;

fn predict(arguments: &[&str]) -> assert_cmd::assert::Assert {
    ment().args(["predict", "--model"]).arg(golden("tiny")).args(arguments).assert()
}

fn json(arguments: &[&str]) -> Value {
    let assert = predict(arguments).success();
    serde_json::from_slice(&assert.get_output().stdout).unwrap()
}

/// Ids in, the reference's logits and probabilities out, best first.
#[test]
fn ids_give_the_reference_logits() {
    let golden = tensors("tiny/golden.safetensors");
    let ids = Vec::<i64>::try_from(golden["ids"].get(0)).unwrap();
    let text = ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    let answer = json(&["--ids", &text, "--top", "1000", "--json"]);
    assert_eq!(answer["ids"], serde_json::json!(ids));
    let logits = golden["logits"].get(0).get(-1);
    let next = answer["next"].as_array().unwrap();
    assert_eq!(next.len() as i64, logits.size()[0], "all tokens, where fewer than K exist");
    let mut total = 0.0;
    for (place, token) in next.iter().enumerate() {
        assert_eq!(token["rank"], place + 1);
        let reference = f64::try_from(logits.get(token["id"].as_i64().unwrap())).unwrap();
        assert!((token["logit"].as_f64().unwrap() - reference).abs() < 1e-4);
        total += token["probability"].as_f64().unwrap();
    }
    assert!((total - 1.0).abs() < 1e-9);
    assert!(next.windows(2).all(|pair| pair[0]["logit"].as_f64() >= pair[1]["logit"].as_f64()));
}

#[test]
fn text_and_its_ids_say_the_same() {
    let by_text = json(&["--prompt", "def add(a, b):\n    return", "--json"]);
    let ids: Vec<String> =
        by_text["ids"].as_array().unwrap().iter().map(Value::to_string).collect();
    assert_eq!(by_text, json(&["--ids", &ids.join(","), "--json"]));
    assert_eq!(by_text["next"].as_array().unwrap().len(), 10);
}

#[test]
fn wrong_prompts_are_refused() {
    for (arguments, reason) in [
        (&["--prompt", ""][..], "the prompt is empty"),
        (&["--ids", "1,2,320"], "id 320 is outside the vocabulary of 320 tokens"),
        (&["--ids", &vec!["7"; 513].join(",")], "513 tokens, the model's context holds 512"),
        (&["--ids", "1,x"], "invalid value 'x'"),
        (&["--ids", "1", "--prompt", "a"], "cannot be used with"),
        (&[], "required arguments"),
        (&["--ids", "1", "--device", "tpu"], "device \"tpu\" is not known"),
        (&["--ids", "1", "--device", "cuda:x"], "device \"cuda:x\" is not known"),
    ] {
        let assert = predict(arguments).code(2).stdout("");
        let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        assert!(stderr.contains(reason), "{reason} is not in {stderr}");
    }
}
