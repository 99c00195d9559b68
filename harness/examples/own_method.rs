//! A method of one's own in one file: it pushes the most active neuron of the last layer towards the target
//! token, harder and harder. `cargo run --example own_method -- MODEL_FOLDER`.
//!
//! A method sees one error and returns an edit, which is data; it never touches the weights. To become a
//! row of the tables it needs settings in `config/` too: see `docs/extending.md`.

use anyhow::Result;
use ment::config::MethodKind;
use ment::edit::{ColumnDelta, Edit, Neuron};
use ment::edit::{Patched, Phases};
use ment::engine::forward;
use ment::method::{LlmError, Method, Repair, RepairContext, observe};
use ment::model;
use ment::model::Options;
use ment::own_model::patch::repair::{Task, repair};
use ment::own_model::patch::{free, methods};

/// Pushes tried, each twice as strong as the one before.
const PUSHES: i32 = 8;

struct MostActive;

impl Method for MostActive {
    fn label(&self) -> &str {
        "most active"
    }

    /// The kind that it shares its warm-up with.
    fn kind(&self) -> MethodKind {
        MethodKind::Ment
    }

    /// It back-propagates through nothing.
    fn effort(&self) -> usize {
        0
    }

    fn repair(&self, context: &RepairContext<'_>, error: &LlmError) -> Result<Repair> {
        let (model, layer) = (context.model, context.model.spec().layers - 1);
        // Post-activations `[F]` of the last layer at the error.
        let active = context.trace.post_activation[layer].select(1, error.at as i64).squeeze_dim(0);
        let index = i64::try_from(active.abs().argmax(0, false))? as usize;
        let activation = f64::try_from(active.get(index as i64))?;
        // Towards the target's row of the output head, away from that of the argmax.
        let head = model.head_matrix();
        let row = |token: u32| head.get(i64::from(token));
        let direction = (row(error.target) - row(error.argmax)) / activation;

        let neuron = Neuron { layer, index };
        let ids = context.ids.narrow(0, 0, error.at as i64 + 1).unsqueeze(0);
        let before = context.trace.logits_at(model, error.at).unsqueeze(0);
        let mut after = observe(&before, error.target)?[0];
        let mut edit = Edit::none();
        for push in 0..PUSHES {
            let delta = &direction * 2_f64.powi(push);
            edit = Edit::of(vec![ColumnDelta::new(neuron, delta)]);
            let logits = forward::logits(model, &ids, &context.trace.edit.and(&edit));
            after = observe(&logits.select(1, -1), error.target)?[0];
            if after.target_rank == 1 {
                break;
            }
        }
        let solved = after.target_rank == 1;
        let patched = Patched { neuron, candidate: 0, rank_gain: 0, log_ratio_gain: 0.0 };
        Ok(Repair {
            edit: if solved { edit } else { Edit::none() },
            solved,
            located: vec![neuron],
            neurons: vec![patched],
            parallel: None,
            after,
            seconds: Phases::default(),
        })
    }

    fn deviations(&self) -> Vec<String> {
        vec!["a method of one's own, which the paper does not have".into()]
    }
}

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).unwrap_or(".models/smollm2-135m-instruct".into());
    let loaded = model::load(folder.as_ref(), Options::default())?;
    let task = Task::new(&loaded, &loaded.tokenizer, "def add(a, b):\n    return", " b + a")?;
    let config = methods::one("ment", &[])?; // for the engine and the memory budget
    let repairs = repair(&loaded, &config, &MostActive, &task, &Edit::none())?;
    for shown in &repairs.done {
        println!("repaired  {:?} instead of {:?}", shown.repaired.target, shown.repaired.was);
    }
    if let Some(failed) = &repairs.failed {
        anyhow::bail!("not repaired: {}", failed.reason);
    }
    println!("edited    {:?}", free::write(&loaded, &task, &repairs.edit)?.text);
    Ok(())
}
