//! A benchmark's folder: `benchmark.toml` says what there is, and a TOML file a type holds it. What
//! does not agree is refused with its file and line.

use super::{Benchmark, OVERALL, Sample, Subtype, python};
use crate::data::dataset::{Pair, SourceFile};
use crate::error::InputError;
use anyhow::Result;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// The file that says what there is.
const INDEX: &str = "benchmark.toml";

/// `benchmark.toml`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BenchmarkFile {
    name: String,
    version: String,
    #[serde(default)]
    language: Option<Language>,
    types: Vec<String>,
    subtypes: usize,
    demonstrations: usize,
    samples: usize,
    targets: usize,
}

/// Programming language of the code, if it can be checked.
#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Language {
    Python,
}

/// The file of a type.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypeFile {
    /// Demonstrations of the subtypes that have none of their own.
    #[serde(default)]
    demonstration: Vec<WrittenPair>,
    subtype: Vec<WrittenSubtype>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSubtype {
    name: Spanned<String>,
    argmax: Spanned<String>,
    targets: Spanned<Vec<String>>,
    #[serde(default)]
    demonstration: Vec<WrittenPair>,
    sample: Vec<WrittenSample>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPair {
    input: Spanned<String>,
    output: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSample {
    intent: Spanned<String>,
    before: Spanned<String>,
    after: String,
}

/// A file and its text, for errors with a line.
struct NamedText {
    path: PathBuf,
    text: String,
    sha256: String,
}

impl NamedText {
    fn read(path: PathBuf) -> Result<Self> {
        let text = std::fs::read_to_string(&path).map_err(|error| {
            InputError::new(format!("{}: cannot be read ({error})", path.display()))
        })?;
        let sha256 = format!("{:x}", Sha256::digest(&text));
        Ok(Self { path, text, sha256 })
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        toml::from_str(&self.text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            self.error(start, error.message())
        })
    }

    /// File and line of byte `start`.
    fn place(&self, start: usize) -> String {
        let line = 1 + self.text[..start].matches('\n').count();
        format!("{}:{line}", self.path.display())
    }

    /// The error `what` at byte `start`.
    fn error(&self, start: usize, what: impl std::fmt::Display) -> anyhow::Error {
        InputError::new(format!("{}: {what}", self.place(start)))
    }

    fn at<T>(&self, value: &Spanned<T>, what: impl std::fmt::Display) -> anyhow::Error {
        self.error(value.span().start, what)
    }
}

impl Benchmark {
    /// True if `folder` has the file that says what a benchmark is.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(INDEX).is_file()
    }

    /// Reads the benchmark in `folder`.
    ///
    /// # Errors
    /// If a file is missing or broken, a count is not the declared one, or something stands twice.
    pub fn load(folder: &Path) -> Result<Self> {
        let source = NamedText::read(folder.join(INDEX))?;
        let index: BenchmarkFile = source.parse()?;
        if index.types.is_empty() || index.subtypes == 0 || index.samples < 2 || index.targets == 0
        {
            return Err(source.error(
                0,
                "at least one type, one subtype, 2 samples and one target are needed: an edit is \
                 made on one sample and probed on others",
            ));
        }
        let mut files = vec![source.file(0)];
        let mut subtypes = Vec::new();
        let mut known = OnceOnly::default();
        for (of, name) in index.types.iter().enumerate() {
            if Path::new(name).components().count() != 1 || name.starts_with('.') {
                return Err(
                    source.error(0, format!("type {name:?} is not the name of a file here"))
                );
            }
            if name == OVERALL || index.types[..of].contains(name) {
                let problem = "is taken: rows of tables are named after types and subtypes";
                return Err(source.error(0, format!("type {name:?}: the name {problem}")));
            }
            let source = NamedText::read(folder.join(format!("{name}.toml")))?;
            let file: TypeFile = source.parse()?;
            let end = source.text.len();
            if file.subtype.len() != index.subtypes {
                let found = file.subtype.len();
                return Err(source.error(
                    end,
                    format!("{found} subtypes, where {INDEX} declares {}", index.subtypes),
                ));
            }
            let shared = pairs(file.demonstration, &source, &index, &mut known)?;
            for written in file.subtype {
                subtypes.push(written.check(&source, &index, of, &shared, &mut known)?);
            }
            files.push(source.file(index.subtypes * index.samples));
        }
        let BenchmarkFile { name, version, types, .. } = index;
        Ok(Self { name, version, types, subtypes, files, rows: None })
    }
}

impl NamedText {
    fn file(&self, pairs: usize) -> SourceFile {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        SourceFile { name, sha256: self.sha256.clone(), pairs }
    }
}

/// Texts that must occur only once in a benchmark, and where each was found.
#[derive(Default)]
struct OnceOnly(HashMap<(&'static str, String), String>);

impl OnceOnly {
    fn add(
        &mut self,
        source: &NamedText,
        what: &'static str,
        value: &Spanned<String>,
    ) -> Result<()> {
        if value.get_ref().trim().is_empty() {
            return Err(source.at(value, format!("{what} is blank")));
        }
        let here = source.place(value.span().start);
        match self.0.insert((what, value.get_ref().clone()), here) {
            None => Ok(()),
            Some(there) => {
                Err(source.at(value, format!("{what} {:?} is already at {there}", value.get_ref())))
            }
        }
    }
}

impl BenchmarkFile {
    /// Refuses `code`, which stands at `value`, if it is not of the declared language.
    fn check_code(
        &self,
        source: &NamedText,
        value: &Spanned<String>,
        what: &str,
        code: &str,
    ) -> Result<()> {
        let python = self.language == Some(Language::Python);
        let error = if python { python::first_error(code)? } else { None };
        error.map_or(Ok(()), |line| {
            let problem = format!("{what} is not Python from its line {line} on:\n{code}");
            Err(source.at(value, problem))
        })
    }
}

/// The demonstrations `written`, checked.
fn pairs(
    written: Vec<WrittenPair>,
    source: &NamedText,
    index: &BenchmarkFile,
    known: &mut OnceOnly,
) -> Result<Vec<Pair>> {
    let mut pairs = Vec::with_capacity(written.len());
    for pair in written {
        known.add(source, "intent", &pair.input)?;
        known.add(source, "code", &pair.output)?;
        index.check_code(source, &pair.output, "the demonstration", pair.output.get_ref())?;
        pairs.push(Pair { input: pair.input.into_inner(), output: pair.output.into_inner() });
    }
    Ok(pairs)
}

impl WrittenSubtype {
    fn check(
        self,
        source: &NamedText,
        index: &BenchmarkFile,
        of: usize,
        shared: &[Pair],
        known: &mut OnceOnly,
    ) -> Result<Subtype> {
        let name = self.name.get_ref().clone();
        known.add(source, "subtype", &self.name)?;
        if name == OVERALL || index.types.contains(&name) {
            return Err(
                source.at(&self.name, format!("`{name}` is the name of a type, or of the mean"))
            );
        }
        let (argmax, targets) = (self.argmax.get_ref().clone(), self.targets.get_ref().clone());
        let mut symbols = vec![&argmax];
        for target in &targets {
            if target.trim().is_empty() || symbols.contains(&target) {
                let problem = "is blank, the argmax or listed twice";
                return Err(source.at(&self.targets, format!("target {target:?} {problem}")));
            }
            symbols.push(target);
        }
        if argmax.trim().is_empty() {
            return Err(source.at(&self.argmax, "the argmax is blank"));
        }
        let demonstrations = match self.demonstration.is_empty() {
            true => shared.to_vec(),
            false => pairs(self.demonstration, source, index, known)?,
        };
        for (what, found, declared) in [
            ("demonstrations", demonstrations.len(), index.demonstrations),
            ("targets", targets.len(), index.targets),
            ("samples", self.sample.len(), index.samples),
        ] {
            if found != declared {
                let problem = format!("{found} {what}, where {INDEX} declares {declared}");
                return Err(source.at(&self.name, format!("`{name}` has {problem}")));
            }
        }
        let mut samples = Vec::with_capacity(self.sample.len());
        for sample in self.sample {
            known.add(source, "intent", &sample.intent)?;
            known.add(source, "code", &sample.before)?;
            let code = format!("{}{argmax}{}", sample.before.get_ref(), sample.after);
            index.check_code(source, &sample.before, "the sample, completed,", &code)?;
            let (intent, before) = (sample.intent.into_inner(), sample.before.into_inner());
            samples.push(Sample { intent, before, after: sample.after, output: None });
        }
        let patched = samples.len();
        Ok(Subtype { of, name, argmax, targets, demonstrations, samples, patched })
    }
}
