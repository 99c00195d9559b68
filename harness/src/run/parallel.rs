//! Prompts that go on with a wanted token, made of the pairs of a retrieval division.

use crate::config::Config;
use crate::dataset::{Dataset, Pair};
use crate::method::{ParallelPrompt, ParallelPrompts};
use crate::model::Loaded;
use crate::progress;
use crate::prompt::render;
use crate::retrieval::nearest;
use crate::signal;
use anyhow::Result;
use std::collections::HashMap;
use tch::Tensor;

/// A retrieval division, by the tokens of its outputs.
pub(super) struct Corpus<'a> {
    config: &'a Config,
    /// Index of the data set in the config.
    index: usize,
    pairs: &'a [Pair],
    /// Of the inputs, `[N, width]`, unit length.
    embeddings: Tensor,
    loaded: &'a Loaded,
    /// Pairs whose output holds a token.
    holding: HashMap<u32, Vec<i64>>,
}

impl<'a> Corpus<'a> {
    /// Tokenizes the outputs of `dataset`, the `index`-th of `config`.
    pub(super) fn new(
        config: &'a Config,
        index: usize,
        dataset: &'a Dataset,
        embeddings: Tensor,
        loaded: &'a Loaded,
    ) -> Result<Self> {
        let pairs = &dataset.retrieval;
        let mut corpus = Self { config, index, pairs, embeddings, loaded, holding: HashMap::new() };
        let bar = progress::bar("tokenize", pairs.len());
        for (place, pair) in pairs.iter().enumerate() {
            signal::check()?;
            let mut gold = corpus.tokenize(pair, &[])?.1;
            gold.sort_unstable();
            gold.dedup();
            for token in gold {
                corpus.holding.entry(token).or_default().push(place as i64);
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(corpus)
    }

    /// Prompt and gold of a pair after the demonstrations `nearest`, nearest first.
    fn tokenize(&self, pair: &Pair, nearest: &[usize]) -> Result<(Vec<u32>, Vec<u32>)> {
        let demonstrations: Vec<&Pair> = nearest.iter().map(|&index| &self.pairs[index]).collect();
        let dataset = &self.config.dataset[self.index];
        let text = render(dataset, self.config.retrieval.order, &demonstrations, &pair.input);
        let joint = self.loaded.tokenizer.encode_joint(&text, &pair.output)?;
        Ok((joint.prompt, joint.gold))
    }
}

/// A corpus as one datum sees it.
pub(super) struct Neighbourhood<'c> {
    pub(super) corpus: &'c Corpus<'c>,
    /// Embedding of the datum's input, `[width]`.
    pub(super) query: Tensor,
    /// The datum's own place in the corpus.
    pub(super) excluded: Option<usize>,
}

impl Neighbourhood<'_> {
    /// Demonstrations of the pair at `place`, nearest first: neither itself nor the datum at hand.
    fn demonstrations(&self, place: usize) -> Result<Vec<usize>> {
        let wanted = self.corpus.config.retrieval.demonstrations;
        if wanted == 0 {
            return Ok(Vec::new());
        }
        let embeddings = &self.corpus.embeddings;
        let query = embeddings.narrow(0, place as i64, 1);
        let mut found = nearest(&query, embeddings, wanted + 2, &[Some(place)])?.remove(0);
        found.retain(|&other| Some(other) != self.excluded);
        found.truncate(wanted);
        Ok(found)
    }
}

impl ParallelPrompts for Neighbourhood<'_> {
    fn find(&self, target: u32, count: usize, demonstrations: bool) -> Result<Vec<ParallelPrompt>> {
        let Some(places) = self.corpus.holding.get(&target) else { return Ok(Vec::new()) };
        let rows = Tensor::from_slice(places).to_device(self.corpus.embeddings.device());
        let scores = self.corpus.embeddings.index_select(0, &rows).mv(&self.query);
        let order = Vec::<i64>::try_from(scores.sort_stable(true, 0, true).1)?;
        let context = self.corpus.loaded.model.spec().context;
        let mut prompts = Vec::new();
        for place in order.into_iter().map(|row| places[row as usize] as usize) {
            if prompts.len() == count {
                break;
            }
            if Some(place) == self.excluded {
                continue;
            }
            let nearest = if demonstrations { self.demonstrations(place)? } else { Vec::new() };
            let (mut ids, gold) = self.corpus.tokenize(&self.corpus.pairs[place], &nearest)?;
            // Demonstrations never change how an output is tokenized, as a rule; where they do, the
            // pair is passed over.
            let Some(position) = gold.iter().position(|&token| token == target) else { continue };
            ids.extend(&gold[..position]);
            if ids.len() <= context {
                prompts.push(ids);
            }
        }
        Ok(prompts)
    }
}
