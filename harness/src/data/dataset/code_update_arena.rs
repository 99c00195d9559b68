//! CodeUpdateArena (Liu et al. 2024): programs that need an update of a library function.
//!
//! `arena-ungrouped.jsonl` has an object a line: `specific_update_id` names the update, `prog_syn_id` the
//! program, and `prog_syn` has the `problem`, the `solution_signature` and the `ref_solution`. The input is problem and
//! signature, without a word on the update; the output is the solution. The other programs of an update are
//! related to it. All programs of an update are in one division (`divide.rs`).

use super::divide::is_inference;
use super::source::{Layout, Source};
use super::{Beside, Dataset, DatasetName, Pair, SidePrompt};
use anyhow::Result;
use serde::Deserialize;
use std::path::Path;

const FILES: Layout = Layout {
    folders: &["", "data", "CodeUpdateArena/data"],
    advice: "clone https://github.com/leo-liuzy/CodeUpdateArena and pass its folder with --from",
};

const FILE: &str = "arena-ungrouped.jsonl";

const DEVIATION: &str = "no official division: one update in ten is of the inference division with all its \
                         programs, chosen by the SHA-256 of its name";

#[derive(Deserialize)]
#[serde(expecting = "an object with `specific_update_id`, `prog_syn_id` and `prog_syn`")]
struct ArenaLine {
    specific_update_id: String,
    prog_syn_id: String,
    prog_syn: Program,
}

#[derive(Deserialize)]
#[serde(expecting = "an object with `problem`, `solution_signature` and `ref_solution`")]
struct Program {
    problem: String,
    solution_signature: String,
    ref_solution: String,
}

impl Program {
    fn pair(&self) -> Result<Pair, &'static str> {
        let [problem, signature, solution] =
            [&self.problem, &self.solution_signature, &self.ref_solution].map(|text| text.trim());
        match (problem, signature, solution) {
            ("", _, _) => Err("`prog_syn.problem` is blank"),
            (_, "", _) => Err("`prog_syn.solution_signature` is blank"),
            (_, _, "") => Err("`prog_syn.ref_solution` is blank"),
            _ => Ok(Pair { input: format!("{problem}\n{signature}"), output: solution.into() }),
        }
    }
}

/// A program, with the names of its update and its own.
struct Task {
    update: String,
    name: String,
    pair: Pair,
}

/// Reads CodeUpdateArena from a folder.
pub(super) fn load(name: DatasetName, from: &Path) -> Result<Dataset> {
    let path = FILES.find(from, FILE).ok_or_else(|| FILES.missing(from, FILE))?;
    let (source, sha256) = Source::read(path)?;
    let tasks = tasks(&source)?;
    let files = vec![super::SourceFile { name: FILE.into(), sha256, pairs: tasks.len() }];
    let (mut retrieval, mut inference, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    for task in &tasks {
        if !is_inference(&task.update) {
            retrieval.push(task.pair.clone());
            continue;
        }
        let others =
            tasks.iter().filter(|other| other.update == task.update && other.name != task.name);
        let related = others.map(|other| SidePrompt {
            input: other.pair.input.clone(),
            output: Some(other.pair.output.clone()),
        });
        inference.push(task.pair.clone());
        beside.push(Beside {
            id: Some(task.name.clone()),
            related: related.collect(),
            unrelated: Vec::new(),
        });
    }
    Ok(Dataset { name, retrieval, inference, beside, files, deviations: vec![DEVIATION.into()] })
}

fn tasks(source: &Source) -> Result<Vec<Task>> {
    let lines = source.text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    lines
        .map(|(line, number)| {
            let wrong = |problem: &str| {
                source.error_at_line(number, format_args!("{problem}; restore the original file"))
            };
            let line: ArenaLine = serde_json::from_str(line).map_err(|error| {
                wrong(error.to_string().split(" at line").next().unwrap_or_default())
            })?;
            let pair = line.prog_syn.pair().map_err(wrong)?;
            Ok(Task { update: line.specific_update_id, name: line.prog_syn_id, pair })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::source::{error_of, folder_of};
    use super::*;

    fn line(update: usize, program: usize) -> String {
        serde_json::json!({
            "specific_update_id": format!("math.f{update}/add-argument"),
            "prog_syn_id": format!("math.f{update}/add-argument/{program}"),
            "prog_syn": {
                "scenario": "s",
                "problem": format!("problem {update} {program}"),
                "solution_signature": "def g(x):",
                "ref_solution": "def g(x):\n    return x\n",
            },
            "package": "math",
        })
        .to_string()
    }

    fn official(from: &Path) -> Result<Dataset> {
        load(DatasetName::CODE_UPDATE_ARENA, from)
    }

    fn error(file: &str) -> String {
        error_of(official, &[(FILE, file)])
    }

    #[test]
    fn programs_of_one_update_stay_together_and_are_related() {
        let lines: Vec<String> = (0..150).map(|number| line(number / 3, number % 3)).collect();
        let folder = folder_of(&[("data/arena-ungrouped.jsonl", lines.join("\n"))]);
        let dataset = official(folder.path()).unwrap();
        assert_eq!(dataset.retrieval.len() + dataset.inference.len(), 150);
        assert!(!dataset.inference.is_empty() && dataset.inference.len().is_multiple_of(3));
        assert!(
            dataset.beside.iter().all(|own| own.related.len() == 2 && own.unrelated.is_empty())
        );
        assert!(dataset.inference[0].input.ends_with("\ndef g(x):"));
        assert_eq!(dataset.inference[0].output, "def g(x):\n    return x");
    }

    #[test]
    fn mistakes_are_named() {
        let good = line(0, 0);
        insta::assert_snapshot!(error_of(official, &[("other.jsonl", "")]), @"
        arena-ungrouped.jsonl is missing; looked in
          DIR
          DIR/data
          DIR/CodeUpdateArena/data
        clone https://github.com/leo-liuzy/CodeUpdateArena and pass its folder with --from
        ");
        insta::assert_snapshot!(error("{"), @"DIR/arena-ungrouped.jsonl, line 1: EOF while parsing an object; restore the original file");
        insta::assert_snapshot!(error(&format!("{good}\n3")), @"DIR/arena-ungrouped.jsonl, line 2: invalid type: integer `3`, expected an object with `specific_update_id`, `prog_syn_id` and `prog_syn`; restore the original file");
        insta::assert_snapshot!(error(&good.replace("\"prog_syn\"", "\"program\"")), @"DIR/arena-ungrouped.jsonl, line 1: missing field `prog_syn`; restore the original file");
        insta::assert_snapshot!(error(&good.replace("\"problem\"", "\"task\"")), @"DIR/arena-ungrouped.jsonl, line 1: missing field `problem`; restore the original file");
        insta::assert_snapshot!(error(&good.replace("\"problem 0 0\"", "\" \"")), @"DIR/arena-ungrouped.jsonl, line 1: `prog_syn.problem` is blank; restore the original file");
    }
}
