//! Chat templates: against `transformers`, and where prompts are put into them.

use crate::bench::{self, Bench};
use crate::support::{golden, ment, set_up_model};
use ment::model::chat::{ChatTemplate, Message};
use ment::records::Record;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

#[derive(Deserialize)]
struct Case {
    name: String,
    template: String,
    conversations: Vec<Conversation>,
}

#[derive(Deserialize)]
struct Conversation {
    messages: Vec<Turn>,
    text: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Turn {
    role: String,
    content: String,
}

fn write_template(folder: &Path, template: &str) {
    let config = json!({"chat_template": template, "bos_token": "<s>", "eos_token": "</s>"});
    fs::write(folder.join("tokenizer_config.json"), config.to_string()).unwrap();
}

#[test]
fn templates_render_as_transformers_does() {
    let text = fs::read_to_string(golden("chat.json")).unwrap();
    let cases: Vec<Case> = serde_json::from_str(&text).unwrap();
    assert!(cases.len() >= 5);
    let folder = tempfile::tempdir().unwrap();
    for Case { name, template, conversations } in cases {
        write_template(folder.path(), &template);
        let template = ChatTemplate::read(folder.path()).unwrap();
        for (place, conversation) in conversations.into_iter().enumerate() {
            let turn = |turn: Turn| match turn.role.as_str() {
                "system" => Message::system(turn.content),
                "user" => Message::user(turn.content),
                _ => Message::assistant(turn.content),
            };
            let messages: Vec<Message> = conversation.messages.into_iter().map(turn).collect();
            let rendered = template.render(&messages);
            match (conversation.text, conversation.error) {
                (Some(text), _) => assert_eq!(rendered.unwrap(), text, "{name}, {place}"),
                (None, error) => {
                    let said = rendered.unwrap_err().to_string();
                    assert!(said.contains(&error.unwrap()), "{name}, {place}: {said}");
                }
            }
        }
    }
}

/// The tiny checkpoint with a template.
fn chatty(template: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(golden("tiny").join(file), folder.path().join(file)).unwrap();
    }
    write_template(folder.path(), template);
    folder
}

const TEMPLATE: &str = "{% for message in messages %}{% if message.role == 'assistant' %}\
    {{ raise_exception('no answers') }}{% endif %}[{{ message.role }}] {{ message.content }}\n{% endfor %}\
    {% if add_generation_prompt %}[assistant]{% endif %}";

fn ids(folder: &Path, arguments: &[&str]) -> Value {
    let mut command = ment();
    command.args(["predict", "--json", "--model"]).arg(folder).args(arguments);
    let assert = command.assert().success();
    serde_json::from_slice::<Value>(&assert.get_output().stdout).unwrap()["ids"].clone()
}

/// A run whose prompts are conversations: in the records, in the departures, in the identity, and verified.
#[test]
fn an_experiment_prompts_with_conversations() {
    let bench = Bench::tiny();
    let model = bench.path("model");
    bench::copy(&golden("tiny"), &model);
    write_template(&model, &TEMPLATE.replace("{{ raise_exception('no answers') }}", ""));
    let encoder = set_up_model("all-minilm-l6-v2");
    let config = Bench::tiny_config("[[no_edit]]\n")
        .replace(&format!("path = {:?}", golden("tiny")), "path = \"model\"")
        .replace("demonstrations = 0", &format!("demonstrations = 1\nencoder = {encoder:?}"));
    bench.config(&config);
    bench.run("plain").success();
    bench.config(&format!("{config}[prompt]\nchat = true\nsystem = \"code\"\n"));
    bench.run("chat").success();
    let prompts: Vec<String> = bench
        .records("chat")
        .into_iter()
        .filter_map(|record| match record {
            Record::Datum(datum) => Some(datum.prompt_text),
            _ => None,
        })
        .collect();
    assert!(!prompts.is_empty());
    for prompt in prompts {
        assert!(prompt.starts_with("[system] code\n[user] "), "{prompt}");
        assert!(prompt.contains("\n[assistant] ") && prompt.ends_with("\n[assistant]"), "{prompt}");
    }
    let manifest =
        |name: &str| fs::read_to_string(bench.path(&format!("{name}/manifest.json"))).unwrap();
    assert!(manifest("chat").contains("prompts are conversations in the model's chat template"));
    assert!(manifest("chat").contains("\"chat_template\": \""));
    assert!(!manifest("plain").contains("chat"), "a run without keeps its identity");
    let refused = |more: &str| {
        bench.config(&format!("{config}{more}"));
        bench::stderr(&bench.run("refused").code(2), bench.folder.path())
    };
    assert!(
        refused("[prompt]\nsystem = \"x\"\n").contains("prompt.system needs prompt.chat = true")
    );
    write_template(&model, TEMPLATE);
    let verified = bench.ment(&["verify", "chat"]).assert().failure();
    let said = String::from_utf8_lossy(&verified.get_output().stdout).into_owned();
    assert!(said.contains("chat_template differs"), "{said}");
    assert!(
        refused("[prompt]\nchat = true\n")
            .contains("the chat template fails, line 1 of it: no answers")
    );
}

#[test]
fn a_prompt_is_put_into_the_template() {
    let folder = chatty(TEMPLATE);
    let chat = ids(folder.path(), &["--chat", "--prompt", "def f"]);
    assert_eq!(chat, ids(folder.path(), &["--prompt", "[user] def f\n[assistant]"]));
    let system = ids(folder.path(), &["--chat", "--system", "code", "--prompt", "def f"]);
    let plain = "[system] code\n[user] def f\n[assistant]";
    assert_eq!(system, ids(folder.path(), &["--prompt", plain]));
    // Patching and generating take the same prompt.
    let target = ["--chat", "--prompt", "def add(a, b):", "--target", " best", "--json"];
    let mut command = ment();
    command.args(["patch", "--model"]).arg(folder.path()).args(target);
    let assert = command.assert();
    let said: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    let repair = &said["repairs"].as_array().and_then(|all| all.first()).unwrap_or(&said["failed"]);
    assert!(!repair.is_null(), "{said}");
    let mut ids = ment();
    ids.args(["predict", "--ids", "1,2", "--chat", "--model"]).arg(folder.path());
    let said = ids.assert().code(2).stdout("");
    assert!(String::from_utf8_lossy(&said.get_output().stderr).contains("--chat needs --prompt"));
    for command in ["generate", "predict"] {
        let mut refused = ment();
        refused.args([command, "--prompt", "x", "--chat", "--model"]).arg(golden("tiny"));
        let assert = refused.assert().code(2).stdout("");
        let said = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        assert!(said.contains("no chat template, neither as chat_template.jinja nor"), "{said}");
    }
}
