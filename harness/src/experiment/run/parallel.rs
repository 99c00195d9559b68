//! Prompts that go on with a wanted token, made of the pairs of a retrieval division.

use super::ids::ids;
use crate::config::Config;
use crate::data::dataset::{Dataset, Pair};
use crate::experiment::retrieval::{COPIES, nearest};
use crate::method::{ParallelPrompt, ParallelPrompts};
use crate::model::Loaded;
use crate::system::{progress, signal};
use anyhow::Result;
use std::collections::HashMap;
use tch::Tensor;

/// A retrieval division, by the tokens of its outputs.
pub(super) struct Corpus<'a> {
    config: &'a Config,
    /// Index of the data set in the config.
    index: usize,
    pairs: &'a [Pair],
    /// Embeddings of the inputs, `[N, width]`, unit length.
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
        let joint = ids((self.config, self.index), self.loaded, &demonstrations, pair)?;
        Ok((joint.prompt, joint.gold))
    }
}

/// A corpus as one datum sees it.
pub(super) struct ParallelIndex<'c> {
    pub(super) corpus: &'c Corpus<'c>,
    /// Embedding of the datum's input, `[width]`.
    pub(super) query: Tensor,
    /// The datum, where it is of the corpus: neither it nor a copy of it is its own parallel.
    pub(super) excluded: Option<&'c Pair>,
}

impl ParallelIndex<'_> {
    /// Demonstrations of the pair at `place`, nearest first, without itself and the datum of the error.
    fn demonstrations(&self, place: usize) -> Result<Vec<usize>> {
        let wanted = self.corpus.config.retrieval.demonstrations;
        if wanted == 0 {
            return Ok(Vec::new());
        }
        let embeddings = &self.corpus.embeddings;
        let query = embeddings.narrow(0, place as i64, 1);
        let found = nearest(&query, embeddings, wanted + COPIES, &[Some(place)])?.remove(0);
        let own = &self.corpus.pairs[place];
        let other = |&other: &usize| !self.is_excluded(other) && self.corpus.pairs[other] != *own;
        Ok(found.into_iter().filter(other).take(wanted).collect())
    }

    fn is_excluded(&self, place: usize) -> bool {
        self.excluded == Some(&self.corpus.pairs[place])
    }
}

impl ParallelPrompts for ParallelIndex<'_> {
    fn find(&self, target: u32, count: usize, demonstrations: bool) -> Result<Vec<ParallelPrompt>> {
        let Some(places) = self.corpus.holding.get(&target) else { return Ok(Vec::new()) };
        let rows = Tensor::from_slice(places).to_device(self.corpus.embeddings.device());
        let scores = self.corpus.embeddings.mv(&self.query).index_select(0, &rows);
        let order = Vec::<i64>::try_from(scores.sort_stable(true, 0, true).1)?;
        let context = self.corpus.loaded.model.spec().context;
        let mut prompts = Vec::new();
        for place in order.into_iter().map(|row| places[row as usize] as usize) {
            if prompts.len() == count {
                break;
            }
            if self.is_excluded(place) {
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

#[cfg(test)]
mod tests {
    use super::{Corpus, ParallelIndex};
    use crate::config::Config;
    use crate::data::dataset::{Dataset, DatasetName, Pair};
    use crate::method::ParallelPrompts;
    use crate::model::{self, Loaded};
    use std::path::{Path, PathBuf};
    use tch::Tensor;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    /// Five pairs; the first and the last are one. Their embeddings turn away from the first axis.
    fn setting(demonstrations: usize) -> (Config, Dataset, Tensor, Loaded) {
        let text = format!(
            "[model]\nlabel = \"tiny\"\npath = \"x\"\n[retrieval]\ndemonstrations = \
             {demonstrations}\n[[dataset]]\nname = \"conala\"\nfrom = \"x\"\n"
        );
        let pair = |input: &str, output: &str| Pair { input: input.into(), output: output.into() };
        let retrieval = vec![
            pair("one", "x = 1"),
            pair("two", "y = 2"),
            pair("three", "print(z)"),
            pair("four", "w + 4"),
            pair("one", "x = 1"),
        ];
        let dataset = Dataset {
            name: DatasetName::CONALA,
            retrieval,
            inference: Vec::new(),
            beside: Vec::new(),
            files: Vec::new(),
            deviations: Vec::new(),
        };
        let angles = Tensor::from_slice(&[0.0_f32, 0.3, 0.1, 0.2, 0.0]);
        let embeddings = Tensor::stack(&[angles.cos(), angles.sin()], 1);
        let tiny = root().join("scripts/goldens/tiny");
        let loaded = model::load(&tiny, model::Options::default()).expect("the tiny checkpoint");
        (toml::from_str(&text).expect("a config"), dataset, embeddings, loaded)
    }

    fn find(demonstrations: usize, excluded: Option<usize>, count: usize) -> Vec<String> {
        let (config, dataset, embeddings, loaded) = setting(demonstrations);
        let corpus = Corpus::new(&config, 0, &dataset, embeddings, &loaded).expect("tokenized");
        let excluded = excluded.map(|place| &dataset.retrieval[place]);
        let query = Tensor::from_slice(&[1.0_f32, 0.0]);
        let around = ParallelIndex { corpus: &corpus, query, excluded };
        let target = *loaded.tokenizer.encode("x =").expect("ids").last().expect("an id");
        let found = around.find(target, count, demonstrations > 0).expect("prompts");
        found.iter().map(|ids| loaded.tokenizer.decode(ids).expect("text")).collect()
    }

    #[test]
    fn nearest_first_and_cut_before_the_target() {
        assert_eq!(find(0, None, 10), ["# one\nx", "# one\nx", "# two\ny"]);
        assert_eq!(find(0, None, 1), ["# one\nx"]);
    }

    #[test]
    fn neither_the_datum_nor_its_copy_is_parallel_to_it() {
        assert_eq!(find(0, Some(0), 10), ["# two\ny"]);
    }

    #[test]
    fn demonstrations_are_neither_the_prompt_itself_nor_the_datum() {
        // Of the pair `two`, the nearest is `four`; of the datum `one`, nothing is shown.
        assert_eq!(find(1, Some(0), 10), ["# four\nw + 4\n\n# two\ny"]);
        assert_eq!(find(2, Some(0), 1), ["# three\nprint(z)\n\n# four\nw + 4\n\n# two\ny"]);
    }
}
