//! Requests as they are written: one JSON object a line.

use crate::error::InputError;
use anyhow::Result;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;

/// A request: what a model should write after some prompts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestLine {
    /// A name of letters, digits, `-`, `_` and `.`; that of its patch. `request-N` for line N, where it is left out.
    #[serde(default)]
    pub name: String,
    /// Prompts to repair.
    pub prompts: Vec<String>,
    /// The text that the model should write next, after all of them.
    pub target: String,
    /// Prompts after which the prediction should stay: a constraint.
    #[serde(default)]
    pub keep: Vec<String>,
    /// Other prompts after which the target is right: measured only.
    #[serde(default)]
    pub rephrasings: Vec<String>,
    /// Prompts after which nothing should change: measured only.
    #[serde(default)]
    pub unrelated: Vec<String>,
    /// A word on its kind, for people.
    #[serde(default)]
    pub kind: Option<String>,
    /// The text that the model writes by habit, for people.
    #[serde(default)]
    pub bad: Option<String>,
}

impl RequestLine {
    /// Reads the requests of the file `path`.
    ///
    /// # Errors
    /// If it cannot be read, a line is no request, or requests contradict each other: with line and field.
    pub fn read(path: &Path) -> Result<Vec<Self>> {
        parse(&crate::own_model::patch::read(path)?)
            .map_err(|wrong| InputError::new(format!("{}: {wrong}", path.display())))
    }

    fn check(&self) -> Result<(), String> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.name.is_empty() || self.name.starts_with('.') || !self.name.chars().all(is_name) {
            return Err(format!(
                "`name`: {:?} is no name of letters, digits, `-`, `_` and `.`",
                self.name
            ));
        }
        if self.prompts.is_empty() {
            return Err("`prompts`: there is none; give at least one".into());
        }
        if self.target.is_empty() {
            return Err("`target` is empty; say what the model should write".into());
        }
        let lists = [
            ("prompts", &self.prompts),
            ("keep", &self.keep),
            ("rephrasings", &self.rephrasings),
            ("unrelated", &self.unrelated),
        ];
        match lists.into_iter().find(|(_, prompts)| prompts.iter().any(String::is_empty)) {
            Some((field, _)) => Err(format!("`{field}`: a prompt is empty")),
            None => Ok(()),
        }
    }
}

/// The requests of `text`, or the line and the field that are wrong.
fn parse(text: &str) -> Result<Vec<RequestLine>, String> {
    let mut requests: Vec<(usize, RequestLine)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        let mut request: RequestLine =
            serde_json::from_str(line).map_err(|error| format!("line {number}: {error}"))?;
        if request.name.is_empty() {
            request.name = format!("request-{number}");
        }
        request.check().map_err(|wrong| format!("line {number}: {wrong}"))?;
        requests.push((number, request));
    }
    if requests.is_empty() {
        return Err("no request in it; a line is a JSON object with `prompts` and `target`".into());
    }
    let mut names: HashMap<&str, usize> = HashMap::new();
    let mut wanted: HashMap<&str, (usize, &str)> = HashMap::new();
    for (number, request) in &requests {
        if let Some(other) = names.insert(&request.name, *number) {
            return Err(format!(
                "line {number}: `name`: {} is that of line {other} too",
                request.name
            ));
        }
        for prompt in &request.prompts {
            match wanted.insert(prompt, (*number, &request.target)) {
                Some((other, _)) if other == *number => {
                    return Err(format!("line {number}: `prompts`: {prompt:?} is there twice"));
                }
                Some((other, target)) if target != request.target => {
                    return Err(format!(
                        "line {number}: `target`: {:?} contradicts line {other}, which wants {target:?} after the same \
                         prompt {prompt:?}",
                        request.target
                    ));
                }
                _ => {}
            }
        }
    }
    for (number, request) in &requests {
        for prompt in &request.keep {
            if let Some((other, target)) = wanted.get(prompt.as_str()) {
                return Err(format!(
                    "line {number}: `keep`: {prompt:?} is a prompt after which line {other} wants {target:?}"
                ));
            }
        }
    }
    Ok(requests.into_iter().map(|(_, request)| request).collect())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn lines_are_read_and_named() {
        let text = "{\"prompts\": [\"a\"], \"target\": \"b\"}\n\n{\"name\": \"x.1\", \"prompts\": [\"c\"], \"target\": \"d\", \"keep\": [\"e\"]}";
        let names: Vec<String> = parse(text).unwrap().into_iter().map(|own| own.name).collect();
        assert_eq!(names, ["request-1", "x.1"]);
    }

    #[test]
    fn what_is_wrong_is_named_with_line_and_field() {
        let good = "{\"name\": \"a\", \"prompts\": [\"p\"], \"target\": \"t\"}";
        for (line, wrong) in [
            ("{\"prompts\": []", "line 2: EOF"),
            ("{\"target\": \"t\"}", "line 2: missing field `prompts`"),
            ("{\"prompts\": [], \"target\": \"t\"}", "line 2: `prompts`: there is none"),
            ("{\"prompts\": [\"q\"], \"target\": \"\"}", "line 2: `target` is empty"),
            ("{\"prompts\": [\"q\"], \"target\": \"t\", \"keeps\": []}", "unknown field `keeps`"),
            (
                "{\"prompts\": [\"q\"], \"target\": \"t\", \"keep\": [\"\"]}",
                "line 2: `keep`: a prompt is empty",
            ),
            (
                "{\"name\": \"../a\", \"prompts\": [\"q\"], \"target\": \"t\"}",
                "is no name of letters",
            ),
            ("{\"name\": \"a\", \"prompts\": [\"q\"], \"target\": \"t\"}", "is that of line 1 too"),
            ("{\"prompts\": [\"p\"], \"target\": \"u\"}", "contradicts line 1, which wants \"t\""),
            ("{\"prompts\": [\"q\", \"q\"], \"target\": \"u\"}", "\"q\" is there twice"),
            (
                "{\"prompts\": [\"q\"], \"target\": \"t\", \"keep\": [\"p\"]}",
                "`keep`: \"p\" is a prompt after which line 1 wants \"t\"",
            ),
        ] {
            let found = parse(&format!("{good}\n{line}")).unwrap_err();
            assert!(found.contains(wrong), "{wrong} is not in {found}");
        }
        assert!(parse(" \n").unwrap_err().contains("no request in it"));
    }
}
