//! ROME, rank-one model editing (Meng et al. 2022), with the key averaged over the same beginnings on both sides of
//! the update (r-ROME, Gupta et al. 2024).

use super::keys::KeyStatistics;
use super::value::{Subject, Surrounding, ValuePlace, optimised};
use super::{LlmError, Method, Repair, RepairContext, WantedToken, outcome};
use crate::config::{MethodKind, RomeConfig};
use crate::edit::{Edit, Phases, Update};
use crate::engine::device::Clock;
use anyhow::Result;
use std::rc::Rc;
use tch::Kind;

/// ROME under one setting.
pub(super) struct Rome {
    pub(super) config: RomeConfig,
    pub(super) statistics: KeyStatistics,
    pub(super) surrounding: Rc<Surrounding>,
}

impl Rome {
    /// The rank-one update of the layer, whose right factor is the key as far as the text does not use it, and whose
    /// left factor makes the product at the key the wanted change of value.
    fn update(&self, context: &RepairContext<'_>, error: &LlmError) -> Result<Update> {
        let (model, wanted) = (context.model, WantedToken::new(context, error)?);
        let layer = self.config.place.of(model.spec().layers);
        let around = (&self.statistics, self.surrounding.as_ref());
        let value = (&self.config.value, layer, layer);
        let subjects = [Subject::new((model, &context.trace.edit), &wanted, around, value)?];
        let change = optimised(&subjects, layer, ValuePlace::Ffn, &self.config.value, model)?;
        let [subject] = subjects;
        let key = subject.key(layer);
        let direction = self
            .statistics
            .of(layer, model)?
            .whitened(&key.to_kind(Kind::Double).unsqueeze(1))?
            .squeeze_dim(1)
            .to_kind(Kind::Float);
        let direction = &direction / direction.norm();
        let wanted = subject.original(layer, ValuePlace::Ffn, model) + change.get(0);
        let left = (wanted - subject.ffn_output(layer, model)) / key.dot(&direction);
        let kind = model.spec().kind;
        let mut update = Update::rank_one(layer, &left.to_kind(kind), &direction.to_kind(kind));
        update.keys = Some(key.unsqueeze(0));
        Ok(update)
    }
}

impl Method for Rome {
    fn label(&self) -> &str {
        &self.config.label
    }

    fn kind(&self) -> MethodKind {
        MethodKind::Rome
    }

    fn effort(&self) -> usize {
        1 + self.config.value.prefixes
    }

    fn repair(&self, context: &RepairContext<'_>, error: &LlmError) -> Result<Repair> {
        let clock = Clock::start(context.model.spec().device);
        let edit = Edit::by(vec![self.update(context, error)?]);
        let seconds = Phases { estimate: clock.seconds(), ..Phases::default() };
        outcome::whole(context, error, edit, seconds)
    }

    fn deviations(&self) -> Vec<String> {
        vec![
            "no approach of the paper: the subject is the last token before the error; beginnings and \
             covariance are of the text of keys.from, not of what the model writes and of Wikipedia"
                .into(),
        ]
    }
}
