//! The registry of architectures: a `config.json` in, a [`Blueprint`] out. A file each.

mod codegen;
mod gemma3;
mod gpt2;
mod gpt_bigcode;
mod gpt_neo;
mod gpt_neox;
mod gptj;
mod granite;
mod llama;
mod mistral;
mod olmo2;
mod opt;
mod phi;
mod phi3;
mod qwen;
mod stablelm;
mod starcoder2;

use super::blueprint::Blueprint;
use super::settings::Settings;
use serde_json::Value;

/// Reads a config, and refuses what the blueprint would not compute.
type Reader = fn(&Settings<'_>) -> Result<Blueprint, String>;

/// Every architecture by its `model_type`. One line each.
const ARCHITECTURES: &[(&str, Reader)] = &[
    ("codegen", codegen::read),
    ("gemma3_text", gemma3::read),
    ("gpt2", gpt2::read),
    ("gpt_bigcode", gpt_bigcode::read),
    ("gpt_neo", gpt_neo::read),
    ("gpt_neox", gpt_neox::read),
    ("gptj", gptj::read),
    ("granite", granite::read),
    ("llama", llama::read),
    ("mistral", mistral::read),
    ("olmo2", olmo2::read),
    ("opt", opt::read),
    ("phi", phi::read),
    ("phi3", phi3::read),
    ("qwen2", qwen::read2),
    ("qwen3", qwen::read3),
    ("stablelm", stablelm::read),
    ("starcoder2", starcoder2::read),
];

/// Keys that give a model's number of experts.
const EXPERTS: [&str; 4] =
    ["num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"];

/// The architecture that `config` describes.
///
/// # Errors
/// If its type, or a setting of it, is not computed.
pub(super) fn blueprint(config: &Value) -> Result<Blueprint, String> {
    let name = config["model_type"].as_str().ok_or("it names no model_type")?;
    if let Some((_, read)) = ARCHITECTURES.iter().find(|(own, _)| *own == name) {
        return read(&Settings(config));
    }
    if EXPERTS.iter().any(|key| config[key].as_u64().is_some_and(|experts| experts > 1)) {
        return Err(format!(
            "model_type {name:?} is a mixture of experts, which is not supported: a neuron of an expert acts \
             only on the tokens that are routed to it, and an edit may change the routing"
        ));
    }
    let hint = if config["text_config"].is_object() {
        "; of models with pictures or sound, none is (its text model alone may be, as a checkpoint of its own)"
    } else {
        ""
    };
    let names: Vec<String> = ARCHITECTURES.iter().map(|(name, _)| format!("{name:?}")).collect();
    let names = names.join(", ");
    Err(format!("model_type {name:?} is not supported{hint}; supported: {names}"))
}

/// The order of the outputs of a projection that holds, for each head, its query, its key and its value: all
/// queries first, then all keys, then all values.
fn by_head(heads: usize, dim: usize) -> Vec<i64> {
    let row = |part: usize, head: usize, entry: usize| ((head * 3 + part) * dim + entry) as i64;
    (0..3)
        .flat_map(|part| (0..heads).map(move |head| (part, head)))
        .flat_map(|(part, head)| (0..dim).map(move |entry| row(part, head, entry)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{ARCHITECTURES, blueprint};
    use serde_json::json;

    #[test]
    fn names_are_sorted_and_stand_once() {
        assert!(ARCHITECTURES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn what_is_not_computed_is_refused_by_name() {
        let refused = |config| blueprint(&config).err().expect("a refusal");
        let experts = refused(json!({"model_type": "mixtral", "num_local_experts": 8}));
        assert!(experts.contains("\"mixtral\" is a mixture of experts"), "{experts}");
        let pictures = refused(json!({"model_type": "gemma3", "text_config": {}}));
        assert!(pictures.contains("its text model alone may be"), "{pictures}");
        assert!(refused(json!({})).contains("no model_type"));
    }
}
