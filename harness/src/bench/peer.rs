//! The Python peer: a process that answers one JSON line for one JSON line.

use crate::error::InputError;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running peer with its model; stopped when dropped.
pub(super) struct Peer {
    process: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Versions of the packages that the peer uses.
    pub(super) versions: String,
}

const SCRIPT: &str = "scripts/peer/peer.py";

impl Peer {
    /// Starts the peer on the model in `folder`.
    pub(super) fn start(python: &Path, folder: &Path, threads: usize) -> Result<Self> {
        let mut command = Command::new(python);
        if std::env::var_os("MENT_WAIT_POLICY").is_some() {
            command.env_remove("OMP_WAIT_POLICY"); // this program's own choice, and not the peer's
        }
        let mut process = command
            .arg(SCRIPT)
            .arg(folder)
            .args(["--threads", &threads.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| {
                InputError::new(format!(
                    "{}: cannot be started ({error}); `just bench` sets the peer up",
                    python.display()
                ))
            })?;
        let requests = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().expect("stdout is piped"));
        let mut peer = Self { process, requests, answers, versions: String::new() };
        let ready = peer.answer()?;
        let version = |name| ready[name].as_str().unwrap_or("unknown").to_string();
        peer.versions =
            format!("transformers {}, torch {}", version("transformers"), version("torch"));
        Ok(peer)
    }

    /// Runs one task; in the answer, `seconds` is the wall time of the work.
    pub(super) fn ask(&mut self, task: &str, mut request: Value) -> Result<Value> {
        request["task"] = json!(task);
        let requests = self.requests.as_mut().expect("open while the peer lives");
        writeln!(requests, "{request}").context("the peer has gone")?;
        requests.flush().context("the peer has gone")?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line).context("the peer has gone")?;
        if read == 0 {
            bail!("the peer stopped: run `{SCRIPT}` by hand to see why");
        }
        let answer: Value = serde_json::from_str(&line).context("the peer's answer")?;
        if let Some(error) = answer["error"].as_str() {
            bail!("the peer: {error}");
        }
        Ok(answer)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.requests.take()); // the end of its input ends the peer
        let _ = self.process.wait();
    }
}
