//! Parity ladder against `transformers`: embedding, attention, post-activation, FFN, block, final
//! norm, logits, gradients. The goldens' generator is scripts/goldens/models.py.
use crate::support::{model, relative, tensors};
use ment::config::{AttributedPositions, Locate, Quantity};
use ment::edit::Edit;
use ment::engine::block::block;
use ment::engine::forward::logits;
use ment::engine::gradient;
use ment::engine::trace::Trace;
use ment::method::ment::attribution;
use ment::model::Sequences;
use tch::{Device, Kind, Tensor};

/// f32 rounding accumulates over a few hundred operations; a wrong formula is far above this.
const TOLERANCE: f64 = 1e-4;

#[track_caller]
fn assert_close(what: &str, ours: &Tensor, reference: &Tensor) {
    let difference = relative(ours, reference);
    assert!(difference <= TOLERANCE, "{what}: off by {difference:.2e} of the largest entry");
}

/// Every rung on its own input, so that an error shows where it is made.
fn ladder(name: &str) {
    let (model, golden) = (model(name), tensors(&format!("{name}/golden.safetensors")));
    let ids = &golden["ids"];
    let position = Tensor::arange(ids.size()[1], (Kind::Int64, Device::Cpu)).unsqueeze(0);
    assert_close("embedding", &model.embed(ids, &position), &golden["embedding"]);
    for layer in 0..model.spec().layers {
        let of = |part: &str| &golden[&format!("layers.{layer}.{part}")];
        let input = model.attention_input(layer, of("input"));
        let attention = model.attention(layer).causal(&input, None);
        assert_close(&format!("{layer} attention"), &attention, of("attention"));
        let run = block(model.as_ref(), layer, of("input"), None, &Edit::none());
        assert_close(
            &format!("{layer} post-activation"),
            &run.post_activation,
            of("post_activation"),
        );
        let ffn = model.ffn_output(layer, &run.post_activation);
        assert_close(&format!("{layer} mlp"), &ffn, of("mlp"));
        assert_close(&format!("{layer} output"), &run.output, of("output"));
    }
    let last = &golden[&format!("layers.{}.output", model.spec().layers - 1)];
    assert_close("final norm", &model.final_norm(last), &golden["final_norm"]);
    assert_close("logits", &logits(model.as_ref(), ids, &Edit::none()), &golden["logits"]);
}

/// Gradient of the probability of the argmax token at position 8 with respect to every
/// post-activation, whatever part of the graph is kept; then MENT's own score from it, and at the
/// last position the same by cached keys and values.
fn gradients(name: &str) {
    const POSITION: usize = 8;
    let (model, golden) = (model(name), tensors(&format!("{name}/golden.safetensors")));
    let (model, layers) = (model.as_ref(), model.spec().layers);
    for row in 0..golden["ids"].size()[0] {
        let sequences = Sequences::one(&golden["ids"].get(row));
        let reference = |layer: usize| golden[&format!("gradient.{layer}")].get(row).unsqueeze(0);
        let products: Vec<Tensor> = (0..layers)
            .map(|layer| {
                let active = golden[&format!("layers.{layer}.post_activation")].get(row);
                (active * reference(layer).squeeze_dim(0)).narrow(0, 0, POSITION as i64 + 1)
            })
            .collect();
        let products = Tensor::stack(&products, 0);
        for budget in [0, 20_000, usize::MAX] {
            let trace = Trace::with_graphs(model, &sequences, Edit::none(), budget);
            let argmax = trace.logits_at(model, POSITION).argmax(0, false);
            let at = (POSITION, u32::try_from(i64::try_from(argmax).unwrap()).unwrap());
            gradient::gradients(model, &trace, at, Quantity::Probability, 0, |found| {
                let (layer, ours) = (found.layer, found.gradient);
                let reference = reference(layer);
                let covered = ours.size()[1];
                let reference = reference.narrow(1, POSITION as i64 + 1 - covered, covered);
                assert_close(&format!("gradient {layer}, budget {budget}"), ours, &reference);
            });
            let all = attribution(model, &trace, at, 0, &Locate::default(), budget);
            assert_close("input × gradient", &all, &products.norm_scalaropt_dim(2.0, [1], false));
            let config = Locate { positions: AttributedPositions::Last, ..Locate::default() };
            let last = attribution(model, &trace, at, 0, &config, budget);
            assert_close("at the last position", &last, &products.select(1, -1).abs());
        }
    }
}

/// A test of the ladder and of the gradients for each golden checkpoint.
macro_rules! parity {
    ($($name:ident: $folder:literal,)*) => {$(
        mod $name {
            #[test]
            fn ladder() {
                super::ladder($folder);
            }

            #[test]
            fn gradients() {
                super::gradients($folder);
            }
        }
    )*};
}

parity! {
    codegen: "codegen",
    gemma3: "architectures/gemma3",
    gpt2: "architectures/gpt2",
    gpt_bigcode: "architectures/gpt_bigcode",
    gpt_neo: "architectures/gpt_neo",
    gpt_neox: "architectures/gpt_neox",
    gpt_neox_sequential: "architectures/gpt_neox_sequential",
    gptj: "architectures/gptj",
    granite: "architectures/granite",
    llama: "llama",
    llama_dynamic: "architectures/llama_dynamic",
    llama_linear: "architectures/llama_linear",
    llama_llama3: "architectures/llama_llama3",
    llama_yarn: "architectures/llama_yarn",
    mistral: "architectures/mistral",
    olmo2: "architectures/olmo2",
    opt: "architectures/opt",
    phi: "architectures/phi",
    phi3: "architectures/phi3",
    qwen2: "qwen2",
    qwen2_window: "architectures/qwen2_window",
    qwen3: "architectures/qwen3",
    stablelm: "architectures/stablelm",
    stablelm_parallel: "architectures/stablelm_parallel",
    starcoder2: "architectures/starcoder2",
}
