//! A data set of the user's own: a folder of JSON Lines, with a card (`README.md`) for people.
//!
//! Every `*.jsonl` file of the folder is read, by name. A line is an object: `input` and `output` are texts;
//! `division` is `retrieval` or `inference`, and may be left out in files called `retrieval.jsonl` and
//! `inference.jsonl`; `id` is the line's own name, a text or a number, and no two lines share one; `related`
//! and `unrelated` are lists of prompts on which an edit made for the line is probed, each an object with
//! `input` and, if it has one, `output`. Other keys are ignored, as are blank lines.

use super::source::Source;
use super::{Beside, Dataset, DatasetName, FormatName, Pair, SidePrompt, SourceFile};
use crate::error::InputError;
use anyhow::Result;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The divisions of a data set (Table I).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum DivisionFile {
    Retrieval,
    Inference,
}

/// The name of a line, so that a copy of it is found.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(untagged, expecting = "expected a text or a whole number")]
enum Id {
    Text(String),
    Number(i64),
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.pad(text),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

/// A line, checked.
struct Line {
    pair: Pair,
    division: Option<DivisionFile>,
    id: Option<Id>,
    related: Vec<SidePrompt>,
    unrelated: Vec<SidePrompt>,
}

impl Line {
    /// Reads a line; an error names the key that is wrong.
    fn parse(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| {
            let error = error.to_string();
            error.split(" at line").next().unwrap_or_default().to_string()
        })?;
        let Value::Object(mut keys) = value else {
            return Err("it must be an object with `input` and `output`".into());
        };
        Ok(Self {
            pair: Pair {
                input: text_of(&mut keys, "input")?,
                output: text_of(&mut keys, "output")?,
            },
            division: take(&mut keys, "division")?,
            id: take(&mut keys, "id")?,
            related: side_prompts(&mut keys, "related")?,
            unrelated: side_prompts(&mut keys, "unrelated")?,
        })
    }
}

/// The value of `key`; `None` where it is missing or null.
fn take<T: DeserializeOwned>(
    keys: &mut Map<String, Value>,
    key: &str,
) -> Result<Option<T>, String> {
    let value = keys.remove(key).unwrap_or_default();
    serde_json::from_value(value).map_err(|error| format!("`{key}`: {error}"))
}

/// The text at `key`, without the spaces around it.
fn optional_text(keys: &mut Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    let text: Option<String> = take(keys, key)?;
    let text = text.map(|text| text.trim().to_string());
    if text.as_ref().is_some_and(String::is_empty) {
        return Err(format!("`{key}` is blank; fill it in or remove it"));
    }
    Ok(text)
}

fn text_of(keys: &mut Map<String, Value>, key: &str) -> Result<String, String> {
    optional_text(keys, key)?.ok_or_else(|| format!("`{key}` is missing"))
}

/// The list of prompts at `key`.
fn side_prompts(keys: &mut Map<String, Value>, key: &str) -> Result<Vec<SidePrompt>, String> {
    let Some(entries) = take::<Vec<Value>>(keys, key)? else { return Ok(Vec::new()) };
    if entries.is_empty() {
        return Err(format!("`{key}` is an empty list; add a prompt or leave the key out"));
    }
    let prompt = |entry: Value| {
        let Value::Object(mut keys) = entry else {
            return Err("it must be an object with `input`, and `output` if it has one".into());
        };
        let prompt = SidePrompt {
            input: text_of(&mut keys, "input")?,
            output: optional_text(&mut keys, "output")?,
        };
        match keys.keys().next() {
            Some(other) => Err(format!("unknown key `{other}`, expected `input` or `output`")),
            None => Ok(prompt),
        }
    };
    let entries = entries.into_iter().zip(1..);
    entries
        .map(|(entry, number)| {
            prompt(entry).map_err(|error| format!("`{key}`, entry {number}: {error}"))
        })
        .collect()
}

/// Reads the data set `name` from the folder `from`.
///
/// # Errors
/// If there is no such file, or a line is wrong.
pub(super) fn load(name: DatasetName, from: &Path) -> Result<Dataset> {
    let mut dataset = Dataset {
        name,
        retrieval: Vec::new(),
        inference: Vec::new(),
        beside: Vec::new(),
        files: Vec::new(),
        deviations: Vec::new(),
    };
    let mut ids = HashMap::new();
    for path in paths(name, from)? {
        let of_file = path.file_stem().and_then(|stem| match stem.to_str()? {
            "retrieval" => Some(DivisionFile::Retrieval),
            "inference" => Some(DivisionFile::Inference),
            _ => None,
        });
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (source, sha256) = Source::read(path)?;
        let mut pairs = 0;
        let lines = source.text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
        for (text, number) in lines {
            let wrong = |problem: String| source.error_at_line(number, problem);
            let line = Line::parse(text).map_err(wrong)?;
            let division = line.division.or(of_file).ok_or_else(|| {
                wrong(
                    "no `division`; write \"retrieval\" or \"inference\", or call the file \
                     retrieval.jsonl or inference.jsonl"
                        .into(),
                )
            })?;
            if let Some(id) = &line.id {
                let place = format!("{file}, line {number}");
                if let Some(other) = ids.insert(id.clone(), place) {
                    return Err(wrong(format!(
                        "its `id` is that of {other}; every line needs its own"
                    )));
                }
            }
            match division {
                DivisionFile::Retrieval => dataset.retrieval.push(line.pair),
                DivisionFile::Inference => {
                    dataset.inference.push(line.pair);
                    dataset.beside.push(Beside {
                        id: line.id.map(|id| id.to_string()),
                        related: line.related,
                        unrelated: line.unrelated,
                    });
                }
            }
            pairs += 1;
        }
        dataset.files.push(SourceFile { name: file, sha256, pairs });
    }
    Ok(dataset)
}

/// The files of the folder, by name.
fn paths(name: DatasetName, from: &Path) -> Result<Vec<PathBuf>> {
    let wrong = |what: String| InputError::new(format!("{}: {what}", from.display()));
    let entries = std::fs::read_dir(from).map_err(|error| wrong(error.to_string()))?;
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).collect();
    paths.sort();
    if paths.is_empty() {
        return Err(wrong(format!(
            "no *.jsonl file for the data set `{name}`; the formats are {}{}",
            FormatName::all().map(|format| format.to_string()).collect::<Vec<_>>().join(", "),
            name.nearest().map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"))
        )));
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::super::source::{error_of, folder_of};
    use super::*;

    fn own(from: &Path) -> Result<Dataset> {
        "own".parse::<DatasetName>().unwrap().load(None, from)
    }

    #[test]
    fn divisions_come_from_lines_or_from_names_of_files() {
        let folder = folder_of(&[
            ("README.md", "# A card"),
            ("inference.jsonl", "{\"input\": \" i \", \"output\": \"o\\n\", \"id\": 1}\n"),
            (
                "more.jsonl",
                "\u{feff}{\"input\": \"a\", \"output\": \"b\", \"division\": \"retrieval\", \"id\": \"1\"}\n\
                 \n{\"output\": \"d\", \"input\": \"c\", \"division\": \"inference\", \"source\": 3}\n",
            ),
        ]);
        let dataset = own(folder.path()).unwrap();
        let pair = |input: &str, output: &str| Pair { input: input.into(), output: output.into() };
        assert_eq!(dataset.retrieval, [pair("a", "b")]);
        assert_eq!(dataset.inference, [pair("i", "o"), pair("c", "d")]);
        assert_eq!(dataset.files.iter().map(|file| file.pairs).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(dataset.name.label(), "own");
        assert_eq!(dataset.beside[0].id.as_deref(), Some("1"));
        assert_eq!(dataset.beside[1], Beside::default());
    }

    #[test]
    fn prompts_beside_a_line() {
        let line = r#"{"input": "i", "output": "o", "related": [{"input": " r ", "output": "p"}],
            "unrelated": [{"input": "u"}, {"input": "v", "output": null}]}"#;
        let folder = folder_of(&[
            ("inference.jsonl", line.replace('\n', " ")),
            ("retrieval.jsonl", r#"{"input": "a", "output": "b", "related": null}"#.into()),
        ]);
        let prompt = |input: &str, output: Option<&str>| SidePrompt {
            input: input.into(),
            output: output.map(String::from),
        };
        let dataset = own(folder.path()).unwrap();
        assert_eq!(dataset.beside.len(), 1);
        assert_eq!(dataset.beside[0].related, [prompt("r", Some("p"))]);
        assert_eq!(dataset.beside[0].unrelated, [prompt("u", None), prompt("v", None)]);
    }

    #[test]
    fn mistakes_are_named() {
        let retrieval = r#"{"input": "a", "output": "b"}"#;
        let error = |inference: &str| {
            error_of(own, &[("retrieval.jsonl", retrieval), ("inference.jsonl", inference)])
        };
        let with = |more: &str| error(&format!(r#"{{"input": "a", "output": "b", {more}}}"#));
        insta::assert_snapshot!(error(r#"{"input": "a"}"#), @"DIR/inference.jsonl, line 1: `output` is missing");
        insta::assert_snapshot!(error("\n3"), @"DIR/inference.jsonl, line 2: it must be an object with `input` and `output`");
        insta::assert_snapshot!(error(r#"{"input": "a", "#), @"DIR/inference.jsonl, line 1: EOF while parsing a value");
        insta::assert_snapshot!(error(r#"{"input": " ", "output": "b"}"#), @"DIR/inference.jsonl, line 1: `input` is blank; fill it in or remove it");
        insta::assert_snapshot!(error(r#"{"input": ["a"], "output": "b"}"#), @"DIR/inference.jsonl, line 1: `input`: invalid type: sequence, expected a string");
        insta::assert_snapshot!(error("{\"input\": \"a\", \"output\": \"b\", \"id\": 3}\n{\"input\": \"a\", \"output\": \"b\", \"id\": 3}"), @"DIR/inference.jsonl, line 2: its `id` is that of inference.jsonl, line 1; every line needs its own");
        insta::assert_snapshot!(with(r#""id": [3]"#), @"DIR/inference.jsonl, line 1: `id`: expected a text or a whole number");
        insta::assert_snapshot!(with(r#""division": "test""#), @"DIR/inference.jsonl, line 1: `division`: unknown variant `test`, expected `retrieval` or `inference`");
        insta::assert_snapshot!(with(r#""related": "c""#), @"DIR/inference.jsonl, line 1: `related`: invalid type: string \"c\", expected a sequence");
        insta::assert_snapshot!(with(r#""related": []"#), @"DIR/inference.jsonl, line 1: `related` is an empty list; add a prompt or leave the key out");
        insta::assert_snapshot!(with(r#""unrelated": []"#), @"DIR/inference.jsonl, line 1: `unrelated` is an empty list; add a prompt or leave the key out");
        insta::assert_snapshot!(with(r#""related": [{"input": "c"}, {"output": "d"}]"#), @"DIR/inference.jsonl, line 1: `related`, entry 2: `input` is missing");
        insta::assert_snapshot!(with(r#""related": ["c"]"#), @"DIR/inference.jsonl, line 1: `related`, entry 1: it must be an object with `input`, and `output` if it has one");
        insta::assert_snapshot!(with(r#""unrelated": [{"input": 3}]"#), @"DIR/inference.jsonl, line 1: `unrelated`, entry 1: `input`: invalid type: integer `3`, expected a string");
        insta::assert_snapshot!(with(r#""unrelated": [{"input": "c", "output": " "}]"#), @"DIR/inference.jsonl, line 1: `unrelated`, entry 1: `output` is blank; fill it in or remove it");
        insta::assert_snapshot!(with(r#""unrelated": [{"input": "c", "ouput": "d"}]"#), @"DIR/inference.jsonl, line 1: `unrelated`, entry 1: unknown key `ouput`, expected `input` or `output`");
        insta::assert_snapshot!(error(""), @"DIR: no line of the inference division; demonstrations come from the retrieval division, and the inference division is prompted");
        insta::assert_snapshot!(error_of(own, &[("data.jsonl", retrieval)]), @"DIR/data.jsonl, line 1: no `division`; write \"retrieval\" or \"inference\", or call the file retrieval.jsonl or inference.jsonl");
        insta::assert_snapshot!(error_of(own, &[("data.json", "[]")]), @"DIR: no *.jsonl file for the data set `own`; the formats are jsonl, fimax, conala, spoc, conala-edit, codesearchnet-edit, code-update-arena, nl2bash");
        let mistyped = |from: &Path| "conalla".parse::<DatasetName>().unwrap().load(None, from);
        insta::assert_snapshot!(error_of(mistyped, &[("data.json", "[]")]), @"DIR: no *.jsonl file for the data set `conalla`; the formats are jsonl, fimax, conala, spoc, conala-edit, codesearchnet-edit, code-update-arena, nl2bash (did you mean `conala`?)");
    }
}
