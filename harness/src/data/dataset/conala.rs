//! CoNaLa (section III-C-2): intents and the Python that answers them.
//!
//! `conala-train.json` is the retrieval division and `conala-test.json` the inference division,
//! each a JSON array of objects `{intent, rewritten_intent, snippet, question_id}`. The input is
//! `rewritten_intent` where it is present, not blank and not the text `None` (which some copies have
//! for `null`), else `intent`; the output is `snippet`. Other fields are ignored.

use std::path::Path;

use anyhow::Result;
use serde::Deserialize;

use super::source::{Layout, Source};
use super::{Dataset, DatasetName, Pair};

const FILES: Layout = Layout {
    folders: &["", "conala", "conala-corpus"],
    advice: "unpack http://www.phontron.com/download/conala-corpus-v1.1.zip and pass its folder \
             with --from",
};

/// Reads CoNaLa from a folder.
pub(super) fn load(name: DatasetName, from: &Path) -> Result<Dataset> {
    let (retrieval, train) = FILES.load(from, "conala-train.json", parse)?;
    let (inference, test) = FILES.load(from, "conala-test.json", parse)?;
    Ok(Dataset {
        name,
        retrieval,
        inference,
        beside: Vec::new(),
        files: vec![train, test],
        deviations: Vec::new(),
    })
}

#[derive(Deserialize)]
#[serde(expecting = "an object with `intent` and `snippet`")]
struct ConalaEntry {
    intent: String,
    rewritten_intent: Option<String>,
    snippet: String,
}

fn parse(source: &Source) -> Result<Vec<Pair>> {
    source
        .json_array()?
        .into_iter()
        .zip(1..)
        .map(|(entry, number)| pair(entry).map_err(|problem| error(source, number, &problem)))
        .collect()
}

fn pair(entry: serde_json::Value) -> Result<Pair, String> {
    let entry: ConalaEntry = serde_json::from_value(entry).map_err(|error| error.to_string())?;
    let rewritten = entry.rewritten_intent.filter(|intent| !matches!(intent.trim(), "" | "None"));
    let input = rewritten.unwrap_or(entry.intent).trim().to_owned();
    let output = entry.snippet.trim().to_owned();
    match (input.is_empty(), output.is_empty()) {
        (true, _) => Err("both intents are blank".to_owned()),
        (_, true) => Err("`snippet` is blank".to_owned()),
        _ => Ok(Pair { input, output }),
    }
}

fn error(source: &Source, number: usize, problem: &str) -> anyhow::Error {
    source.error_at(
        format_args!("entry {number}"),
        format_args!("{problem}; repair or remove the entry"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::source::{error_of, folder_of};
    use super::*;

    fn official(from: &Path) -> Result<Dataset> {
        load(DatasetName::CONALA, from)
    }

    const TEST: &str = r#"[{"intent": "i", "snippet": "s"}]"#;

    fn error(train: impl AsRef<[u8]>) -> String {
        error_of(official, &[("conala-train.json", train.as_ref()), ("conala-test.json", b"[]")])
    }

    #[test]
    fn rewritten_intent_else_intent() {
        let train = "\u{feff}[\r\n\
            {\"intent\": \"a\", \"rewritten_intent\": \" b \", \"snippet\": \" x\\n\"},\r\n\
            {\"intent\": \"a\", \"rewritten_intent\": null, \"snippet\": \"x\", \"parent\": 1},\r\n\
            {\"intent\": \"a\", \"rewritten_intent\": \" \", \"snippet\": \"x\"},\r\n\
            {\"intent\": \"a\", \"rewritten_intent\": \"None\", \"snippet\": \"x\"},\r\n\
            {\"intent\": \"a\", \"snippet\": \"x\\n  y\", \"question_id\": 7}]\r\n";
        let folder = folder_of(&[
            ("conala-corpus/conala-train.json", train),
            ("conala-corpus/conala-test.json", TEST),
        ]);
        let dataset = official(folder.path()).unwrap();
        let pair = |input: &str, output: &str| Pair { input: input.into(), output: output.into() };
        assert_eq!(
            dataset.retrieval,
            [pair("b", "x"), pair("a", "x"), pair("a", "x"), pair("a", "x"), pair("a", "x\n  y")]
        );
        assert_eq!(dataset.inference, [pair("i", "s")]);
        assert_eq!(dataset.files[0].name, "conala-train.json");
        assert_eq!(dataset.files.iter().map(|file| file.pairs).collect::<Vec<_>>(), [5, 1]);
        assert_eq!(dataset.deviations, [""; 0]);
    }

    #[test]
    fn mistakes_are_named() {
        insta::assert_snapshot!(error_of(official, &[("conala-train.json", TEST)]), @"
        conala-test.json is missing; looked in
          DIR
          DIR/conala
          DIR/conala-corpus
        unpack http://www.phontron.com/download/conala-corpus-v1.1.zip and pass its folder with --from
        ");
        insta::assert_snapshot!(error("[\n{\"intent\": \"i\", \"snip"), @"DIR/conala-train.json, line 2, column 21: the JSON ends too early; the file is cut off, fetch it again");
        insta::assert_snapshot!(error("[\n{\"intent\": \"i\",, }]"), @"DIR/conala-train.json, line 2, column 16: not valid JSON; repair the file or fetch it again");
        insta::assert_snapshot!(error("{\"intent\": \"i\"}"), @"DIR/conala-train.json, line 1, column 1: not a JSON array of entries");
        insta::assert_snapshot!(error(b"[\n{\"intent\": \"\xff\"}]"), @"DIR/conala-train.json, line 2: not UTF-8; convert the file to UTF-8");
        insta::assert_snapshot!(error(r#"[{"intent": "i", "snippet": "s"}, {"intent": "i"}]"#), @"DIR/conala-train.json, entry 2: missing field `snippet`; repair or remove the entry");
        insta::assert_snapshot!(error(r#"[{"intent": 3, "snippet": "s"}]"#), @"DIR/conala-train.json, entry 1: invalid type: integer `3`, expected a string; repair or remove the entry");
        insta::assert_snapshot!(error(r#"[3]"#), @"DIR/conala-train.json, entry 1: invalid type: integer `3`, expected an object with `intent` and `snippet`; repair or remove the entry");
        insta::assert_snapshot!(error(r#"[{"intent": " ", "snippet": "s"}]"#), @"DIR/conala-train.json, entry 1: both intents are blank; repair or remove the entry");
        insta::assert_snapshot!(error(r#"[{"intent": "i", "snippet": "\n"}]"#), @"DIR/conala-train.json, entry 1: `snippet` is blank; repair or remove the entry");
        insta::assert_snapshot!(error(TEST), @"DIR/conala-test.json: contains no pair; unpack http://www.phontron.com/download/conala-corpus-v1.1.zip and pass its folder with --from");
        insta::assert_snapshot!(error(""), @"DIR/conala-train.json, line 1, column 1: the JSON ends too early; the file is cut off, fetch it again");
    }
}
