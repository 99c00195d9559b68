//! Joint neuron repair, a method of this project. For each wanted token a group of neurons of one layer is weighted so
//! that it recognises the prompts of its request and nothing else ([`groups`]); one vector, times the weighted sum of
//! the group's post-activations, is added to the FFN output. The vectors of all requests are solved together
//! ([`solve`]).

mod groups;
mod solve;
mod wanted;

use self::groups::{Groups, Keys};
use self::wanted::{AT_ONCE, Piece, pieces};
use super::keys::KeyStatistics;
use super::preserved::keys_of;
use super::{LlmError, Method, Repair, RepairContext, Request, Together, WantedToken, outcome};
use crate::config::{JointConfig, MethodKind};
use crate::edit::{Edit, Phases, Update};
use crate::engine::device::Clock;
use crate::engine::tails::post_activations;
use crate::error::InputError;
use crate::model::CausalLm;
use crate::system::signal;
use anyhow::Result;
use tch::{Kind, Tensor};

/// Times that the requests are solved at most: tokens before the first wanted one may change with the edit, which is
/// seen when the texts are run again.
const ROUNDS: usize = 3;

/// Joint neuron repair under one setting.
pub(super) struct Joint {
    pub(super) config: JointConfig,
    /// The layer that is edited.
    pub(super) layer: usize,
    pub(super) statistics: KeyStatistics,
}

impl Joint {
    /// The keys `[k,F]` where predictions should stay: of the texts that `requests` hold, with the request of each, and
    /// of the edits that stand.
    fn held(
        &self,
        (model, standing): (&dyn CausalLm, &Edit),
        requests: &[Request],
    ) -> Result<(Tensor, Vec<Option<usize>>)> {
        let spec = model.spec();
        let none = Tensor::zeros([0, spec.d_ff as i64], (Kind::Float, spec.device));
        let (mut keys, mut holders) = (vec![none], Vec::new());
        for (place, request) in requests.iter().enumerate() {
            let texts: Vec<_> = request.keep.iter().map(|own| (&own.ids[..], own.from)).collect();
            for texts in texts.chunks(AT_ONCE) {
                signal::check()?;
                let own = post_activations(model, texts, standing, self.layer);
                keys.push(own.to_kind(Kind::Float));
            }
            let count: usize = texts.iter().map(|(ids, from)| ids.len() - from + 1).sum();
            holders.resize(holders.len() + count, Some(place));
        }
        if let Some(own) = keys_of(standing, self.layer) {
            holders.resize(holders.len() + own.size()[1] as usize, None);
            keys.push(own.tr().to_kind(Kind::Float));
        }
        Ok((Tensor::cat(&keys, 0), holders))
    }

    /// The edit of each of `requests`: an update of rank one for each of its groups.
    fn edits_of(
        &self,
        groups: &Groups,
        vectors: &Tensor,
        kind: Kind,
        requests: usize,
    ) -> Vec<Edit> {
        let mut edits = vec![Edit::none(); requests];
        for (row, wish) in groups.wishes.iter().enumerate() {
            let (weights, key) = (&groups.weights[row], &groups.keys[row]);
            let vector = vectors.get(row as i64).to_kind(kind);
            let mut update = Update::rank_one(self.layer, &vector, &weights.to_kind(kind));
            update.keys = Some(key.unsqueeze(0));
            edits[wish.request].updates.push(update);
        }
        edits
    }
}

/// True of the tokens of `pieces` that are not said.
fn wrong(model: &dyn CausalLm, pieces: &[Piece]) -> Result<Vec<bool>> {
    let spec = model.spec();
    let of = |piece: &Piece| {
        let rows = piece.tails.post_activations().size()[0];
        let nothing = Tensor::zeros([rows, spec.d_model as i64], (spec.kind, spec.device));
        Ok(Vec::<bool>::try_from(piece.wrong(&piece.logits(model, &nothing)))?)
    };
    let all: Vec<Vec<bool>> = pieces.iter().map(of).collect::<Result<_>>()?;
    Ok(all.concat())
}

impl Together for Joint {
    fn edits(
        &self,
        model: &dyn CausalLm,
        standing: &Edit,
        requests: &[Request],
    ) -> Result<Vec<Edit>> {
        let run = |edit: &Edit| pieces((model, edit), requests, self.layer);
        let mut texts = run(standing)?;
        let held = self.held((model, standing), requests)?;
        let text = self.statistics.of(self.layer, model)?;
        let moment = text.with_ridge(0.0).to_kind(Kind::Float);
        let (spec, mut groups) = (model.spec(), Groups::default());
        let zeros = |rows| Tensor::zeros([rows, spec.d_model as i64], (Kind::Float, spec.device));
        let mut vectors = zeros(0);
        let mut edits = vec![Edit::none(); requests.len()];
        for round in 1..=ROUNDS {
            let wrong = wrong(model, &texts)?;
            if !wrong.contains(&true) {
                break;
            }
            let keys = Keys::new(&texts, wrong, &held);
            groups = keys.groups(&self.config, &text, groups)?;
            let new = groups.wishes.len() as i64 - vectors.size()[0];
            let before = Tensor::cat(&[vectors, zeros(new)], 0);
            let setting = (model, &self.config);
            vectors =
                &before + solve::solve(setting, (&groups, &before), &texts, (self.layer, &moment))?;
            if !bool::try_from(vectors.isfinite().all())? {
                return Err(InputError::new(format!(
                    "`{}`: the vectors are no finite numbers; lower rate",
                    self.config.label
                )));
            }
            edits = self.edits_of(&groups, &vectors, spec.kind, requests.len());
            if round == ROUNDS {
                break;
            }
            let whole = edits.iter().fold(standing.clone(), |sum, own| sum.and(own));
            texts = run(&whole.merged())?;
        }
        Ok(edits)
    }
}

impl Method for Joint {
    fn label(&self) -> &str {
        &self.config.label
    }

    fn kind(&self) -> MethodKind {
        MethodKind::Joint
    }

    fn effort(&self) -> usize {
        1 + self.config.steps.0
    }

    fn repair(&self, context: &RepairContext<'_>, error: &LlmError) -> Result<Repair> {
        let clock = Clock::start(context.model.spec().device);
        let request = Request { wanted: vec![WantedToken::new(context, error)?], keep: Vec::new() };
        let edit = self.edits(context.model, &context.trace.edit, &[request])?.remove(0);
        let seconds = Phases { estimate: clock.seconds(), ..Phases::default() };
        outcome::whole(context, error, edit, seconds)
    }

    fn together(&self) -> Option<&dyn Together> {
        Some(self)
    }

    fn deviations(&self) -> Vec<String> {
        let JointConfig { neurons, steps, rate, .. } = &self.config;
        vec![format!(
            "no approach of the paper, but one of this project: for each wanted token a group of {} neurons of layer {}, \
             weighted so that it responds after the prompt and not on the text of keys.from, and one vector for the group, \
             solved by Adam (rate {}, at most {} steps)",
            neurons.0, self.layer, rate.0, steps.0
        )]
    }
}
