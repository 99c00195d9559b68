//! SPoC (section III-C-3): lines of pseudocode and the C++ that they describe.
//!
//! Tab-separated files with the header `text code workerid probid subid line indent` and no
//! quoting: a quotation mark is part of the code. The input is `text` and the output `code`; lines
//! without `text` were not annotated and are skipped.
//!
//! The inference division is `spoc-train-test.tsv`, whose 15,183 annotated lines are exactly those
//! of Table I. The retrieval division is `spoc-train-train.tsv` and `spoc-train-eval.tsv`; without
//! the first of them it is `spoc-train-eval.tsv`, `spoc-testp.tsv` and `spoc-testw.tsv`, and the
//! data set says so in its deviations.

use std::path::Path;

use anyhow::Result;

use super::source::{Layout, Source};
use super::{Dataset, DatasetName, Pair};

const FILES: Layout = Layout {
    folders: &["", "spoc", "train/split", "spoc/train/split", "test", "spoc/test"],
    advice: "unpack https://sumith1896.github.io/spoc/data/spoc.zip and pass its folder with --from",
};
const RETRIEVAL: &[&str] = &["spoc-train-train.tsv", "spoc-train-eval.tsv"];
const RETRIEVAL_WITHOUT_TRAIN: &[&str] =
    &["spoc-train-eval.tsv", "spoc-testp.tsv", "spoc-testw.tsv"];
const INFERENCE: &str = "spoc-train-test.tsv";
const HEADER: [&str; 7] = ["text", "code", "workerid", "probid", "subid", "line", "indent"];

/// Reads SPoC from a folder.
pub(super) fn load(name: DatasetName, from: &Path) -> Result<Dataset> {
    let has = |file: &str| FILES.find(from, file).is_some();
    let wanted = if has(RETRIEVAL[0]) { RETRIEVAL } else { RETRIEVAL_WITHOUT_TRAIN };
    let used: Vec<&str> = wanted.iter().copied().filter(|file| has(file)).collect();
    if used.is_empty() {
        return Err(FILES.missing(from, RETRIEVAL[0]));
    }

    let (mut retrieval, mut files) = (Vec::new(), Vec::new());
    for file in &used {
        let (pairs, file) = FILES.load(from, file, parse)?;
        retrieval.extend(pairs);
        files.push(file);
    }
    let (inference, file) = FILES.load(from, INFERENCE, parse)?;
    files.push(file);

    let absent: Vec<&str> = RETRIEVAL.iter().copied().filter(|file| !has(file)).collect();
    let deviations = if absent.is_empty() {
        Vec::new()
    } else {
        vec![format!(
            "no {}: the retrieval division is {} instead of {}",
            absent.join(" or "),
            used.join(" + "),
            RETRIEVAL.join(" + "),
        )]
    };
    Ok(Dataset { name, retrieval, inference, beside: Vec::new(), files, deviations })
}

fn parse(source: &Source) -> Result<Vec<Pair>> {
    let mut lines = source.text.lines().zip(1..);
    let header = lines.next().map_or("", |(line, _)| line);
    if !header.split('\t').eq(HEADER) {
        return Err(source.error_at_line(
            1,
            format_args!(
                "the header must be `{}`, separated by tabs, and is `{}`; restore the original file",
                HEADER.join(" "),
                header.replace('\t', " "),
            ),
        ));
    }
    let mut pairs = Vec::new();
    for (line, number) in lines {
        let fields: Vec<&str> = line.split('\t').collect();
        let [text, code, ..] = <[&str; HEADER.len()]>::try_from(fields)
            .map_err(|fields| wrong_width(source, number, fields.len()))?;
        let (text, code) = (text.trim(), code.trim());
        if text.is_empty() {
            continue;
        }
        if code.is_empty() {
            return Err(source.error_at_line(
                number,
                "`code` is blank though `text` is not; repair or remove the line",
            ));
        }
        pairs.push(Pair { input: text.to_owned(), output: code.to_owned() });
    }
    Ok(pairs)
}

fn wrong_width(source: &Source, line: usize, found: usize) -> anyhow::Error {
    source.error_at_line(
        line,
        format_args!(
            "expected {} tab-separated fields, found {found}; restore the original file",
            HEADER.len()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::source::{error_of, folder_of};
    use super::*;

    fn official(from: &Path) -> Result<Dataset> {
        load(DatasetName::SPOC, from)
    }

    /// A file with an unannotated line and then a line for each pair.
    fn tsv(pairs: &[(&str, &str)]) -> String {
        let mut file = HEADER.join("\t") + "\n\tint main() {\t0\t1A\t2\t0\t0\n";
        for (text, code) in pairs {
            file += &format!("{text}\t{code}\t0\t1A\t2\t1\t1\n");
        }
        file
    }

    fn error(train: impl AsRef<[u8]>) -> String {
        error_of(official, &[("spoc-train-train.tsv", train.as_ref()), (INFERENCE, b"")])
    }

    #[test]
    fn official_layout() {
        let train = tsv(&[("print \"hi", "cout << \"hi\" << '\"';"), (" a\u{a0}b ", " x ")]);
        let folder = folder_of(&[
            ("spoc/train/split/spoc-train-train.tsv", format!("\u{feff}{train}")),
            ("spoc/train/split/spoc-train-eval.tsv", tsv(&[("e", "E")]).replace('\n', "\r\n")),
            ("spoc/train/split/spoc-train-test.tsv", tsv(&[("t", "T")])),
            ("spoc/test/spoc-testp.tsv", tsv(&[("p", "P")])),
        ]);
        let dataset = official(folder.path()).unwrap();
        let pair = |input: &str, output: &str| Pair { input: input.into(), output: output.into() };
        assert_eq!(
            dataset.retrieval,
            [pair("print \"hi", "cout << \"hi\" << '\"';"), pair("a\u{a0}b", "x"), pair("e", "E")]
        );
        assert_eq!(dataset.inference, [pair("t", "T")]);
        assert_eq!(dataset.files.iter().map(|file| file.pairs).collect::<Vec<_>>(), [2, 1, 1]);
        assert_eq!(dataset.deviations, [""; 0]);
    }

    #[test]
    fn a_missing_split_is_a_deviation() {
        let test = (INFERENCE, tsv(&[("t", "T")]));
        let eval = ("train/split/spoc-train-eval.tsv", tsv(&[("e", "E")]));
        let testp = ("test/spoc-testp.tsv", tsv(&[("p", "P"), ("q", "Q")]));
        let train = ("train/split/spoc-train-train.tsv", tsv(&[("r", "R")]));

        let folder = folder_of(&[test.clone(), eval, testp.clone()]);
        let dataset = official(folder.path()).unwrap();
        assert_eq!(dataset.retrieval.len(), 3);
        insta::assert_snapshot!(dataset.deviations.join("\n"), @"no spoc-train-train.tsv: the retrieval division is spoc-train-eval.tsv + spoc-testp.tsv instead of spoc-train-train.tsv + spoc-train-eval.tsv");

        let folder = folder_of(&[test.clone(), testp]);
        insta::assert_snapshot!(official(folder.path()).unwrap().deviations.join("\n"), @"no spoc-train-train.tsv or spoc-train-eval.tsv: the retrieval division is spoc-testp.tsv instead of spoc-train-train.tsv + spoc-train-eval.tsv");

        let folder = folder_of(&[test, train]);
        insta::assert_snapshot!(official(folder.path()).unwrap().deviations.join("\n"), @"no spoc-train-eval.tsv: the retrieval division is spoc-train-train.tsv instead of spoc-train-train.tsv + spoc-train-eval.tsv");
    }

    #[test]
    fn mistakes_are_named() {
        let header = HEADER.join("\t");
        insta::assert_snapshot!(error_of(official, &[(INFERENCE, tsv(&[("t", "T")]))]), @"
        spoc-train-train.tsv is missing; looked in
          DIR
          DIR/spoc
          DIR/train/split
          DIR/spoc/train/split
          DIR/test
          DIR/spoc/test
        unpack https://sumith1896.github.io/spoc/data/spoc.zip and pass its folder with --from
        ");
        insta::assert_snapshot!(error(""), @"DIR/spoc-train-train.tsv, line 1: the header must be `text code workerid probid subid line indent`, separated by tabs, and is ``; restore the original file");
        insta::assert_snapshot!(error("text,code\n"), @"DIR/spoc-train-train.tsv, line 1: the header must be `text code workerid probid subid line indent`, separated by tabs, and is `text,code`; restore the original file");
        insta::assert_snapshot!(error(format!("{header}\na\tb\n")), @"DIR/spoc-train-train.tsv, line 2: expected 7 tab-separated fields, found 2; restore the original file");
        insta::assert_snapshot!(error(format!("{header}\na\tb\t0\t1A\t2\t0\t0\n\n")), @"DIR/spoc-train-train.tsv, line 3: expected 7 tab-separated fields, found 1; restore the original file");
        insta::assert_snapshot!(error(tsv(&[("a", "b"), ("a", " ")])), @"DIR/spoc-train-train.tsv, line 4: `code` is blank though `text` is not; repair or remove the line");
        insta::assert_snapshot!(error(tsv(&[])), @"DIR/spoc-train-train.tsv: contains no pair; unpack https://sumith1896.github.io/spoc/data/spoc.zip and pass its folder with --from");
        insta::assert_snapshot!(error(b"text\n\xff"), @"DIR/spoc-train-train.tsv, line 2: not UTF-8; convert the file to UTF-8");
        insta::assert_snapshot!(error(tsv(&[("a", "b")])), @"DIR/spoc-train-test.tsv, line 1: the header must be `text code workerid probid subid line indent`, separated by tabs, and is ``; restore the original file");
    }
}
