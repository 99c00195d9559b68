//! Fine-tuning, LoRA, ROME, MEMIT, AlphaEdit and Joint against the same by plain PyTorch, on the checkpoint `tiny`.

use crate::support::{golden, relative};
use ment::config::{Config, Engine};
use ment::edit::{Edit, Neuron};
use ment::engine::forward::logits_with_weights_edited;
use ment::engine::trace::Trace;
use ment::method::ment::LocateCache;
use ment::method::{
    self, HeldText, LlmError, NoParallelPrompts, RepairContext, Request, WantedToken,
};
use ment::model::{self, Options, Sequences};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use tch::Tensor;

/// f32, and tens of steps of an optimiser, which carry each rounding on.
const TOLERANCE: f64 = 1e-4;

#[derive(Deserialize)]
struct Facts {
    tokens: usize,
    prefixes: usize,
    /// Tokens behind the subject, where it is not the last.
    back: usize,
    /// The settings of ROME that are others there.
    span: BTreeMap<String, f64>,
    settings: BTreeMap<String, Value>,
    cases: Vec<Case>,
    joint: Joint,
}

/// Requests that are repaired together.
#[derive(Deserialize)]
struct Joint {
    settings: toml::Table,
    requests: Vec<JointRequest>,
    /// The neuron that each request is given.
    neurons: Vec<usize>,
    /// Prompts of each request after which the model says the target then.
    said: Vec<Vec<bool>>,
}

#[derive(Deserialize)]
struct JointRequest {
    wanted: Vec<(Vec<u32>, u32)>,
    keep: Vec<(Vec<u32>, usize)>,
}

#[derive(Deserialize)]
struct Case {
    ids: Vec<i64>,
    methods: BTreeMap<String, Wanted>,
}

#[derive(Deserialize)]
struct Wanted {
    target: u32,
    /// True if the update makes the target the argmax.
    solved: bool,
}

/// The settings of the golden as keys of the config.
fn config(facts: &Facts) -> Config {
    let text = golden("editors.txt");
    let keys = format!("keys = {{ from = {text:?}, tokens = {} }}", facts.tokens);
    let value = |own: &Value| {
        let of = |key: &str| own[key].to_string();
        format!(
            "value = {{ steps = {}, rate = {}, decay = {}, clamp = {:?}, divergence = {}, prefixes = {} }}",
            of("steps"),
            of("rate"),
            of("decay"),
            own["clamp"].as_f64().unwrap(),
            of("divergence"),
            facts.prefixes
        )
    };
    let [tuned, lora, rome, memit, alpha] =
        ["fine_tuning", "lora", "rome", "memit", "alpha_edit"].map(|name| &facts.settings[name]);
    let mut span = rome.clone();
    for (key, value) in &facts.span {
        span[key] = (*value).into();
    }
    let toml = format!(
        "[model]\nlabel = \"tiny\"\npath = {:?}\ncache = \"\"\n[[dataset]]\nname = \"conala\"\nfrom = \"x\"\n\
         [[fine_tuning]]\nlabel = \"fine_tuning\"\nplace.layer = {}\nsteps = {}\nrate = {}\nbound = {}\n\
         [[lora]]\nlabel = \"lora\"\nrank = {}\nalpha = {:?}\nsteps = {}\nrate = {}\n\
         [[rome]]\nlabel = \"rome\"\nplace.layer = {}\n{}\n{keys}\n\
         [[memit]]\nlabel = \"memit\"\nlayers.named = {}\nweight = {:?}\n{}\n{keys}\n\
         [[alpha_edit]]\nlabel = \"alpha_edit\"\nlayers.named = {}\nthreshold = {}\nridge = {}\n{}\n{keys}\n\
         [[rome]]\nlabel = \"rome_span\"\nplace.layer = {}\n{}\n{keys}\n",
        golden("tiny"),
        tuned["layer"],
        tuned["steps"],
        tuned["rate"],
        tuned["bound"],
        lora["rank"],
        lora["alpha"].as_f64().unwrap(),
        lora["steps"],
        lora["rate"],
        rome["layer"],
        value(rome),
        memit["layers"],
        memit["weight"].as_f64().unwrap(),
        value(memit),
        alpha["layers"],
        alpha["threshold"],
        alpha["ridge"],
        value(alpha),
        rome["layer"],
        value(&span),
    );
    toml::from_str(&toml).unwrap()
}

#[test]
fn updates_are_those_of_plain_pytorch() {
    let facts: Facts =
        serde_json::from_str(&fs::read_to_string(golden("editors.json")).unwrap()).unwrap();
    let goldens = Tensor::read_safetensors(golden("editors.safetensors")).unwrap();
    let goldens: HashMap<String, Tensor> = goldens.into_iter().collect();
    let loaded = model::load(&golden("tiny"), Options::default()).unwrap();
    let methods = method::all(&config(&facts), &loaded).unwrap();
    let mut compared = 0;
    for (number, case) in facts.cases.iter().enumerate() {
        let ids = Tensor::from_slice(&case.ids);
        let model = loaded.model.as_ref();
        let trace = Trace::new(model, &Sequences::one(&ids), Edit::none());
        let at = case.ids.len() - 1;
        let argmax = i64::try_from(trace.logits_at(model, at).argmax(0, false)).unwrap() as u32;
        let located = LocateCache::default();
        let context = |subject| RepairContext {
            model,
            ids: &ids,
            trace: &trace,
            located: &located,
            engine: Engine::Replay,
            memory: 1 << 28,
            parallel: &NoParallelPrompts,
            hint: None,
            subject,
            seed: 0,
        };
        for (label, &Wanted { target, solved }) in &case.methods {
            let error = LlmError { at, target, argmax };
            let method = methods.iter().find(|own| own.label() == label).unwrap();
            let subject = label.ends_with("_span").then(|| at - facts.back);
            let repair = method.repair(&context(subject), &error).unwrap();
            assert_eq!(repair.solved, solved, "{label} on prompt {number}");
            for update in &repair.edit.updates {
                let wanted = &goldens[&format!("{label}.{number}.{}", update.layer)];
                let difference = relative(&update.change.matrix(), wanted);
                assert!(
                    difference < TOLERANCE,
                    "{label} on prompt {number}, layer {}: {difference:.2e}",
                    update.layer
                );
                compared += 1;
            }
        }
    }
    let single = goldens.keys().filter(|name| !name.starts_with("joint")).count();
    assert!(compared + 1 >= single, "all goldens but one are of a solved error");
}

#[test]
fn requests_are_repaired_together_as_in_plain_pytorch() {
    let facts: Facts =
        serde_json::from_str(&fs::read_to_string(golden("editors.json")).unwrap()).unwrap();
    let goldens = Tensor::read_safetensors(golden("editors.safetensors")).unwrap();
    let goldens: HashMap<String, Tensor> = goldens.into_iter().collect();
    let loaded = model::load(&golden("tiny"), Options::default()).unwrap();
    let model = loaded.model.as_ref();
    let mut settings = facts.joint.settings;
    let layer = settings.remove("layer").unwrap();
    let joint_layer = layer.as_integer().unwrap() as usize;
    let config = format!(
        "[model]\nlabel = \"tiny\"\npath = {:?}\ncache = \"\"\n[[dataset]]\nname = \"conala\"\nfrom = \"x\"\n[[joint]]\nplace.layer = {layer}\nkeys = {{ from = {:?}, tokens = {} }}\n{settings}",
        golden("tiny"),
        golden("editors.txt"),
        facts.tokens
    );
    let method = method::all(&toml::from_str(&config).unwrap(), &loaded).unwrap().remove(0);
    let request = |own: &JointRequest| {
        let wanted = own.wanted.iter().map(|(ids, target)| WantedToken {
            ids: ids.clone(),
            target: *target,
            subject: None,
        });
        let keep = own.keep.iter().map(|(ids, from)| HeldText { ids: ids.clone(), from: *from });
        Request { wanted: wanted.collect(), keep: keep.collect() }
    };
    let requests: Vec<Request> = facts.joint.requests.iter().map(request).collect();
    let edits = method.together().unwrap().edits(model, &Edit::none(), &requests).unwrap();
    for (number, edit) in edits.iter().enumerate() {
        let ([input], [column]) = (&edit.inputs[..], &edit.columns[..]) else {
            panic!("one neuron a request")
        };
        let neuron = Neuron { layer: joint_layer, index: facts.joint.neurons[number] };
        assert_eq!([input.neuron, column.neuron], [neuron; 2], "request {number}");
        let ours = [
            ("gate", input.rows.get(0)),
            ("up", input.rows.get(1)),
            ("column", column.delta.copy()),
        ];
        for (name, ours) in ours {
            let difference = relative(&ours, &goldens[&format!("joint.{number}.{name}")]);
            // The steps of Adam add up what the rows differ by.
            let tolerance = if name == "column" { 10.0 * TOLERANCE } else { TOLERANCE };
            assert!(difference < tolerance, "request {number}, {name}: {difference:.2e}");
        }
    }
    // What the golden says of the prompts is what the edits do, written into the weights.
    let whole = edits.iter().fold(Edit::none(), |sum, own| sum.and(own));
    for (request, said) in requests.iter().zip(&facts.joint.said) {
        for (wanted, &said) in request.wanted.iter().zip(said) {
            let ids: Vec<i64> = wanted.ids.iter().map(|&id| i64::from(id)).collect();
            let logits = logits_with_weights_edited(model, &Tensor::from_slice(&ids), &whole);
            let argmax = i64::try_from(logits.argmax(0, false)).unwrap();
            assert_eq!(argmax == i64::from(wanted.target), said);
        }
    }
}
