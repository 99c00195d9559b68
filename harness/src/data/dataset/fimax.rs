//! FIMAX (section III-C-1): queries and the sequence of Python APIs that answers them.
//!
//! The format here is this project's own: `fimax-retrieval.csv` and `fimax-inference.csv`, CSV with
//! the header `query,apis`, where `apis` is one or more API names, each a dotted identifier such as
//! `numpy.linalg.norm`, separated by white space. The output is the names joined by single spaces.

use std::path::Path;

use anyhow::Result;

use super::source::{Layout, Source};
use super::{Dataset, DatasetName, Pair};

const FILES: Layout = Layout {
    folders: &["", "fimax"],
    advice: "the format is CSV with the header `query,apis`, a query and its space-separated API \
             names a row",
};

/// Reads FIMAX from a folder.
pub(super) fn load(name: DatasetName, from: &Path) -> Result<Dataset> {
    let (retrieval, first) = FILES.load(from, "fimax-retrieval.csv", parse)?;
    let (inference, second) = FILES.load(from, "fimax-inference.csv", parse)?;
    Ok(Dataset {
        name,
        retrieval,
        inference,
        beside: Vec::new(),
        files: vec![first, second],
        deviations: Vec::new(),
    })
}

fn parse(source: &Source) -> Result<Vec<Pair>> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(source.text.as_bytes());
    let header = reader.headers()?;
    if !header.iter().map(str::trim).eq(["query", "apis"]) {
        let found = header.iter().collect::<Vec<_>>().join(",");
        return Err(source.error_at_line(
            1,
            format_args!("the header must be `query,apis` and is `{found}`; add or repair it"),
        ));
    }
    let mut pairs = Vec::new();
    for record in reader.records() {
        let record = record?;
        let pair = pair(&record)
            .map_err(|problem| source.error_at_line(line_of(&record, &source.text), problem))?;
        pairs.push(pair);
    }
    Ok(pairs)
}

fn pair(record: &csv::StringRecord) -> Result<Pair, String> {
    if record.len() != 2 {
        return Err(format!(
            "expected 2 fields, found {}; quote a field that holds a comma",
            record.len()
        ));
    }
    let input = record[0].trim();
    let names: Vec<&str> = record[1].split_whitespace().collect();
    if input.is_empty() {
        return Err("`query` is blank; fill it in or remove the row".to_owned());
    }
    if names.is_empty() {
        return Err("`apis` is blank; fill it in or remove the row".to_owned());
    }
    match names.iter().find(|name| !is_api_name(name)) {
        Some(name) => Err(format!("`{name}` is not an API name such as `numpy.linalg.norm`")),
        None => Ok(Pair { input: input.to_owned(), output: names.join(" ") }),
    }
}

/// The 1-based line that a record starts on. The reader's own count is behind after blank lines and
/// after `\r\n`.
fn line_of(record: &csv::StringRecord, text: &str) -> usize {
    let start = record.position().map_or(0, |position| position.byte() as usize);
    let blank = text[start..].bytes().take_while(|byte| b"\r\n".contains(byte)).count();
    1 + text[..start + blank].matches('\n').count()
}

/// True if `name` is identifiers joined by dots.
fn is_api_name(name: &str) -> bool {
    name.split('.').all(|part| {
        part.chars().all(|c| c.is_alphanumeric() || c == '_')
            && part.starts_with(|c: char| c.is_alphabetic() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::super::source::{error_of, folder_of};
    use super::*;

    fn official(from: &Path) -> Result<Dataset> {
        load(DatasetName::FIMAX, from)
    }

    fn error(retrieval: impl AsRef<[u8]>) -> String {
        error_of(
            official,
            &[("fimax-retrieval.csv", retrieval.as_ref()), ("fimax-inference.csv", b"")],
        )
    }

    #[test]
    fn names_are_joined_by_single_spaces() {
        let retrieval = "\u{feff}query,apis\r\n\
            \" norm, of a \"\"vector\"\"\",  numpy.linalg.norm \t numpy.sqrt \r\n\
            first rows,DataFrame.head\r\n";
        let folder = folder_of(&[
            ("fimax/fimax-retrieval.csv", retrieval),
            ("fimax/fimax-inference.csv", "query,apis\nq,a.b_2"),
        ]);
        let dataset = official(folder.path()).unwrap();
        let pair = |input: &str, output: &str| Pair { input: input.into(), output: output.into() };
        assert_eq!(
            dataset.retrieval,
            [
                pair("norm, of a \"vector\"", "numpy.linalg.norm numpy.sqrt"),
                pair("first rows", "DataFrame.head")
            ]
        );
        assert_eq!(dataset.inference, [pair("q", "a.b_2")]);
    }

    #[test]
    fn api_names_are_dotted_identifiers() {
        for name in ["numpy.array", "len", "_a.__b__", "tf.nn.conv2d"] {
            assert!(is_api_name(name), "{name}");
        }
        for name in ["", ".", "a.", ".a", "a..b", "2d.a", "a.2d", "a()", "a-b", "a,b"] {
            assert!(!is_api_name(name), "{name}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        insta::assert_snapshot!(error_of(official, &[("other.csv", "")]), @"
        fimax-retrieval.csv is missing; looked in
          DIR
          DIR/fimax
        the format is CSV with the header `query,apis`, a query and its space-separated API names a row
        ");
        insta::assert_snapshot!(error(""), @"DIR/fimax-retrieval.csv, line 1: the header must be `query,apis` and is ``; add or repair it");
        insta::assert_snapshot!(error("q,a.b\n"), @"DIR/fimax-retrieval.csv, line 1: the header must be `query,apis` and is `q,a.b`; add or repair it");
        insta::assert_snapshot!(error("query,apis\n"), @"DIR/fimax-retrieval.csv: contains no pair; the format is CSV with the header `query,apis`, a query and its space-separated API names a row");
        insta::assert_snapshot!(error("query,apis\nq,a.b\nq, with comma,a.b\n"), @"DIR/fimax-retrieval.csv, line 3: expected 2 fields, found 3; quote a field that holds a comma");
        insta::assert_snapshot!(error("query,apis\r\n\"q\r\nr\",a.b\r\n\r\n\r\nq\r\n"), @"DIR/fimax-retrieval.csv, line 6: expected 2 fields, found 1; quote a field that holds a comma");
        insta::assert_snapshot!(error("query,apis\n\n\n ,a.b\n"), @"DIR/fimax-retrieval.csv, line 4: `query` is blank; fill it in or remove the row");
        insta::assert_snapshot!(error("query,apis\nq, \n"), @"DIR/fimax-retrieval.csv, line 2: `apis` is blank; fill it in or remove the row");
        insta::assert_snapshot!(error("query,apis\nq,a.b c()\n"), @"DIR/fimax-retrieval.csv, line 2: `c()` is not an API name such as `numpy.linalg.norm`");
        insta::assert_snapshot!(error(b"query,apis\nq,a.b\n\xe9,a.b\n"), @"DIR/fimax-retrieval.csv, line 3: not UTF-8; convert the file to UTF-8");
        insta::assert_snapshot!(error("query,apis\nq,a.b\n"), @"DIR/fimax-inference.csv, line 1: the header must be `query,apis` and is ``; add or repair it");
    }
}
