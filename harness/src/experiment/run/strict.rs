//! `execution.strict`: after every trial the weights must be what they were before the first.

use crate::config::Config;
use crate::model::CausalLm;
use anyhow::{Result, ensure};
use sha2::{Digest, Sha256};
use tch::{Kind, Tensor};

/// Hash of the matrices that edits may touch; `None` unless `execution.strict` is set.
pub(super) struct Weights(Option<String>);

impl Weights {
    pub(super) fn of(config: &Config, model: &dyn CausalLm) -> Result<Self> {
        config.execution.strict.then(|| hash(model)).transpose().map(Self)
    }

    /// # Errors
    /// If the weights are others now: a trial did not undo its edit.
    pub(super) fn check(&self, model: &dyn CausalLm, trial: &impl std::fmt::Display) -> Result<()> {
        let Some(before) = &self.0 else { return Ok(()) };
        ensure!(
            *before == hash(model)?,
            "trial {trial} left the weights changed, which is a bug of this program; the trial is \
             not recorded"
        );
        Ok(())
    }
}

/// Hash of every FFN output matrix, widened to f32, which keeps different values different.
fn hash(model: &dyn CausalLm) -> Result<String> {
    let mut hash = Sha256::new();
    for layer in 0..model.spec().layers {
        let values: Tensor = model.ffn_output_matrix(layer).to_kind(Kind::Float).flatten(0, -1);
        for value in Vec::<f32>::try_from(values)? {
            hash.update(value.to_le_bytes());
        }
    }
    Ok(format!("{:x}", hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::Weights;
    use crate::config::Config;
    use crate::model::{Options, load_weights};
    use std::path::Path;

    #[test]
    fn a_changed_weight_is_found() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/goldens/tiny");
        let (model, _) = load_weights(&folder, Options::default()).unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/patching.toml");
        let mut config = Config::read(&root).unwrap();
        let carefree = Weights::of(&config, model.as_ref()).unwrap();
        config.execution.strict = true;
        let strict = Weights::of(&config, model.as_ref()).unwrap();
        strict.check(model.as_ref(), &"1").unwrap();
        let _ = model.ffn_output_matrix(1).data().get(0).g_add_scalar_(1e-6);
        carefree.check(model.as_ref(), &"2").unwrap();
        assert!(
            strict.check(model.as_ref(), &"2").unwrap_err().to_string().contains("trial 2 left")
        );
    }
}
