//! Joint neuron repair, a method of this project. For each wanted token a direction of the FFN input of one layer is found
//! that recognises the prompts of its request and nothing else ([`detectors`]); a neuron that hardly does anything is given
//! to it, reads that direction from then on, and is silent below a threshold ([`neurons`]). The columns of these neurons are
//! solved for all requests together ([`solve`]).

mod detectors;
mod neurons;
mod solve;
mod wanted;

use self::detectors::{Detectors, Keys};
use self::neurons::{Given, Reading};
use self::wanted::{AT_ONCE, Piece, pieces};
use super::keys::KeyStatistics;
use super::{LlmError, Method, Repair, RepairContext, Request, Together, WantedToken, outcome};
use crate::config::{JointConfig, MethodKind};
use crate::edit::{Edit, Phases};
use crate::engine::device::Clock;
use crate::engine::tails::ffn_inputs;
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
    /// The FFN inputs `[k,D]` where predictions should stay: of the texts that `requests` hold, with the request of each, and
    /// of the edits that stand.
    fn held(
        &self,
        (model, standing): (&dyn CausalLm, &Edit),
        requests: &[Request],
    ) -> Result<(Tensor, Vec<Option<usize>>)> {
        let spec = model.spec();
        let none = Tensor::zeros([0, spec.d_model as i64], (Kind::Float, spec.device));
        let (mut keys, mut holders) = (vec![none], Vec::new());
        for (place, request) in requests.iter().enumerate() {
            let texts: Vec<_> = request.keep.iter().map(|own| (&own.ids[..], own.from)).collect();
            for texts in texts.chunks(AT_ONCE) {
                signal::check()?;
                let own = ffn_inputs(model, texts, standing, self.layer);
                keys.push(own.to_kind(Kind::Float));
            }
            let count: usize = texts.iter().map(|(ids, from)| ids.len() - from + 1).sum();
            holders.resize(holders.len() + count, Some(place));
        }
        for own in standing.inputs_of(self.layer).filter_map(|input| input.key.as_ref()) {
            holders.push(None);
            keys.push(own.unsqueeze(0));
        }
        Ok((Tensor::cat(&keys, 0), holders))
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
        let text = self.statistics.inputs_of(self.layer, model)?;
        let (spec, config) = (model.spec(), &self.config);
        let mut detectors = Detectors::default();
        let mut given = Given::none(self.layer);
        let mut vectors = Tensor::zeros([0, spec.d_model as i64], (Kind::Float, spec.device));
        let mut edits = vec![Edit::none(); requests.len()];
        for round in 1..=ROUNDS {
            let wrong = wrong(model, &texts)?;
            if !wrong.contains(&true) {
                break;
            }
            let keys = Keys::new(&texts, wrong, &held);
            detectors = keys.detectors(config, &text, detectors)?;
            given.extend(model, (&text, standing), detectors.wishes.len())?;
            let reading = Reading::new(model, self.layer, (&detectors, &text), config);
            let parts = (&detectors, &given, &reading);
            vectors = solve::solve((model, config, self.layer), parts, &vectors, &texts)?;
            if !bool::try_from(vectors.isfinite().all())? {
                return Err(InputError::new(format!(
                    "`{}`: the vectors are no finite numbers; lower rate",
                    config.label
                )));
            }
            edits = given.edits(model, (&detectors, &reading), &vectors, requests.len());
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
        let JointConfig { threshold, steps, rate, .. } = &self.config;
        vec![format!(
            "no approach of the paper, but one of this project: each wanted token takes over the neuron of layer {} that does \
             least on the text of keys.from; it reads a direction that recognises the prompt, is silent below {} of that \
             response, and its column is solved by Adam (rate {}, at most {} steps)",
            self.layer, threshold.0, rate.0, steps.0
        )]
    }
}
