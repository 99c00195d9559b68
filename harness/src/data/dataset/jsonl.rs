//! A data set of the user's own: a folder of JSON Lines, with a card (`README.md`) for people.
//!
//! Every `*.jsonl` file of the folder is read, by name. A line is an object: `input` and `output` are texts;
//! `division` is `retrieval` or `inference`, and may be left out in files called `retrieval.jsonl` and
//! `inference.jsonl`; `id` is the line's own name, a text or a number, and no two lines share one. Other
//! keys are ignored, as are blank lines.

use super::source::Source;
use super::{Dataset, DatasetName, Pair, SourceFile};
use crate::error::InputError;
use anyhow::Result;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The divisions of a data set (Table I).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum DivisionFile {
    Retrieval,
    Inference,
}

#[derive(Deserialize)]
#[serde(expecting = "an object with `input` and `output`")]
struct Line {
    input: String,
    output: String,
    division: Option<DivisionFile>,
    id: Option<Id>,
}

/// The name of a line, so that a copy of it is found.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(untagged, expecting = "a text or a whole number")]
enum Id {
    Text(String),
    Number(i64),
}

/// Reads the data set `name` from the folder `from`.
///
/// # Errors
/// If there is no such file, a line is wrong, or a division is empty.
pub(super) fn load(name: DatasetName, from: &Path) -> Result<Dataset> {
    let mut dataset = Dataset {
        name,
        retrieval: Vec::new(),
        inference: Vec::new(),
        files: Vec::new(),
        deviations: vec!["a data set that the paper does not have".into()],
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
            let line: Line = serde_json::from_str(text).map_err(|error| {
                let error = error.to_string();
                wrong(error.split(" at line").next().unwrap_or_default().to_string())
            })?;
            let division = line.division.or(of_file).ok_or_else(|| {
                wrong(
                    "no `division`; write \"retrieval\" or \"inference\", or call the file \
                     retrieval.jsonl or inference.jsonl"
                        .into(),
                )
            })?;
            if let Some(id) = line.id {
                let place = format!("{file}, line {number}");
                if let Some(other) = ids.insert(id, place) {
                    return Err(wrong(format!(
                        "its `id` is that of {other}; every line needs its own"
                    )));
                }
            }
            let pair = Pair { input: line.input.trim().into(), output: line.output.trim().into() };
            if pair.input.is_empty() || pair.output.is_empty() {
                return Err(wrong(
                    "`input` or `output` is blank; repair or remove the line".into(),
                ));
            }
            match division {
                DivisionFile::Retrieval => dataset.retrieval.push(pair),
                DivisionFile::Inference => dataset.inference.push(pair),
            }
            pairs += 1;
        }
        dataset.files.push(SourceFile { name: file, sha256, pairs });
    }
    for (division, pairs) in [("retrieval", &dataset.retrieval), ("inference", &dataset.inference)]
    {
        if pairs.is_empty() {
            return Err(InputError::new(format!(
                "{}: no line of the {division} division; demonstrations come from the retrieval \
                 division, and the inference division is prompted",
                from.display()
            )));
        }
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
            "no *.jsonl file for the data set `{name}`; the data sets with a format of their own are \
             {}{}",
            DatasetName::registered().map(DatasetName::as_str).collect::<Vec<_>>().join(", "),
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
        "own".parse::<DatasetName>().unwrap().load(from)
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
    }

    #[test]
    fn mistakes_are_named() {
        let retrieval = "{\"input\": \"a\", \"output\": \"b\"}";
        let error = |inference: &str| {
            error_of(own, &[("retrieval.jsonl", retrieval), ("inference.jsonl", inference)])
        };
        insta::assert_snapshot!(error("{\"input\": \"a\"}"), @"DIR/inference.jsonl, line 1: missing field `output`");
        insta::assert_snapshot!(error("\n3"), @"DIR/inference.jsonl, line 2: invalid type: integer `3`, expected an object with `input` and `output`");
        insta::assert_snapshot!(error("{\"input\": \"a\", "), @"DIR/inference.jsonl, line 1: EOF while parsing a value");
        insta::assert_snapshot!(error("{\"input\": \" \", \"output\": \"b\"}"), @"DIR/inference.jsonl, line 1: `input` or `output` is blank; repair or remove the line");
        insta::assert_snapshot!(error("{\"input\": \"a\", \"output\": \"b\", \"id\": 3}\n{\"input\": \"a\", \"output\": \"b\", \"id\": 3}"), @"DIR/inference.jsonl, line 2: its `id` is that of inference.jsonl, line 1; every line needs its own");
        insta::assert_snapshot!(error("{\"input\": \"a\", \"output\": \"b\", \"division\": \"test\"}"), @"DIR/inference.jsonl, line 1: unknown variant `test`, expected `retrieval` or `inference`");
        insta::assert_snapshot!(error(""), @"DIR: no line of the inference division; demonstrations \
         come from the retrieval division, and the inference division is prompted");
        insta::assert_snapshot!(error_of(own, &[("data.jsonl", retrieval)]), @"DIR/data.jsonl, line 1: no `division`; write \"retrieval\" or \"inference\", or call the file retrieval.jsonl or inference.jsonl");
        insta::assert_snapshot!(error_of(own, &[("data.json", "[]")]), @"DIR: no *.jsonl file for the data set `own`; the data sets with a format of their own are fimax, conala, spoc");
        let mistyped = |from: &Path| "conalla".parse::<DatasetName>().unwrap().load(from);
        insta::assert_snapshot!(error_of(mistyped, &[("data.json", "[]")]), @"DIR: no *.jsonl file for the data set `conalla`; the data sets with a format of their own are fimax, conala, spoc (did you mean `conala`?)");
    }
}
