//! Parity ladder against `transformers`: embedding, attention, post-activation, FFN, block, final
//! norm, logits, gradients. The goldens' generator is scripts/goldens/models.py.
use crate::support::{model, relative, tensors};
use ment::config::Locate;
use ment::edit::Edit;
use ment::method::ment::attribution;
use ment::model::forward::{block, logits};
use ment::model::trace::Trace;
use tch::{Kind, Tensor};

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
    assert_close("embedding", &model.embed(ids), &golden["embedding"]);
    for layer in 0..model.spec().layers {
        let of = |part: &str| &golden[&format!("layers.{layer}.{part}")];
        let run = block(model.as_ref(), layer, of("input"), &Edit::none());
        assert_close(&format!("{layer} attention"), &run.attention, of("attention"));
        assert_close(
            &format!("{layer} post-activation"),
            &run.post_activation,
            of("post_activation"),
        );
        assert_close(&format!("{layer} mlp"), &run.ffn, of("mlp"));
        assert_close(&format!("{layer} output"), &run.output, of("output"));
    }
    let last = &golden[&format!("layers.{}.output", model.spec().layers - 1)];
    assert_close("final norm", &model.final_norm(last), &golden["final_norm"]);
    assert_close("logits", &logits(model.as_ref(), ids, &Edit::none()), &golden["logits"]);
}

/// Gradient of the probability of the argmax token at position 8 with respect to every
/// post-activation, by the same trace that MENT uses; then MENT's own score from it.
fn gradients(name: &str) {
    const POSITION: usize = 8;
    let (model, golden) = (model(name), tensors(&format!("{name}/golden.safetensors")));
    let layers = model.spec().layers;
    for row in 0..golden["ids"].size()[0] {
        let ids = golden["ids"].get(row);
        let trace = Trace::with_graph(model.as_ref(), &ids, Edit::none());
        let logits = trace.logits_at(model.as_ref(), POSITION);
        let argmax = logits.argmax(0, false);
        let probability = logits.softmax(0, Kind::Float).gather(0, &argmax.view([1]), false);
        let activations: Vec<&Tensor> = trace.post_activation.iter().collect();
        let ours = Tensor::run_backward(&[probability.sum(Kind::Float)], &activations, true, false);
        let mut scores = Vec::new();
        for layer in 0..layers {
            let reference = golden[&format!("gradient.{layer}")].get(row).unsqueeze(0);
            assert_close(&format!("gradient {layer}"), &ours[layer], &reference);
            let activation = golden[&format!("layers.{layer}.post_activation")].get(row);
            scores.push((activation * reference.squeeze_dim(0)).square().sum_dim_intlist(
                [0_i64].as_slice(),
                false,
                Kind::Float,
            ));
        }
        let token = u32::try_from(i64::try_from(argmax).unwrap()).unwrap();
        let ours = attribution(model.as_ref(), &trace, POSITION, token, 0, &Locate::default());
        assert_close("input × gradient", &ours, &Tensor::stack(&scores, 0).sqrt());
    }
}

#[test]
fn llama_ladder() {
    ladder("llama");
}

#[test]
fn llama_gradients() {
    gradients("llama");
}

#[test]
fn qwen2_ladder() {
    ladder("qwen2");
}

#[test]
fn qwen2_gradients() {
    gradients("qwen2");
}

#[test]
fn codegen_ladder() {
    ladder("codegen");
}

#[test]
fn codegen_gradients() {
    gradients("codegen");
}
