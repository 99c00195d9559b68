//! Groups of neurons, one for each wanted token of each request, which together recognise the prompts of the request.

use super::wanted::{Piece, Token};
use crate::config::JointConfig;
use crate::error::InputError;
use crate::method::keys::LayerKeys;
use anyhow::Result;
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// Post-activations of a layer, `[F]` each, f64, from which groups are made.
pub(super) struct Keys {
    /// Post-activations at the wanted tokens, `[n,F]`.
    wanted: Tensor,
    tokens: Vec<Token>,
    /// True of the tokens that the model does not say.
    wrong: Vec<bool>,
    /// Post-activations where predictions should stay, `[k,F]`, with the request that says so; those of edits that stand,
    /// with none.
    held: Tensor,
    holders: Vec<Option<usize>>,
}

/// Groups and what they are for.
#[derive(Default)]
pub(super) struct Groups {
    /// The wish that each is for: any of its tokens.
    pub(super) wishes: Vec<Token>,
    /// Weights of the neurons, `[F]` each, f32; zero beside the group. The weighted sum of the post-activations is 1 in the
    /// mean at the tokens that the group is for.
    pub(super) weights: Vec<Tensor>,
    /// Mean post-activations at those tokens, `[F]` each, f32.
    pub(super) keys: Vec<Tensor>,
}

impl Keys {
    /// The keys at the tokens of `pieces`, and `held`, with the requests that they are of.
    pub(super) fn new(
        pieces: &[Piece],
        wrong: Vec<bool>,
        (held, holders): &(Tensor, Vec<Option<usize>>),
    ) -> Self {
        let wanted: Vec<Tensor> = pieces.iter().map(Piece::active).collect();
        let tokens = pieces.iter().flat_map(|piece| piece.tokens.iter().copied()).collect();
        let wanted = Tensor::cat(&wanted, 0).to_kind(Kind::Double);
        Self { wanted, tokens, wrong, held: held.to_kind(Kind::Double), holders: holders.clone() }
    }

    /// The wishes that need a group, with their tokens: those that the model does not say after half of their texts or
    /// more; if there is none, after some of them. Those of `groups` have one.
    fn wishes(&self, groups: &[Token]) -> Vec<(Token, Vec<i64>)> {
        let mut wishes: BTreeMap<Token, Vec<i64>> = BTreeMap::new();
        for (row, token) in (0..).zip(&self.tokens) {
            wishes.entry(*token).or_default().push(row);
        }
        wishes.retain(|token, _| !groups.contains(token));
        let wrong = |rows: &[i64]| rows.iter().filter(|&&row| self.wrong[row as usize]).count();
        let some: Vec<(Token, Vec<i64>)> =
            wishes.into_iter().filter(|(_, rows)| wrong(rows) > 0).collect();
        let half: Vec<_> =
            some.iter().filter(|(_, rows)| 2 * wrong(rows) >= rows.len()).cloned().collect();
        if half.is_empty() { some } else { half }
    }

    /// A group for each wish that needs one and is not among those of `groups`, after these. Its weights w solve
    ///
    /// min  g · mean (w·a − 1)²  +  wᵀ C w  +  keep · mean (w·h)²  +  others · mean (w·o)²,
    ///
    /// a the keys of the wish, C the second moment of the keys of a text with a ridge, h the keys where predictions should
    /// stay by its request, o those at all other wanted tokens and of the edits that stand. First over all neurons; then again
    /// over those that contribute most.
    ///
    /// # Errors
    /// If the second moment has no inverse.
    pub(super) fn groups(
        &self,
        config: &JointConfig,
        text: &LayerKeys,
        mut groups: Groups,
    ) -> Result<Groups> {
        let wishes = self.wishes(&groups.wishes);
        if wishes.is_empty() {
            return Ok(groups);
        }
        let moment = text.with_ridge(config.ridge.0);
        let (factor, info) = moment.linalg_cholesky_ex(false, false);
        if i64::try_from(info)? != 0 {
            return Err(InputError::new(format!(
                "`{}`: the second moment of the keys has no inverse; raise ridge",
                config.label
            )));
        }
        let all = Tensor::cat(&[&self.wanted, &self.held], 0);
        let inverse = all.tr().cholesky_solve(&factor, false); // C⁻¹ X, [F,n]
        let products = all.matmul(&inverse);
        let count = (config.neurons.0 as i64).min(all.size()[1]);
        for (token, wish) in wishes {
            let factors = self.factors(config, token.request, &wish);
            let own = |all: &Tensor| all.index_select(0, &index(&wish, all));
            let key = own(&all).mean_dim([0_i64].as_slice(), false, Kind::Double);
            // The system over all neurons by Woodbury, as C is factored once.
            let used: Vec<i64> =
                (0..).zip(&factors).filter(|(_, f)| **f > 0.0).map(|(r, _)| r).collect();
            let used_factors: Vec<f64> = used.iter().map(|&row| factors[row as usize]).collect();
            let used = index(&used, &all);
            let used_factors = Tensor::from_slice(&used_factors).to_device(all.device());
            let mean = |of: &Tensor, dim| {
                of.index_select(dim, &index(&wish, of)).mean_dim(
                    [dim].as_slice(),
                    false,
                    Kind::Double,
                )
            };
            let inner = products.index_select(0, &used).index_select(1, &used)
                + used_factors.reciprocal().diag(0);
            let right = mean(&products.index_select(0, &used), 1);
            let solved = Tensor::linalg_solve(&inner, &right.unsqueeze(1), true);
            let whole =
                mean(&inverse, 1) - inverse.index_select(1, &used).matmul(&solved).squeeze_dim(1);
            let (_, group) = (&whole * &key).abs().topk(count, 0, true, false);
            let keys = all.index_select(0, &used).index_select(1, &group);
            let system = moment.index_select(0, &group).index_select(1, &group)
                + keys.tr().matmul(&(&keys * used_factors.unsqueeze(1)));
            let within = key.index_select(0, &group);
            let weights = Tensor::linalg_solve(&system, &within.unsqueeze(1), true).squeeze_dim(1);
            let weights = &weights / weights.dot(&within);
            groups.wishes.push(token);
            let whole = key.zeros_like().index_add(0, &group, &weights);
            groups.weights.push(whole.to_kind(Kind::Float));
            groups.keys.push(key.to_kind(Kind::Float));
        }
        Ok(groups)
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

fn index(rows: &[i64], like: &Tensor) -> Tensor {
    Tensor::from_slice(rows).to_device(like.device())
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
        // If that one has a group, the other gets one too, as long as it is wrong.
        assert_eq!(keys.wishes(&[token(0, 5)]), [(token(1, 6), vec![1, 3, 5])]);
        keys.wrong.fill(false);
        assert!(keys.wishes(&[]).is_empty());
    }
}
