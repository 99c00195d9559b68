//! Sources of kept texts: those of this project, a file of texts, or a set in the form that it is published in.

use crate::error::InputError;
use crate::own_model::patch::read;
use anyhow::Result;
use flate2::read::GzDecoder;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Short texts of many kinds, written for this project.
const DEFAULT: &str = include_str!("kept.txt");

/// A line that parts two texts.
const RULE: &str = "---";

/// Bytes of a Python module that are read at most: more than its first texts have.
const BYTES: usize = 4096;

/// Form of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Texts between lines `---`.
    Ruled,
    /// HumanEval: JSON Lines, `prompt` and `canonical_solution`.
    HumanEval,
    /// MBPP: JSON Lines, `code`.
    Mbpp,
    /// CoNaLa: a JSON list or JSON Lines, `snippet` after the intent as a comment.
    Conala,
    /// Python modules of a folder and the folders in it.
    Python,
    /// Paragraphs of natural text, parted by empty lines.
    Prose,
}

/// Named forms, as people write them before `=`.
const FORMS: [(&str, Form); 5] = [
    ("humaneval", Form::HumanEval),
    ("mbpp", Form::Mbpp),
    ("conala", Form::Conala),
    ("python", Form::Python),
    ("prose", Form::Prose),
];

/// Name of the source code of the standard library of the `python3` at hand.
const LIBRARY: &str = "stdlib";

/// Name of the texts of this project.
const BUILT_IN: &str = "built-in";

/// A source of kept texts. It is written as a file, `NAME=PATH`, `built-in` or `stdlib`.
pub struct Source {
    name: String,
    form: Form,
    /// The file or folder; `None` for the texts of this project, or for the standard library, which is looked for.
    place: Option<PathBuf>,
}

impl Source {
    /// The source that `named` names; without a name, the texts of this project.
    pub fn new(named: Option<&Path>) -> Self {
        let Some(named) = named else {
            let name = "the default kept texts".into();
            return Self { name, form: Form::Ruled, place: None };
        };
        let name = named.display().to_string();
        if name == BUILT_IN {
            return Self { name, form: Form::Ruled, place: None };
        }
        if name == LIBRARY {
            return Self { name, form: Form::Python, place: None };
        }
        let form = FORMS.iter().find_map(|(form, own)| {
            let place = name.strip_prefix(form)?.strip_prefix('=')?;
            Some((*own, PathBuf::from(place)))
        });
        let (form, place) = form.unwrap_or((Form::Ruled, named.to_path_buf()));
        Self { name, form, place: Some(place) }
    }

    /// Name for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// True of a set of which a part is read: long texts are cut, and not all of them are taken.
    pub(super) fn is_cut(&self) -> bool {
        self.form != Form::Ruled
    }

    /// Its texts.
    ///
    /// # Errors
    /// If they cannot be read, or the file has another form.
    pub fn texts(&self) -> Result<Vec<String>> {
        let texts = match (self.form, &self.place) {
            (Form::Ruled, None) => ruled(DEFAULT),
            (Form::Ruled, Some(path)) => ruled(&read(path)?),
            (Form::Python, None) => modules(&library()?)?,
            (Form::Python, Some(folder)) => modules(folder)?,
            (Form::Prose, Some(path)) => paragraphs(&read(path)?),
            (form, Some(path)) => objects(form, path)?,
            (form, None) => unreachable!("{form:?} has a place"),
        };
        if texts.is_empty() {
            let ruled = self.form == Form::Ruled;
            let how = if ruled { "; texts are parted by lines `---`" } else { "" };
            return Err(InputError::new(format!("{}: no text in it{how}", self.name)));
        }
        Ok(texts)
    }

    /// SHA-256 of its texts, 64 hex digits; of a file of texts, that of the file.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn sha256(&self) -> Result<String> {
        let text = match (self.form, &self.place) {
            (Form::Ruled, None) => DEFAULT.to_string(),
            (Form::Ruled, Some(path)) => read(path)?,
            _ => self.texts()?.join("\n---\n"),
        };
        Ok(format!("{:x}", Sha256::digest(text)))
    }
}

/// The texts between lines `---`, without line ends around them; none that is empty.
fn ruled(text: &str) -> Vec<String> {
    let mut texts = vec![Vec::new()];
    for line in text.lines() {
        if line.trim_end() == RULE {
            texts.push(Vec::new());
        } else {
            texts.last_mut().expect("there is one").push(line);
        }
    }
    let texts = texts.into_iter().map(|lines| lines.join("\n").trim_matches('\n').to_string());
    texts.filter(|text| !text.trim().is_empty()).collect()
}

/// The paragraphs of `text`.
fn paragraphs(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let parts = lines.split(|line| line.trim().is_empty()).map(|part| part.join("\n"));
    parts.filter(|part| !part.is_empty()).collect()
}

/// The text of each object of a JSON list or of JSON Lines, gzipped or not.
fn objects(form: Form, path: &Path) -> Result<Vec<String>> {
    let wrong = |what: String| InputError::new(format!("{}: {what}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| wrong(format!("cannot be read ({error})")))?;
    let mut text = String::new();
    let is_gzipped = bytes.starts_with(&[0x1f, 0x8b]);
    let read = if is_gzipped {
        GzDecoder::new(&bytes[..]).read_to_string(&mut text)
    } else {
        (&bytes[..]).read_to_string(&mut text)
    };
    read.map_err(|error| wrong(format!("cannot be read ({error})")))?;
    let objects: Vec<Value> = if text.trim_start().starts_with('[') {
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?
    } else {
        let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
        let parsed = lines.map(|(number, line)| {
            serde_json::from_str(line).map_err(|error| wrong(format!("line {number}: {error}")))
        });
        parsed.collect::<Result<_>>()?
    };
    let text = |(number, object): (usize, &Value)| {
        let field = |name: &str| {
            let missing = || wrong(format!("object {number}: `{name}` is no text"));
            object[name].as_str().map(str::to_string).ok_or_else(missing)
        };
        Ok(match form {
            Form::HumanEval => field("prompt")? + &field("canonical_solution")?,
            Form::Mbpp => field("code")?,
            _ => format!("# {}\n{}", field("intent")?.replace('\n', " "), field("snippet")?),
        })
    };
    (1..).zip(&objects).map(text).collect()
}

/// The beginnings of the Python modules in `folder` and the folders in it, in the order of their names.
fn modules(folder: &Path) -> Result<Vec<String>> {
    let wrong = |what: String| InputError::new(format!("{}: {what}", folder.display()));
    let mut open = vec![folder.to_path_buf()];
    let mut files = Vec::new();
    while let Some(folder) = open.pop() {
        let entries = std::fs::read_dir(&folder)
            .map_err(|error| wrong(format!("cannot be read ({error})")))?;
        for entry in entries.flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let is_own = !["site-packages", "dist-packages", "__pycache__", "test", "tests"]
                .contains(&&*name);
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && is_own => open.push(path),
                Ok(kind) if kind.is_file() && name.ends_with(".py") => files.push(path),
                _ => {}
            }
        }
    }
    files.sort();
    let text = |path: PathBuf| {
        let text = String::from_utf8(std::fs::read(path).ok()?).ok()?;
        let end = (0..=BYTES.min(text.len())).rev().find(|&end| text.is_char_boundary(end))?;
        (!text.trim().is_empty()).then(|| text[..end].to_string())
    };
    Ok(files.into_iter().filter_map(text).collect())
}

/// The folder of the standard library of `python3`.
fn library() -> Result<PathBuf> {
    let wrong = |what: &str| InputError::new(format!("{LIBRARY}: {what}; python=FOLDER names one"));
    let asked = "import sysconfig; print(sysconfig.get_path('stdlib'))";
    let output = Command::new("python3").args(["-c", asked]).output();
    let output = output.map_err(|error| wrong(&format!("python3 cannot be run ({error})")))?;
    let path = String::from_utf8_lossy(&output.stdout).trim().to_string();
    if path.is_empty() { Err(wrong("python3 does not say where it is")) } else { Ok(path.into()) }
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT, Source, ruled};
    use std::fs;
    use std::path::Path;

    #[test]
    fn texts_are_parted_by_rules() {
        assert_eq!(ruled("\na\n\nb\n---\n---  \n\n  c\n"), ["a\n\nb", "  c"]);
        assert!(ruled("---\n\n").is_empty());
    }

    #[test]
    fn there_are_default_texts_and_none_twice() {
        let mut texts = ruled(DEFAULT);
        assert!(texts.len() >= 20);
        texts.sort();
        let count = texts.len();
        texts.dedup();
        assert_eq!(texts.len(), count);
    }

    #[test]
    fn sets_are_read_in_the_forms_that_they_are_published_in() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        fs::create_dir(folder.path().join("code")).unwrap();
        write("code/b.py", "b = 2\n");
        write("code/a.py", "a = 1\n");
        write("code/a.txt", "no module");
        write(
            "eval.jsonl",
            "{\"prompt\": \"def f():\\n\", \"canonical_solution\": \"    pass\"}\n\n",
        );
        write("mbpp.jsonl", "{\"text\": \"x\", \"code\": \"y\"}");
        write("conala.json", "[{\"intent\": \"do\", \"snippet\": \"f()\"}]");
        write("prose.txt", "One.\r\n \r\nTwo\r\nlines.\n");
        for (name, texts) in [
            ("humaneval=eval.jsonl", &["def f():\n    pass"][..]),
            ("mbpp=mbpp.jsonl", &["y"]),
            ("conala=conala.json", &["# do\nf()"]),
            ("python=code", &["a = 1\n", "b = 2\n"]),
            ("prose=prose.txt", &["One.", "Two\nlines."]),
        ] {
            let (form, place) = name.split_once('=').unwrap();
            let named = format!("{form}={}", folder.path().join(place).display());
            assert_eq!(Source::new(Some(Path::new(&named))).texts().unwrap(), texts, "{name}");
        }
        let wrong = |named: String| {
            let Err(error) = Source::new(Some(Path::new(&named))).texts() else {
                panic!("{named}")
            };
            error.to_string()
        };
        let at = |name: &str| folder.path().join(name).display().to_string();
        assert!(wrong(format!("humaneval={}", at("mbpp.jsonl"))).contains("object 1: `prompt`"));
        assert!(wrong(format!("mbpp={}", at("prose.txt"))).contains("line 1"));
        assert!(wrong(format!("python={}", at("nowhere"))).contains("cannot be read"));
    }
}
