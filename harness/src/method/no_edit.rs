//! The control: every error is skipped.

use super::{LlmError, Method, Repair, RepairContext, observe};
use crate::config::{MethodKind, NoEditConfig};
use crate::edit::{Edit, Phases};
use anyhow::Result;

/// No edit.
pub(super) struct NoEdit(pub(super) NoEditConfig);

impl Method for NoEdit {
    fn label(&self) -> &str {
        &self.0.label
    }

    fn kind(&self) -> MethodKind {
        MethodKind::NoEdit
    }

    fn effort(&self) -> usize {
        0
    }

    fn repair(&self, context: &RepairContext<'_>, error: &LlmError) -> Result<Repair> {
        let logits = context.trace.logits_at(context.model, error.at).unsqueeze(0);
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
