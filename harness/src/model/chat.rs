//! Chat templates: messages to the text that a chat model was trained on, by the Jinja template of the folder, as
//! `apply_chat_template` of `transformers` renders it.
//!
//! One departure: `strftime_now` is not defined, as a prompt would depend on the day. Templates that ask
//! whether it is defined have a date of their own; others fail, with its name.

use crate::error::InputError;
use anyhow::Result;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{Environment, Error, ErrorKind};
use serde::Serialize;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::path::Path;

/// The file of tokenizer settings, which may hold the template.
const CONFIG: &str = "tokenizer_config.json";

/// The file that holds the template alone, as `transformers` 5 writes it.
const FILE: &str = "chat_template.jinja";

/// Name of the template within its environment.
const NAME: &str = "chat";

/// A turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: &'static str,
    /// The text.
    pub content: String,
}

impl Message {
    /// Turn of the user.
    pub fn user(content: impl Into<String>) -> Self {
        Self { role: "user", content: content.into() }
    }

    /// Turn of the model.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self { role: "assistant", content: content.into() }
    }

    /// Instructions before all turns.
    pub fn system(content: impl Into<String>) -> Self {
        Self { role: "system", content: content.into() }
    }
}

/// The chat template of a model folder.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    /// Special tokens that the template may name: `bos_token` and so on.
    tokens: Vec<(String, String)>,
    /// File that the template stands in.
    place: String,
    /// SHA-256 of the template and the tokens, 64 hex digits.
    pub sha256: String,
}

impl ChatTemplate {
    /// Reads the template of the folder `path`.
    ///
    /// # Errors
    /// If there is none, or it is no Jinja template.
    pub fn read(path: &Path) -> Result<Self> {
        let config = path.join(CONFIG);
        let config: Json = match std::fs::read_to_string(&config) {
            Ok(text) => serde_json::from_str(&text)
                .map_err(|error| InputError::new(format!("{}: {error}", config.display())))?,
            Err(_) => Json::Null,
        };
        let (place, source) = source(path, &config)?;
        Self::new(place, source, tokens(&config))
    }

    /// The template `source`, found in `place`.
    pub(crate) fn new(
        place: String,
        source: String,
        tokens: Vec<(String, String)>,
    ) -> Result<Self> {
        let mut hash = Sha256::new_with_prefix(&source);
        for (name, token) in &tokens {
            hash.update(format!("{name}={token}\n"));
        }
        let mut environment = Environment::new();
        // As `transformers` sets up Jinja.
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.expect("Jinja's own marks"));
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_filter("tojson", to_json);
        environment
            .add_template_owned(NAME, without_marks(&source))
            .map_err(|error| wrong(&place, &error))?;
        Ok(Self { environment, tokens, place, sha256: format!("{:x}", hash.finalize()) })
    }

    /// The text of `messages` up to where the model's next turn begins.
    ///
    /// # Errors
    /// If the template refuses the messages, or fails.
    pub fn render(&self, messages: &[Message]) -> Result<String> {
        let mut context: std::collections::BTreeMap<&str, Value> =
            self.tokens.iter().map(|(name, token)| (name.as_str(), token.into())).collect();
        context.insert("messages", Value::from(Serde(messages)));
        context.insert("add_generation_prompt", true.into());
        let template = self.environment.get_template(NAME).expect("it was added");
        template.render(context).map_err(|error| wrong(&self.place, &error))
    }
}

/// An error of the template in `place`.
fn wrong(place: &str, error: &Error) -> anyhow::Error {
    let detail = error.detail().map_or_else(|| error.kind().to_string(), String::from);
    let line = error.line().map(|line| format!(", line {line} of it")).unwrap_or_default();
    InputError::new(format!("{place}: the chat template fails{line}: {detail}"))
}

/// Place of the template of the folder `path`, and its text.
fn source(path: &Path, config: &Json) -> Result<(String, String)> {
    let file = path.join(FILE);
    if file.is_file() {
        let text = std::fs::read_to_string(&file)
            .map_err(|error| InputError::new(format!("{}: {error}", file.display())))?;
        return Ok((file.display().to_string(), text));
    }
    let place = path.join(CONFIG).display().to_string();
    let own = &config["chat_template"];
    // Several templates by name: the plain one is called `default`.
    let named = own.as_array().and_then(|all| all.iter().find(|one| one["name"] == "default"));
    let own = named.map_or(own, |named| &named["template"]);
    match own.as_str() {
        Some(source) => Ok((place, source.into())),
        None => Err(InputError::new(format!(
            "{}: no chat template, neither as {FILE} nor as `chat_template` in {CONFIG}; a model without one \
             continues plain text",
            path.display()
        ))),
    }
}

/// The special tokens that `tokenizer_config.json` names.
fn tokens(config: &Json) -> Vec<(String, String)> {
    let token = |(key, value): (&String, &Json)| {
        let text = value.as_str().or_else(|| value["content"].as_str())?;
        key.ends_with("_token").then(|| (key.clone(), text.to_string()))
    };
    config.as_object().into_iter().flatten().filter_map(token).collect()
}

/// The template without the marks around what a model says, which `transformers` uses in training and which
/// change no text.
fn without_marks(source: &str) -> String {
    let mut rest = source;
    let mut whole = String::new();
    while let Some(start) = rest.find("{%") {
        let Some(end) = rest[start..].find("%}").map(|end| start + end + 2) else { break };
        let inner = rest[start + 2..end - 2].trim_matches('-').trim();
        if matches!(inner, "generation" | "endgeneration") {
            // A comment trims blanks as the mark does.
            let mark = &rest[start..end];
            whole.push_str(&rest[..start]);
            whole.push_str(if mark.starts_with("{%-") { "{#-" } else { "{#" });
            whole.push_str(if mark.ends_with("-%}") { "-#}" } else { "#}" });
        } else {
            whole.push_str(&rest[..end]);
        }
        rest = &rest[end..];
    }
    whole + rest
}

/// JSON as Python's `json.dumps` writes it, without escapes of other alphabets.
fn to_json(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = options.get("indent")?;
    options.assert_all_used()?;
    let failed =
        |error: serde_json::Error| Error::new(ErrorKind::BadSerialization, error.to_string());
    let json = serde_json::to_value(value).map_err(failed)?;
    Ok(python_json(&json, indent, 0).into())
}

fn python_json(json: &Json, indent: Option<usize>, depth: usize) -> String {
    let within = |items: Vec<String>, [open, close]: [char; 2]| match indent {
        _ if items.is_empty() => format!("{open}{close}"),
        None => format!("{open}{}{close}", items.join(", ")),
        Some(width) => {
            let line = |depth: usize| format!("\n{}", " ".repeat(width * depth));
            let items = items.join(&format!(",{}", line(depth + 1)));
            format!("{open}{}{items}{}{close}", line(depth + 1), line(depth))
        }
    };
    let deeper = |json: &Json| python_json(json, indent, depth + 1);
    match json {
        Json::Array(items) => within(items.iter().map(deeper).collect(), ['[', ']']),
        Json::Object(items) => {
            let item = |(key, value): (&String, &Json)| {
                format!("{}: {}", Json::from(key.as_str()), deeper(value))
            };
            within(items.iter().map(item).collect(), ['{', '}'])
        }
        plain => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{ChatTemplate, Message};

    fn render(source: &str) -> Result<String, String> {
        let tokens = vec![("bos_token".into(), "<s>".into())];
        let template = ChatTemplate::new("DIR/tokenizer_config.json".into(), source.into(), tokens);
        let rendered = template.and_then(|template| template.render(&[Message::user("hi")]));
        rendered.map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_template_refuses_is_said() {
        let place = "DIR/tokenizer_config.json: the chat template fails, line";
        for (template, said) in [
            ("{{ raise_exception('no user') }}", "1 of it: no user"),
            ("a\n{% if %}", "2 of it: unexpected"),
            ("{{ strftime_now('%d') }}", "1 of it: strftime_now is unknown"),
        ] {
            let error = render(template).unwrap_err();
            assert!(error.starts_with(&format!("{place} {said}")), "{template}: {error}");
        }
    }

    #[test]
    fn marks_of_training_change_no_text() {
        let marked = "{{ bos_token }} {%- generation -%} x {% endgeneration %}\n y";
        assert_eq!(render(marked).unwrap(), "<s>x  y");
    }
}
