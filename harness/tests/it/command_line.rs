//! Help texts and commands that need no model.

use crate::support::{files_below, ment, root};

fn stdout(arguments: &[&str]) -> String {
    let assert = ment().args(arguments).assert().success();
    String::from_utf8_lossy(&assert.get_output().stdout).into_owned()
}

#[test]
fn help() {
    insta::assert_snapshot!("help", stdout(&["--help"]));
}

/// Threads that wait do not spin, unless the user wants them to: the policy is in the environment before
/// libtorch is loaded.
#[cfg(all(feature = "torch", target_os = "linux"))]
#[test]
fn threads_wait_passively_unless_the_user_says_otherwise() {
    let policy = |set: &[(&str, &str)]| {
        let mut command = ment();
        command.env_remove("OMP_WAIT_POLICY").env_remove("GOMP_SPINCOUNT");
        command.env("OMP_DISPLAY_ENV", "verbose").envs(set.iter().copied()).arg("--version");
        let assert = command.assert().success().stdout("ment 0.1.0\n");
        String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
    };
    let said = policy(&[]);
    assert!(said.contains("OMP_WAIT_POLICY = 'PASSIVE'"), "{said}");
    assert_eq!(said.matches("OMP_WAIT_POLICY = ").count(), 1, "libtorch is loaded once: {said}");
    assert!(policy(&[("OMP_WAIT_POLICY", "active")]).contains("OMP_WAIT_POLICY = 'ACTIVE'"));
    assert!(policy(&[("GOMP_SPINCOUNT", "1234")]).contains("GOMP_SPINCOUNT = '1234'"));
}

#[test]
fn help_of_run() {
    insta::assert_snapshot!("help_of_run", stdout(&["run", "--help"]));
}

#[test]
fn help_of_check_and_show() {
    insta::assert_snapshot!("help_of_check", stdout(&["check", "--help"]));
    insta::assert_snapshot!("help_of_show", stdout(&["show", "--help"]));
}

#[test]
fn help_of_predict() {
    insta::assert_snapshot!("help_of_predict", stdout(&["predict", "--help"]));
}

#[test]
fn help_of_patch_apply_generate_and_study() {
    for command in ["patch", "apply", "generate", "study"] {
        insta::assert_snapshot!(format!("help_of_{command}"), stdout(&[command, "--help"]));
    }
}

#[test]
fn help_of_bench() {
    insta::assert_snapshot!("help_of_bench", stdout(&["bench", "--help"]));
}

#[test]
fn shards_that_make_no_sense_are_refused() {
    for shard in ["0/2", "3/2", "half"] {
        let assert = ment().args(["run", "c.toml", "--shard", shard]).assert().code(2);
        let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        assert!(stderr.contains("is not I/N with 1 ≤ I ≤ N"), "{stderr}");
    }
}

#[test]
fn a_run_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let assert = ment().current_dir(folder.path()).args(["report", "nothing"]).assert().code(2);
    insta::assert_snapshot!(String::from_utf8_lossy(&assert.get_output().stderr));
}

/// The committed runs give the committed tables and figures, to the letter, from their records alone.
#[test]
fn the_published_runs_give_the_published_tables() {
    let mut compared = 0;
    for run in std::fs::read_dir(root().join("results/published")).unwrap() {
        let published = run.unwrap().path();
        let Ok(records) = ment::records::store::record_files(&published) else { continue };
        let folder = tempfile::tempdir().unwrap();
        for file in records.into_iter().chain([published.join("manifest.json")]) {
            std::fs::copy(&file, folder.path().join(file.file_name().unwrap())).unwrap();
        }
        ment().arg("report").arg(folder.path()).assert().success();
        for name in files_below(folder.path()) {
            let ours = std::fs::read(folder.path().join(&name)).unwrap();
            let theirs = std::fs::read(published.join(&name)).unwrap_or_default();
            let name = published.join(name);
            let picture = name.extension().is_some_and(|kind| kind == "png" || kind == "svg");
            let large = picture || name.ends_with(ment::report::page::NAME);
            if large && !name.exists() {
                continue; // committed for some runs only
            }
            assert!(ours == theirs, "{} is not what `ment report` writes", name.display());
            compared += 1;
        }
    }
    assert!(compared > 30);
}

/// So do the committed studies.
#[test]
fn the_published_studies_give_the_published_pages() {
    let mut compared = 0;
    for study in std::fs::read_dir(root().join("results/published")).unwrap() {
        let published = study.unwrap().path();
        if !ment::records::store::journal::is_study(&published) {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        for file in ["study.json", "steps.jsonl"] {
            std::fs::copy(published.join(file), folder.path().join(file)).unwrap();
        }
        ment().arg("report").arg(folder.path()).assert().success();
        for name in files_below(folder.path()) {
            let ours = std::fs::read(folder.path().join(&name)).unwrap();
            let theirs = std::fs::read(published.join(&name)).unwrap_or_default();
            assert!(ours == theirs, "{name:?} of {published:?} is not what `ment report` writes");
            compared += 1;
        }
    }
    assert!(compared > 20);
}

/// What the committed records say of each other holds, too.
#[test]
fn the_published_runs_hold() {
    for run in std::fs::read_dir(root().join("results/published")).unwrap() {
        let published = run.unwrap().path();
        if ment::records::store::record_files(&published).is_ok() {
            ment().arg("verify").arg(&published).assert().success();
        }
    }
}

#[cfg(not(feature = "torch"))]
#[test]
fn without_libtorch_no_model_runs() {
    let assert = ment()
        .current_dir(root())
        .args(["run", "configs/patching.toml", "--out", "nowhere"])
        .assert()
        .code(2);
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(stderr.contains("built without the feature `torch`"), "{stderr}");
}

/// Every committed config is one.
#[test]
fn committed_configs_are_well_formed() {
    let mut found = 0;
    for folder in ["configs", "configs/sweeps"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && !path.ends_with("published.toml") {
                ment::config::Config::read(&path).unwrap();
                found += 1;
            }
        }
    }
    assert!(found >= 4);
    for entry in std::fs::read_dir(root().join("configs/studies")).unwrap() {
        ment::experiment::study::StudyConfig::read(&entry.unwrap().path(), &[]).unwrap();
    }
    let assert = ment()
        .current_dir(root())
        .args(["check", "configs/studies/case-study.toml"])
        .assert()
        .code(2);
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(stderr.contains("this is a study; `ment study` runs it"), "{stderr}");
}
