//! A throw-away bench for end-to-end tests: a folder with a config, and the real binary.

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use ment::edit::Phases;
use ment::records::Record;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub(crate) struct Bench {
    pub(crate) folder: TempDir,
}

impl Bench {
    /// With the tiny checkpoint, without demonstrations: nothing but the repository is needed.
    pub(crate) fn tiny() -> Self {
        let bench = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        bench.config(&Self::tiny_config(""));
        bench
    }

    pub(crate) fn tiny_config(more: &str) -> String {
        format!(
            "[model]\nlabel = \"tiny\"\npath = {:?}\n[retrieval]\ndemonstrations = 0\n\
             [[dataset]]\nname = \"conala\"\nfrom = {:?}\nlimit = 2\n[[ment]]\n{more}",
            crate::support::golden("tiny"),
            crate::support::root().join("benchmark/conala/sample"),
        )
    }

    pub(crate) fn config(&self, text: &str) {
        std::fs::write(self.path("config.toml"), text).expect("writable");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn ment(&self, arguments: &[&str]) -> Command {
        let mut command = crate::support::ment();
        command.current_dir(self.folder.path()).args(arguments);
        command
    }

    /// `ment run config.toml --out OUT`
    pub(crate) fn run(&self, out: &str) -> Assert {
        self.ment(&["run", "config.toml", "--out", out]).assert()
    }

    /// What the run is refused with; exit code 2 and nothing on stdout.
    pub(crate) fn refused(&self) -> String {
        let assert = self.run("out").code(2).stdout("");
        stderr(&assert, self.folder.path())
    }

    /// The records of a run, shards and all.
    pub(crate) fn all_records(&self, out: &str) -> Vec<Record> {
        ment::records::store::read(&self.path(out)).expect("a run").records
    }

    /// The records of a run, times set to zero: all that must be the same again.
    pub(crate) fn records(&self, out: &str) -> Vec<Record> {
        let text = std::fs::read_to_string(self.path(out).join("trials.jsonl")).expect("records");
        text.lines()
            .map(|line| match serde_json::from_str(line).expect("a record") {
                Record::Datum(datum) => {
                    Record::Datum(ment::records::DatumRecord { seconds: 0.0, ..datum })
                }
                Record::Trial(mut own) => {
                    own.trial.seconds = Phases::default();
                    Record::Trial(own)
                }
                prediction => prediction,
            })
            .collect()
    }
}

/// Standard error with the folders of this machine replaced.
pub(crate) fn stderr(assert: &Assert, folder: &Path) -> String {
    String::from_utf8_lossy(&assert.get_output().stderr)
        .replace(&folder.display().to_string(), "[FOLDER]")
        .replace(&crate::support::root().display().to_string(), "[ROOT]")
        .trim()
        .to_string()
}

pub(crate) fn copy(from: &Path, to: &Path) {
    for file in crate::support::files_below(from) {
        let copied = to.join(&file);
        std::fs::create_dir_all(copied.parent().expect("a folder")).expect("writable");
        std::fs::copy(from.join(file), copied).expect("copied");
    }
}
