//! The first steps outside a checkout: an example, and models by name and by id.

use crate::support::{ment, root};
use assert_cmd::Command;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// The binary in `place`, where neither a checkout nor a cache of this user is seen.
fn there(place: &TempDir) -> Command {
    let mut command = ment();
    command.current_dir(place.path()).env("MENT_CACHE", place.path().join("cache"));
    command.env("HF_HOME", place.path().join("hf")).env("HF_ENDPOINT", "http://127.0.0.1:9");
    command
}

fn fails(mut command: Command, arguments: &[&str]) -> String {
    let assert = command.args(arguments).assert().code(2);
    String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
}

fn says(mut command: Command, arguments: &[&str]) -> String {
    let assert = command.args(arguments).assert().success();
    String::from_utf8_lossy(&assert.get_output().stdout).into_owned()
}

fn link(model: &Path, place: &Path) {
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(model, place).unwrap();
}

/// The models of the cache: a tiny one under the name of the default, and the encoder that set-up makes.
fn cache(place: &TempDir) {
    link(&root().join("scripts/goldens/tiny"), &place.path().join("cache/models/smollm2-135m"));
    let encoder = root().join(".models/all-minilm-l6-v2");
    link(&encoder, &place.path().join("cache/models/all-minilm-l6-v2"));
}

#[test]
fn an_example_is_written_and_can_be_checked() {
    let place = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(says(there(&place), &["init", "example"]));
    let again = fails(there(&place), &["init", "example"]);
    assert!(again.contains("example: there are files already"), "{again}");
    let config = "example/experiment.toml";
    let missing = fails(there(&place), &["check", config]);
    assert!(missing.contains("`ment models get smollm2-135m` does it"), "{missing}");
    cache(&place);
    let mut inside = there(&place);
    inside.current_dir(place.path().join("example"));
    let said = says(inside, &["check", "experiment.toml"]);
    assert!(said.contains("8 data prompted, 20 pairs to retrieve from"), "{said}");
}

#[test]
fn models_are_listed_with_their_places() {
    let place = tempfile::tempdir().unwrap();
    let said = says(there(&place), &["models"]);
    assert_eq!(said.matches("not fetched").count(), 3, "{said}");
    cache(&place);
    let said = says(there(&place), &["models", "list"]);
    assert!(said.contains("cache/models/smollm2-135m"), "{said}");
    assert_eq!(said.matches("not fetched").count(), 1, "Gemma, which is made by itself: {said}");
    // What is there is not fetched again.
    let said = says(there(&place), &["models", "get", "smollm2-135m"]);
    assert!(said.trim().ends_with("cache/models/smollm2-135m"), "{said}");
}

/// A sweep over models: one that was not fetched is a point that fails, and the other is checked.
#[test]
fn a_model_that_is_not_there_stops_no_other_point() {
    let place = tempfile::tempdir().unwrap();
    says(there(&place), &["init", "example"]);
    cache(&place);
    fs::remove_file(place.path().join("cache/models/smollm2-135m")).unwrap();
    let tiny = root().join("scripts/goldens/tiny");
    let config = place.path().join("example/experiment.toml");
    let text = fs::read_to_string(&config).unwrap();
    let sweep = format!("\n[sweep]\n\"model.path\" = [\"smollm2-135m\", {tiny:?}]\n");
    fs::write(&config, text + &sweep).unwrap();
    let mut inside = there(&place);
    inside.current_dir(place.path().join("example"));
    let assert = inside.args(["check", "experiment.toml"]).assert().code(2);
    let said = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    assert!(said.contains("goldens/tiny") && said.contains("20 pairs"), "{said}");
    let wrong = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(wrong.contains("not fetched yet"), "{wrong}");
}

#[cfg(feature = "torch")]
#[test]
fn an_example_runs() {
    let place = tempfile::tempdir().unwrap();
    says(there(&place), &["init", "example"]);
    cache(&place);
    let mut inside = there(&place);
    inside.current_dir(place.path().join("example"));
    let said = says(inside, &["run", "experiment.toml", "--limit", "1", "--tables", "table4"]);
    assert!(said.contains("MENT") && said.contains("results/experiment"), "{said}");
    let manifest =
        fs::read_to_string(place.path().join("example/results/experiment/manifest.json"));
    assert!(manifest.unwrap().contains("\"model\": \"smollm2-135m\""), "a name finds it elsewhere");
}

#[cfg(feature = "torch")]
#[test]
fn an_id_is_found_in_the_cache_of_the_hub() {
    let place = tempfile::tempdir().unwrap();
    let prompt = ["--ids", "1,2,3", "--top", "1"];
    let predict = |model: &'static str| [&["predict", "--model", model][..], &prompt].concat();
    let missing = fails(there(&place), &predict("acme/tiny"));
    let cache = place.path().join("hf/hub").display().to_string();
    assert!(missing.contains(&cache) && missing.contains("hf download acme/tiny"), "{missing}");
    let repository = place.path().join("hf/hub/models--acme--tiny");
    link(&root().join("scripts/goldens/tiny"), &repository.join("snapshots/0123abc"));
    fs::create_dir_all(repository.join("refs")).unwrap();
    fs::write(repository.join("refs/main"), "0123abc").unwrap();
    says(there(&place), &predict("acme/tiny"));
    let mut offline = there(&place);
    offline.env("HF_HUB_OFFLINE", "1");
    let missing = fails(offline, &predict("acme/other"));
    assert!(missing.contains("HF_HUB_OFFLINE=1 forbids"), "{missing}");
}
