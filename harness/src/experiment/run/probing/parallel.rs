//! Parallel prompts of samples: a benchmark has none of its own, so they are made of the retrieval
//! divisions of the config's data sets, nearest to the intent of the sample.

use crate::config::Config;
use crate::data::benchmark::{Benchmark, Place};
use crate::data::dataset::Dataset;
use crate::experiment::retrieval::MiniLm;
use crate::experiment::run::parallel::{Corpus, ParallelIndex};
use crate::experiment::run::prepare::embed;
use crate::method::{ParallelPrompt, ParallelPrompts};
use crate::model::Loaded;
use anyhow::Result;
use std::collections::HashMap;
use tch::Tensor;

/// Data sets in which parallel prompts are found, for every sample.
#[derive(Default)]
pub(in crate::experiment::run) struct Surroundings<'a> {
    corpora: Vec<Corpus<'a>>,
    /// Embeddings of the intents, `[width]`.
    intents: HashMap<Place, Tensor>,
}

/// The corpora as one sample sees them.
pub(in crate::experiment::run) struct Around<'s>(Vec<ParallelIndex<'s>>);

impl<'a> Surroundings<'a> {
    /// Embeds and tokenizes the retrieval divisions of `datasets`, and embeds the intents of
    /// `benchmark`; with the hash of the encoder.
    pub(in crate::experiment::run) fn new(
        config: &'a Config,
        benchmark: &Benchmark,
        datasets: &'a [Dataset],
        loaded: &'a Loaded,
    ) -> Result<(Self, String)> {
        let device = loaded.model.spec().device;
        let encoder = MiniLm::load(&config.retrieval.encoder, device)?;
        let places: Vec<Place> =
            (0..benchmark.types.len()).flat_map(|of| benchmark.of_type(of)).collect();
        let texts: Vec<&str> =
            places.iter().map(|&place| benchmark.sample(place).intent.as_str()).collect();
        let embedded = embed(&encoder, &texts, &config.retrieval)?;
        let intents = places.into_iter().zip(0..).map(|(place, row)| (place, embedded.get(row)));
        let intents = intents.collect();
        let corpora = datasets
            .iter()
            .enumerate()
            .map(|(index, dataset)| {
                let inputs: Vec<&str> =
                    dataset.retrieval.iter().map(|p| p.input.as_str()).collect();
                let embedded = embed(&encoder, &inputs, &config.retrieval)?;
                Corpus::new(config, index, dataset, embedded, loaded)
            })
            .collect::<Result<_>>()?;
        Ok((Self { corpora, intents }, encoder.sha256))
    }

    /// Returns the surroundings of the sample at `place`.
    pub(in crate::experiment::run) fn of(&self, place: Place) -> Around<'_> {
        let around = |corpus| {
            let query = self.intents[&place].shallow_clone();
            ParallelIndex { corpus, query, excluded: None }
        };
        Around(self.corpora.iter().map(around).collect())
    }
}

impl ParallelPrompts for Around<'_> {
    /// Finds prompts in the first data set, and where it has too few, in the next.
    fn find(&self, target: u32, count: usize, demonstrations: bool) -> Result<Vec<ParallelPrompt>> {
        let mut found = Vec::new();
        for corpus in &self.0 {
            found.extend(corpus.find(target, count - found.len(), demonstrations)?);
        }
        Ok(found)
    }
}
