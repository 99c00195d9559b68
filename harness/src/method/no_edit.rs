//! The control: every error is skipped.

use super::{Kind, LlmError, Method, Repair, Scene, observe};
use crate::config::{Config, NoEditConfig};
use crate::edit::Edit;
use crate::record::Phases;
use anyhow::Result;

/// No edit.
struct NoEdit(NoEditConfig);

/// One a `[[no_edit]]` entry.
pub(super) fn all(config: &Config) -> impl Iterator<Item = Box<dyn Method>> {
    config.no_edit.iter().map(|config| Box::new(NoEdit(config.clone())) as Box<dyn Method>)
}

impl Method for NoEdit {
    fn label(&self) -> &str {
        &self.0.label
    }

    fn kind(&self) -> Kind {
        Kind::NoEdit
    }

    fn keeps_edits(&self) -> bool {
        false
    }

    fn differentiates_the_datum(&self) -> bool {
        false
    }

    fn repair(&self, scene: &Scene<'_>, error: &LlmError) -> Result<Repair> {
        let logits = scene.trace.logits_at(scene.model, error.at).unsqueeze(0);
        Ok(Repair {
            edit: Edit::none(),
            solved: false,
            located: Vec::new(),
            neurons: Vec::new(),
            parallel: None,
            after: observe(&logits, error.target)?[0],
            seconds: Phases::default(),
        })
    }

    fn deviations(&self) -> Vec<String> {
        Vec::new()
    }
}
