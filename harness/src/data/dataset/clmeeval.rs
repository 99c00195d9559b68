//! CoNaLa-Edit and CodeSearchNet-Edit of CLMEEval (Li et al. 2024): pairs with a rewritten input (related)
//! and neighbouring inputs (unrelated).
//!
//! A file is a JSON array of objects `{case_id, edit_request, neighborhoods}`. Of the first set,
//! `edit_request` has `intent`, `rewritten_intent` and `snippet`, and each of `neighborhoods.items` an
//! `intent`; of the second, `code`, `code_rewrite` and `code_doc`, and each item its `code`. The answers of
//! models beside the items are not read. `train.json` and `test.json` are the divisions where they are there,
//! else `all.json` is divided (`divide.rs`).

use super::divide::{DEVIATION, is_inference};
use super::source::{Layout, Source};
use super::{Beside, Dataset, DatasetName, Pair, SidePrompt, SourceFile};
use anyhow::Result;
use serde_json::Value;
use std::path::Path;

/// Files of a set, and the names of its texts.
struct Set {
    files: Layout,
    input: &'static str,
    rewritten: &'static str,
    output: &'static str,
}

const ADVICE: &str =
    "get the archive at https://doi.org/10.5281/zenodo.12818365 and pass its folder with --from";

const CONALA_EDIT: Set = Set {
    files: Layout { folders: &["", "EditConala", "data/EditConala"], advice: ADVICE },
    input: "intent",
    rewritten: "rewritten_intent",
    output: "snippet",
};

const CODESEARCHNET_EDIT: Set = Set {
    files: Layout { folders: &["", "EditCodeSearchNet", "data/EditCodeSearchNet"], advice: ADVICE },
    input: "code",
    rewritten: "code_rewrite",
    output: "code_doc",
};

/// Reads CoNaLa-Edit from a folder.
pub(super) fn conala_edit(name: DatasetName, from: &Path) -> Result<Dataset> {
    CONALA_EDIT.load(name, from)
}

/// Reads CodeSearchNet-Edit from a folder.
pub(super) fn codesearchnet_edit(name: DatasetName, from: &Path) -> Result<Dataset> {
    CODESEARCHNET_EDIT.load(name, from)
}

/// An entry of a file.
type Entry = (Pair, Beside);

impl Set {
    fn load(&self, name: DatasetName, from: &Path) -> Result<Dataset> {
        let is_divided = self.files.find(from, "test.json").is_some();
        let wanted: &[&str] = if is_divided { &["train.json", "test.json"] } else { &["all.json"] };
        let mut dataset = Dataset {
            name,
            retrieval: Vec::new(),
            inference: Vec::new(),
            beside: Vec::new(),
            files: Vec::new(),
            deviations: Vec::new(),
        };
        if !is_divided {
            dataset.deviations.push(DEVIATION.into());
        }
        for &file in wanted {
            let path = self.files.find(from, file).ok_or_else(|| self.files.missing(from, file))?;
            let (source, sha256) = Source::read(path)?;
            let entries = self.entries(&source)?;
            dataset.files.push(SourceFile { name: file.into(), sha256, pairs: entries.len() });
            for (pair, beside) in entries {
                let inference =
                    if is_divided { file == "test.json" } else { is_inference(&pair.input) };
                if inference {
                    dataset.inference.push(pair);
                    dataset.beside.push(beside);
                } else {
                    dataset.retrieval.push(pair);
                }
            }
        }
        Ok(dataset)
    }

    fn entries(&self, source: &Source) -> Result<Vec<Entry>> {
        let entries = source.json_array()?.into_iter().zip(1..);
        entries
            .map(|(entry, number)| {
                self.entry(&entry).map_err(|problem| {
                    source.error_at(
                        format_args!("entry {number}"),
                        format_args!("{problem}; repair or remove the entry"),
                    )
                })
            })
            .collect()
    }

    fn entry(&self, entry: &Value) -> Result<Entry, String> {
        let request = &entry["edit_request"];
        let of_request = |key: &str| text(request, "edit_request.", key);
        let pair = Pair { input: of_request(self.input)?, output: of_request(self.output)? };
        let related = SidePrompt { input: of_request(self.rewritten)?, output: None };
        let items = entry["neighborhoods"]["items"]
            .as_array()
            .ok_or("`neighborhoods.items` is not a list")?;
        let unrelated = items.iter().map(|item| {
            let input = text(item, "neighborhoods.items[].", self.input)?;
            Ok(SidePrompt { input, output: None })
        });
        let beside = Beside {
            id: Some(&entry["case_id"]).filter(|id| !id.is_null()).map(|id| match id {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            }),
            related: vec![related],
            unrelated: unrelated.collect::<Result<_, String>>()?,
        };
        Ok((pair, beside))
    }
}

/// The text at `key` of `object`, which stands at `path`.
fn text(object: &Value, path: &str, key: &str) -> Result<String, String> {
    let found = object[key].as_str().map(str::trim);
    match found {
        Some("") => Err(format!("`{path}{key}` is blank")),
        Some(text) => Ok(text.into()),
        None => Err(format!("`{path}{key}` is missing or no text")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::{error_of, folder_of};
    use super::*;

    const ENTRY: &str = r#"{"case_id": 7, "edit_request": {"intent": "sort x", "snippet": "sorted(x)",
        "rewritten_intent": "put x in order"}, "neighborhoods": {"items": [{"intent": "sum x"},
        {"intent": "len of x"}], "answers": {"some-model": ["s", "l"]}}}"#;

    fn official(from: &Path) -> Result<Dataset> {
        conala_edit(DatasetName::CONALA_EDIT, from)
    }

    fn error(all: &str) -> String {
        error_of(official, &[("all.json", all)])
    }

    #[test]
    fn rewritten_inputs_are_related_and_neighbours_unrelated() {
        let list = format!("[{ENTRY}]");
        let folder =
            folder_of(&[("EditConala/train.json", &list), ("EditConala/test.json", &list)]);
        let dataset = official(folder.path()).unwrap();
        assert_eq!(dataset.retrieval, dataset.inference);
        let own = &dataset.beside[0];
        assert_eq!(own.id.as_deref(), Some("7"));
        assert_eq!(own.related[0].input, "put x in order");
        let unrelated: Vec<&str> = own.unrelated.iter().map(|own| own.input.as_str()).collect();
        assert_eq!(unrelated, ["sum x", "len of x"]);
        assert_eq!(dataset.deviations, [""; 0]);
    }

    #[test]
    fn one_file_is_divided() {
        let entries: Vec<String> =
            (0..60).map(|n| ENTRY.replace("sort x", &format!("sort x{n}"))).collect();
        let folder = folder_of(&[("all.json", format!("[{}]", entries.join(",")))]);
        let dataset = official(folder.path()).unwrap();
        assert_eq!(dataset.retrieval.len() + dataset.inference.len(), 60);
        assert_eq!(dataset.beside.len(), dataset.inference.len());
        assert!(!dataset.inference.is_empty());
        assert_eq!(dataset.deviations, [DEVIATION]);
    }

    #[test]
    fn functions_are_inputs_and_docstrings_outputs() {
        let entry = ENTRY
            .replace("\"rewritten_intent\"", "\"code_rewrite\"")
            .replace("\"intent\"", "\"code\"")
            .replace("\"snippet\"", "\"code_doc\"");
        let list = format!("[{entry}]");
        let folder = folder_of(&[("train.json", &list), ("test.json", &list)]);
        let dataset = codesearchnet_edit(DatasetName::CODESEARCHNET_EDIT, folder.path()).unwrap();
        assert_eq!(dataset.inference[0].output, "sorted(x)");
        assert_eq!(dataset.beside[0].unrelated.len(), 2);
    }

    #[test]
    fn mistakes_are_named() {
        let without = |text: &str, other: &str| error(&format!("[{}]", ENTRY.replace(text, other)));
        insta::assert_snapshot!(error_of(official, &[("other.json", "[]")]), @"
        all.json is missing; looked in
          DIR
          DIR/EditConala
          DIR/data/EditConala
        get the archive at https://doi.org/10.5281/zenodo.12818365 and pass its folder with --from
        ");
        insta::assert_snapshot!(error_of(official, &[("test.json", "[]")]), @"
        train.json is missing; looked in
          DIR
          DIR/EditConala
          DIR/data/EditConala
        get the archive at https://doi.org/10.5281/zenodo.12818365 and pass its folder with --from
        ");
        insta::assert_snapshot!(error("{}"), @"DIR/all.json, line 1, column 1: not a JSON array of entries");
        insta::assert_snapshot!(error("[3]"), @"DIR/all.json, entry 1: `edit_request.intent` is missing or no text; repair or remove the entry");
        insta::assert_snapshot!(without("\"snippet\"", "\"code\""), @"DIR/all.json, entry 1: `edit_request.snippet` is missing or no text; repair or remove the entry");
        insta::assert_snapshot!(without("\"sorted(x)\"", "\" \""), @"DIR/all.json, entry 1: `edit_request.snippet` is blank; repair or remove the entry");
        insta::assert_snapshot!(without("\"put x in order\"", "3"), @"DIR/all.json, entry 1: `edit_request.rewritten_intent` is missing or no text; repair or remove the entry");
        insta::assert_snapshot!(without("\"items\"", "\"item\""), @"DIR/all.json, entry 1: `neighborhoods.items` is not a list; repair or remove the entry");
        insta::assert_snapshot!(without("{\"intent\": \"sum x\"}", "\"sum x\""), @"DIR/all.json, entry 1: `neighborhoods.items[].intent` is missing or no text; repair or remove the entry");
    }
}
