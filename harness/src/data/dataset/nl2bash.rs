//! NL2Bash (Lin et al. 2018): English sentences and the Bash commands that do what they say.
//!
//! `all.nl` has a sentence a line, and `all.cm` the command of the same line. There is no official division
//! (`divide.rs` has the rule).

use super::divide::{DEVIATION, divide};
use super::source::{Layout, Source};
use super::{Dataset, DatasetName, Pair, SourceFile};
use crate::error::InputError;
use anyhow::Result;
use std::path::Path;

const FILES: Layout = Layout {
    folders: &["", "nl2bash", "data/bash", "nl2bash/data/bash"],
    advice: "clone https://github.com/TellinaTool/nl2bash and pass its folder with --from",
};

/// Reads NL2Bash from a folder.
pub(super) fn load(name: DatasetName, from: &Path) -> Result<Dataset> {
    let read = |file: &'static str| {
        let path = FILES.find(from, file).ok_or_else(|| FILES.missing(from, file))?;
        Source::read(path)
    };
    let [(sentences, nl), (commands, cm)] = [read("all.nl")?, read("all.cm")?];
    let pairs = pairs(&sentences, &commands)?;
    let files = [("all.nl", nl), ("all.cm", cm)];
    let files =
        files.map(|(name, sha256)| SourceFile { name: name.into(), sha256, pairs: pairs.len() });
    let [retrieval, inference] = divide(pairs);
    Ok(Dataset {
        name,
        retrieval,
        inference,
        beside: Vec::new(),
        files: files.into(),
        deviations: vec![DEVIATION.into()],
    })
}

fn pairs(sentences: &Source, commands: &Source) -> Result<Vec<Pair>> {
    let counts = [sentences, commands].map(|source| source.text.lines().count());
    if counts[0] != counts[1] {
        return Err(InputError::new(format!(
            "{} has {} lines and {} has {}; a line of one belongs to the same line of the other, so restore \
             the original files",
            sentences.path().display(),
            counts[0],
            commands.path().display(),
            counts[1]
        )));
    }
    let texts = sentences.text.lines().zip(commands.text.lines()).zip(1..);
    texts
        .map(|((input, output), line)| {
            for (source, text) in [(sentences, input), (commands, output)] {
                if text.trim().is_empty() {
                    return Err(
                        source.error_at_line(line, "the line is blank; restore the original file")
                    );
                }
            }
            Ok(Pair { input: input.trim().into(), output: output.trim().into() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::source::{error_of, folder_of};
    use super::*;

    fn official(from: &Path) -> Result<Dataset> {
        load(DatasetName::NL2BASH, from)
    }

    fn error(nl: &str, cm: &str) -> String {
        error_of(official, &[("all.nl", nl), ("all.cm", cm)])
    }

    #[test]
    fn lines_of_both_files_are_pairs() {
        let nl: String = (0..100).map(|n| format!("list file {n}\r\n")).collect();
        let cm: String = (0..100).map(|n| format!("ls f{n} \n")).collect();
        let folder = folder_of(&[("data/bash/all.nl", nl), ("data/bash/all.cm", cm)]);
        let dataset = official(folder.path()).unwrap();
        assert_eq!(dataset.retrieval.len() + dataset.inference.len(), 100);
        assert!(!dataset.inference.is_empty());
        for Pair { input, output } in dataset.retrieval.iter().chain(&dataset.inference) {
            assert_eq!(input.strip_prefix("list file "), output.strip_prefix("ls f"));
        }
        assert_eq!(dataset.files.iter().map(|file| file.pairs).collect::<Vec<_>>(), [100, 100]);
        assert_eq!(dataset.deviations, [DEVIATION]);
    }

    #[test]
    fn mistakes_are_named() {
        insta::assert_snapshot!(error_of(official, &[("all.nl", "a\n")]), @"
        all.cm is missing; looked in
          DIR
          DIR/nl2bash
          DIR/data/bash
          DIR/nl2bash/data/bash
        clone https://github.com/TellinaTool/nl2bash and pass its folder with --from
        ");
        insta::assert_snapshot!(error("a\nb\n", "c\n"), @"DIR/all.nl has 2 lines and DIR/all.cm has 1; a line of one belongs to the same line of the other, so restore the original files");
        insta::assert_snapshot!(error("a\n \n", "c\nd\n"), @"DIR/all.nl, line 2: the line is blank; restore the original file");
        insta::assert_snapshot!(error("a\nb\n", "c\n\n"), @"DIR/all.cm, line 2: the line is blank; restore the original file");
    }
}
