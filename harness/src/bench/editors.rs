//! Editors of whole matrices on the trained model, one error each, against plain code that does the same.

use super::peer::Peer;
use super::subject::{Subject, Wrong, context};
use super::versus::{in_turns, number, seconds};
use super::{BenchTask, Versus};
use crate::config::{Config, KeysConfig, MethodConfig};
use crate::edit::Edit;
use crate::engine::trace::Trace;
use crate::method::keys::KeyStatistics;
use crate::method::ment::LocateCache;
use crate::method::{self, LlmError, Method, Repair};
use crate::model::{self, Loaded, Options, Sequences};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

/// The editors, under their defaults, but with four beginnings for MEMIT instead of twenty.
const METHODS: &str = "
[model]
label = \"model\"
path = \".\"
[[fine_tuning]]
[[lora]]
[[memit]]
value.prefixes = 4
";

/// Editors of a loaded model.
pub(super) struct Editors {
    loaded: Loaded,
    methods: Vec<(MethodConfig, Box<dyn Method>)>,
    /// Files of second moments, which both sides read.
    cache: TempDir,
    beginnings: Vec<Vec<u32>>,
    essence: Vec<u32>,
}

impl Editors {
    /// Loads the model in `folder` once more, with its tokenizer.
    pub(super) fn load(folder: &Path) -> Result<Self> {
        let cache = tempfile::tempdir()?;
        let mut config =
            Config::of_methods(toml::from_str(METHODS)?).map_err(anyhow::Error::msg)?;
        config.model.cache = cache.path().into();
        let loaded = model::load(folder, Options::default())?;
        let methods = config.methods.clone().into_iter().zip(method::all(&config, &loaded)?);
        let keys = KeyStatistics::new(&KeysConfig::default(), &loaded, Vec::new(), cache.path())?;
        let beginnings = keys.beginnings(4).into_iter().map(<[u32]>::to_vec).collect();
        let essence = loaded.tokenizer.bare().encode(" is a")?;
        Ok(Self { methods: methods.collect(), loaded, cache, beginnings, essence })
    }

    /// Every editor on the error `wrong` of `subject`; each is handed to `done` when it is measured.
    pub(super) fn all(
        &self,
        subject: &Subject,
        wrong: &Wrong,
        peer: &mut Peer,
        done: &mut dyn FnMut(Result<Versus>) -> Result<()>,
    ) -> Result<()> {
        for (config, method) in &self.methods {
            done(self.versus(subject, (config, method.as_ref()), wrong, peer))?;
        }
        Ok(())
    }

    fn versus(
        &self,
        subject: &Subject,
        (config, method): (&MethodConfig, &dyn Method),
        wrong: &Wrong,
        peer: &mut Peer,
    ) -> Result<Versus> {
        let ours = self.repair(method, wrong)?; // estimates second moments, where they are needed
        let (task, mut request) = self.request(config)?;
        request["ids"] = json!(wrong.ids);
        request["target"] = json!(wrong.target);
        let mut found = None;
        let times = in_turns(
            || self.repair(method, wrong).map(drop),
            || {
                let answer = peer.ask("edit", request.clone())?;
                let (rank, theirs) = (&answer["rank"], number(&answer["probability"])?);
                let seen = ours.after;
                // Two dozen steps of Adam in another order of summation; the difference grows from step to step.
                ensure!(
                    (seen.target_rank == 1) == (*rank == json!(1))
                        && (seen.target_probability - theirs).abs() <= 0.02 * theirs.max(0.01),
                    "{}: the target ends at rank {} and probability {:.3e}, the peer's at {rank} and {theirs:.3e}",
                    method.label(),
                    seen.target_rank,
                    seen.target_probability
                );
                found = Some(theirs);
                seconds(&answer)
            },
        )?;
        let (rank, theirs) = (ours.after.target_rank, found.context("the peer took no turn")?);
        let detail = format!(
            "the target at rank {rank} and probability {:.4}, the peer's {theirs:.4}",
            ours.after.target_probability
        );
        Ok(times.of(subject, task, wrong.ids.len(), detail))
    }

    /// Name and settings of an editor as the peer knows it.
    fn request(&self, config: &MethodConfig) -> Result<(BenchTask, Value)> {
        let layers = self.loaded.model.spec().layers;
        Ok(match config {
            MethodConfig::FineTuning(own) => {
                let settings = json!({
                    "layer": own.place.of(layers), "steps": own.steps.0, "rate": own.rate.0, "bound": own.bound,
                });
                let request = json!({ "method": "fine_tuning", "settings": settings });
                (BenchTask::FineTuning, request)
            }
            MethodConfig::Lora(own) => {
                let settings = json!({
                    "rank": own.rank.0, "alpha": own.alpha.0, "steps": own.steps.0, "rate": own.rate.0, "seed": 0,
                });
                (BenchTask::Lora, json!({ "method": "lora", "settings": settings }))
            }
            MethodConfig::Memit(own) => {
                let (layers, value) = (own.layers.of(layers), own.value);
                let settings = json!({
                    "layers": layers, "weight": own.weight.0, "steps": value.steps.0, "rate": value.rate.0,
                    "decay": value.decay, "clamp": value.clamp.0, "divergence": value.divergence,
                });
                let request = json!({
                    "method": "memit", "settings": settings, "moments": self.moments(&layers)?,
                    "beginnings": self.beginnings, "essence": self.essence,
                });
                (BenchTask::Memit, request)
            }
            other => anyhow::bail!("{}: the peer does not know it", other.label()),
        })
    }

    /// Files of the second moments of `layers`, by layer.
    fn moments(&self, layers: &[usize]) -> Result<Value> {
        let mut files = serde_json::Map::new();
        for entry in std::fs::read_dir(self.cache.path())? {
            let path = entry?.path();
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            let of =
                |layer: &&usize| name.starts_with("keys-") && name.ends_with(&format!("-{layer}"));
            if let Some(layer) = layers.iter().find(of) {
                files.insert(layer.to_string(), json!(path));
            }
        }
        ensure!(files.len() == layers.len(), "second moments of some layers were not kept");
        Ok(files.into())
    }

    /// Repairs one error, from the ids on.
    fn repair(&self, method: &dyn Method, wrong: &Wrong) -> Result<Repair> {
        let model = self.loaded.model.as_ref();
        let sequences = Sequences::several(std::iter::once(&wrong.ids[..]), model.spec().device);
        let trace = Trace::new(model, &sequences, Edit::none());
        let at = wrong.ids.len() - 1;
        let argmax = u32::try_from(i64::try_from(trace.logits_at(model, at).argmax(0, false))?)?;
        let (ids, located) = (sequences.ids.squeeze_dim(0), LocateCache::default());
        let context = context(model, &ids, &trace, &located);
        method.repair(&context, &LlmError { at, target: wrong.target, argmax })
    }
}
