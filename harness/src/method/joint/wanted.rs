//! The wanted tokens of all requests: the texts that they follow, run together.

use crate::edit::Edit;
use crate::engine::forward::argmax;
use crate::engine::tails::Tails;
use crate::method::{Request, WantedToken};
use crate::model::CausalLm;
use crate::system::signal;
use anyhow::Result;
use tch::{Kind, Tensor};

/// Texts that are run at once.
pub(super) const AT_ONCE: usize = 24;

/// A wanted token. The same token at the same place after several prompts of a request is one wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Token {
    pub(super) request: usize,
    /// Place after the first wanted token of its text.
    pub(super) place: usize,
    /// The token.
    pub(super) target: i64,
}

/// A text and the tokens that are wanted in it, each with the number of tokens before it.
struct Text<'r> {
    ids: &'r [u32],
    wanted: Vec<(usize, Token)>,
}

/// Texts that are run together.
pub(super) struct Piece {
    pub(super) tails: Tails,
    /// Rows of the tails after which a token is wanted, `[n]`.
    pub(super) rows: Tensor,
    /// Wanted tokens, in the order of the rows.
    pub(super) tokens: Vec<Token>,
    /// Their ids, `[n]`.
    pub(super) targets: Tensor,
}

/// Runs the texts of `requests` under `standing`, so that their last tokens can be run again above `layer`.
pub(super) fn pieces(
    (model, standing): (&dyn CausalLm, &Edit),
    requests: &[Request],
    layer: usize,
) -> Result<Vec<Piece>> {
    let all = requests.iter().enumerate();
    let mut texts: Vec<Text<'_>> =
        all.flat_map(|(request, own)| by_text(request, &own.wanted)).collect();
    texts.sort_by_key(|text| text.ids.len());
    let piece = |texts: &[Text<'_>]| {
        signal::check()?;
        let from = |text: &Text<'_>| text.wanted[0].0;
        let sequences: Vec<_> = texts.iter().map(|text| (text.ids, from(text))).collect();
        let tails = Tails::new(model, &sequences, standing, layer);
        let (mut rows, mut tokens, mut start) = (Vec::new(), Vec::new(), 0);
        for text in texts {
            for &(before, token) in &text.wanted {
                rows.push((start + before - from(text)) as i64);
                tokens.push(token);
            }
            start += text.ids.len() - from(text) + 1;
        }
        let placed = |values: &[i64]| Tensor::from_slice(values).to_device(model.spec().device);
        let targets: Vec<i64> = tokens.iter().map(|token| token.target).collect();
        Ok(Piece { tails, rows: placed(&rows), tokens, targets: placed(&targets) })
    };
    texts.chunks(AT_ONCE).map(piece).collect()
}

/// The texts of a request. Of texts of which each is the next one without its last id, the longest stands for all.
fn by_text(request: usize, wanted: &[WantedToken]) -> Vec<Text<'_>> {
    let mut order: Vec<&WantedToken> = wanted.iter().collect();
    order.sort_by_key(|wanted| std::cmp::Reverse(wanted.ids.len()));
    let mut texts: Vec<Text<'_>> = Vec::new();
    for wanted in order {
        let (before, target) = (wanted.ids.len(), i64::from(wanted.target));
        let token = (before, Token { request, place: 0, target });
        // Of one target the tokens follow one another; a text that only begins like another one stands alone.
        let goes_on = |text: &&mut Text<'_>| {
            let next = text.wanted.last().is_some_and(|(last, _)| *last == before + 1);
            next && text.ids.starts_with(&wanted.ids)
        };
        match texts.iter_mut().find(goes_on) {
            Some(text) => text.wanted.push(token),
            None => texts.push(Text { ids: &wanted.ids, wanted: vec![token] }),
        }
    }
    for text in &mut texts {
        text.wanted.reverse();
        let first = text.wanted[0].0;
        text.wanted.iter_mut().for_each(|(before, token)| token.place = *before - first);
    }
    texts
}

impl Piece {
    /// FFN inputs of the layer at the wanted tokens, `[n,D]`, f32.
    pub(super) fn read(&self) -> Tensor {
        self.tails.ffn_inputs().index_select(0, &self.rows).to_kind(Kind::Float)
    }

    /// Logits `[n,V]` of the wanted tokens where `added` `[n',D]` is added at all n' tokens of the tails.
    pub(super) fn logits(&self, model: &dyn CausalLm, added: &Tensor) -> Tensor {
        self.tails.logits(model, added).index_select(0, &self.rows)
    }

    /// Marks the tokens that `logits` `[n,V]` do not put first, `[n]`.
    pub(super) fn wrong(&self, logits: &Tensor) -> Tensor {
        argmax(logits).ne_tensor(&self.targets)
    }
}

#[cfg(test)]
mod tests {
    use super::by_text;
    use crate::method::WantedToken;

    #[test]
    fn tokens_of_one_target_are_one_text() {
        let wanted = |ids: &[u32]| WantedToken { ids: ids.to_vec(), target: 0, subject: None };
        let wanted = [wanted(&[1, 2]), wanted(&[1, 2, 3]), wanted(&[4, 5]), wanted(&[1, 3])];
        let found: Vec<(usize, Vec<(usize, usize)>)> = by_text(0, &wanted)
            .into_iter()
            .map(|text| {
                let tokens = text.wanted.iter().map(|(before, token)| (*before, token.place));
                (text.ids.len(), tokens.collect())
            })
            .collect();
        assert_eq!(found, [(3, vec![(2, 0), (3, 1)]), (2, vec![(2, 0)]), (2, vec![(2, 0)])]);
        // A prompt that begins another one is a text of its own.
        let wanted = [&[1][..], &[1, 2], &[1, 9, 9], &[1, 9, 9, 2]].map(|ids| WantedToken {
            ids: ids.to_vec(),
            target: 0,
            subject: None,
        });
        let places = |text: &super::Text<'_>| -> Vec<usize> {
            text.wanted.iter().map(|(_, token)| token.place).collect()
        };
        let found = by_text(0, &wanted);
        assert_eq!(found.iter().map(places).collect::<Vec<_>>(), [[0, 1], [0, 1]]);
    }
}
