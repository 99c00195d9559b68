//! Detectors, one for each wanted token of each request: directions of the FFN input that recognise the prompts of the
//! request.

use super::wanted::{Piece, Token};
use crate::config::JointConfig;
use crate::error::InputError;
use crate::method::keys::LayerInputs;
use anyhow::Result;
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// FFN inputs of a layer, `[D]` each, f64, from which detectors are made.
pub(super) struct Keys {
    /// FFN inputs at the wanted tokens, `[n,D]`.
    wanted: Tensor,
    tokens: Vec<Token>,
    /// True of the tokens that the model does not say.
    wrong: Vec<bool>,
    /// FFN inputs where predictions should stay, `[k,D]`, with the request that says so; those of edits that stand,
    /// with none.
    held: Tensor,
    holders: Vec<Option<usize>>,
}

/// Detectors and what they are for.
#[derive(Default)]
pub(super) struct Detectors {
    /// The wish that each is for: any of its tokens.
    pub(super) wishes: Vec<Token>,
    /// Directions, `[D]` each, f64. The product with the FFN input is 1 in the mean at the tokens that the detector is for.
    pub(super) weights: Vec<Tensor>,
    /// Mean FFN inputs at those tokens, `[D]` each, f32.
    pub(super) keys: Vec<Tensor>,
}

impl Keys {
    /// The FFN inputs at the tokens of `pieces`, and `held`, with the requests that they are of.
    pub(super) fn new(
        pieces: &[Piece],
        wrong: Vec<bool>,
        (held, holders): &(Tensor, Vec<Option<usize>>),
    ) -> Self {
        let wanted: Vec<Tensor> = pieces.iter().map(Piece::read).collect();
        let tokens = pieces.iter().flat_map(|piece| piece.tokens.iter().copied()).collect();
        let wanted = Tensor::cat(&wanted, 0).to_kind(Kind::Double);
        Self { wanted, tokens, wrong, held: held.to_kind(Kind::Double), holders: holders.clone() }
    }

    /// The wishes that need a detector, with their tokens: those that the model does not say after half of their texts or
    /// more; if there is none, after some of them. Those of `having` have one.
    fn wishes(&self, having: &[Token]) -> Vec<(Token, Vec<i64>)> {
        let mut wishes: BTreeMap<Token, Vec<i64>> = BTreeMap::new();
        for (row, token) in (0..).zip(&self.tokens) {
            wishes.entry(*token).or_default().push(row);
        }
        wishes.retain(|token, _| !having.contains(token));
        let wrong = |rows: &[i64]| rows.iter().filter(|&&row| self.wrong[row as usize]).count();
        let some: Vec<(Token, Vec<i64>)> =
            wishes.into_iter().filter(|(_, rows)| wrong(rows) > 0).collect();
        let half: Vec<_> =
            some.iter().filter(|(_, rows)| 2 * wrong(rows) >= rows.len()).cloned().collect();
        if half.is_empty() { some } else { half }
    }

    /// A detector for each wish that needs one and is not among those of `detectors`, after these. Its direction w minimises
    ///
    /// pull · mean (w·a − 1)²  +  wᵀ C w  +  keep · mean (w·h)²  +  others · mean (w·o)²,
    ///
    /// a the FFN inputs at the wish, C their second moment on a text with a ridge, h those where predictions should stay by
    /// its request, o those at all other wanted tokens and of the edits that stand.
    ///
    /// # Errors
    /// If the second moment has no inverse.
    pub(super) fn detectors(
        &self,
        config: &JointConfig,
        text: &LayerInputs,
        mut detectors: Detectors,
    ) -> Result<Detectors> {
        let (size, device) = (text.mean.size()[0], text.mean.device());
        let ridge = text.second_moment.trace() * (config.ridge.0 / size as f64);
        let moment = &text.second_moment + Tensor::eye(size, (Kind::Double, device)) * ridge;
        let all = Tensor::cat(&[&self.wanted, &self.held], 0);
        for (token, wish) in self.wishes(&detectors.wishes) {
            let factors = Tensor::from_slice(&self.factors(config, token.request, &wish));
            let factors = factors.to_device(device).unsqueeze(1);
            let own = all.index_select(0, &Tensor::from_slice(&wish).to_device(device));
            let key = own.mean_dim([0_i64].as_slice(), false, Kind::Double);
            let system = &moment + all.tr().matmul(&(&all * factors));
            let (factor, info) = system.linalg_cholesky_ex(false, false);
            if i64::try_from(info)? != 0 {
                return Err(InputError::new(format!(
                    "`{}`: the second moment of the FFN inputs has no inverse; raise ridge",
                    config.label
                )));
            }
            let weights = key.unsqueeze(1).cholesky_solve(&factor, false).squeeze_dim(1);
            detectors.weights.push(&weights / weights.dot(&key));
            detectors.keys.push(key.to_kind(Kind::Float));
            detectors.wishes.push(token);
        }
        Ok(detectors)
    }

    /// Factor of each key in the system of `wish`: of its own, of those to hold, of the others.
    fn factors(&self, config: &JointConfig, request: usize, wish: &[i64]) -> Vec<f64> {
        let own = wish.len() as f64;
        let kept = self.holders.iter().filter(|holder| **holder == Some(request)).count();
        let standing = self.holders.iter().filter(|holder| holder.is_none()).count();
        let others = (self.tokens.len() - wish.len() + standing) as f64;
        let wanted = (0..self.tokens.len() as i64).map(|row| {
            if wish.contains(&row) { config.pull.0 / own } else { config.others / others }
        });
        let held = self.holders.iter().map(|holder| match holder {
            Some(of) if *of == request => config.keep / kept as f64,
            Some(_) => 0.0,
            None => config.others / others,
        });
        wanted.chain(held).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Keys, Token};
    use tch::{Device, Kind, Tensor};

    #[test]
    fn a_token_that_is_wrong_after_half_of_its_texts_comes_first() {
        let token = |place, target| Token { request: 0, place, target };
        // Two tokens of a target after three texts: the first wrong after all, the second after one.
        let tokens = [token(0, 5), token(1, 6)].repeat(3);
        let wrong = vec![true, false, true, true, true, false];
        let nothing = || Tensor::zeros([0, 4], (Kind::Double, Device::Cpu));
        let mut keys =
            Keys { wanted: nothing(), tokens, wrong, held: nothing(), holders: Vec::new() };
        assert_eq!(keys.wishes(&[]), [(token(0, 5), vec![0, 2, 4])]);
        // If that one has a detector, the other gets one too, as long as it is wrong.
        assert_eq!(keys.wishes(&[token(0, 5)]), [(token(1, 6), vec![1, 3, 5])]);
        keys.wrong.fill(false);
        assert!(keys.wishes(&[]).is_empty());
    }
}
