//! From planned data to prompts as ids: demonstrations, rendering, tokenization, length check.

use super::ids::ids;
use crate::config::{Config, RetrievalConfig, TooLong};
use crate::data::dataset::{Dataset, Pair};
use crate::edit::Hint;
use crate::error::InputError;
use crate::experiment::plan::Planned;
use crate::experiment::retrieval::{self, MiniLm};
use crate::model::Loaded;
use crate::model::tokenizer::Joint;
use crate::system::{progress, signal};
use anyhow::Result;
use tch::{Device, Tensor};

/// A datum, ready to be run.
pub(super) struct PreparedPrompt<'a> {
    /// Datum that the prompt is made of.
    pub(super) planned: Planned<'a>,
    /// Indices of its demonstrations in the retrieval division, nearest first.
    pub(super) demonstrations: Vec<usize>,
    /// Prompt and gold as ids.
    pub(super) ids: Joint,
    /// Demonstrations left out because the prompt was too long.
    pub(super) dropped: usize,
    /// The datum with its right answer as a demonstration, if a method asks for it.
    pub(super) hint: Option<Hint>,
}

impl PreparedPrompt<'_> {
    /// The ids that are run: the prompt and all gold tokens but the last, whose own prediction
    /// nobody needs.
    pub(super) fn sequence(&self) -> Vec<u32> {
        let gold = &self.ids.gold[..self.ids.gold.len() - 1];
        self.ids.prompt.iter().chain(gold).copied().collect()
    }

    /// [`PreparedPrompt::sequence`] as a tensor `[T]`.
    pub(super) fn tensor(&self, device: Device) -> Tensor {
        let ids: Vec<i64> = self.sequence().into_iter().map(i64::from).collect();
        Tensor::from_slice(&ids).to_device(device)
    }

    /// Tokens of the sequence.
    pub(super) fn length(&self) -> usize {
        self.ids.prompt.len() + self.ids.gold.len() - 1
    }

    /// Index, in the sequence, of the token that predicts gold token `position`.
    pub(super) fn at(&self, position: usize) -> usize {
        self.ids.prompt.len() - 1 + position
    }
}

/// Demonstrations and embeddings found by the encoder of `[retrieval]`.
pub(super) struct Retrieved {
    /// The nearest demonstrations of every planned datum, nearest first.
    pub(super) demonstrations: Vec<Vec<usize>>,
    /// Embeddings of every data set; empty where nothing is retrieved.
    pub(super) embeddings: Vec<Embeddings>,
    /// Hash of the encoder.
    pub(super) encoder: Option<String>,
}

/// Embedded inputs of a data set, unit length.
pub(super) struct Embeddings {
    /// Embeddings of the planned data, `[N, width]`.
    pub(super) queries: Tensor,
    /// Embeddings of the retrieval division, `[N, width]`.
    pub(super) corpus: Tensor,
}

/// Demonstrations of every planned datum, and where methods need them, or there are
/// demonstrations, embeddings.
pub(super) fn retrieve(
    config: &Config,
    datasets: &[Dataset],
    planned: &[Planned<'_>],
    device: Device,
) -> Result<Retrieved> {
    let wanted = config.retrieval.demonstrations;
    let mut demonstrations = Vec::with_capacity(planned.len());
    let mut embeddings = Vec::new();
    if wanted == 0 && !config.needs_parallel_prompts() {
        demonstrations.resize(planned.len(), Vec::new());
        return Ok(Retrieved { demonstrations, embeddings, encoder: None });
    }
    let encoder = MiniLm::load(&config.retrieval.encoder, device)?;
    for (index, dataset) in datasets.iter().enumerate() {
        let own: Vec<&Planned<'_>> = planned.iter().filter(|p| p.dataset == index).collect();
        let queries: Vec<&str> = own.iter().map(|p| p.pair.input.as_str()).collect();
        let corpus: Vec<&str> = dataset.retrieval.iter().map(|pair| pair.input.as_str()).collect();
        let embed = |texts: &[&str]| embed(&encoder, texts, &config.retrieval);
        let (queries, corpus) = (embed(&queries)?, embed(&corpus)?);
        let excluded: Vec<Option<usize>> = own.iter().map(|p| p.excluded).collect();
        demonstrations.extend(if wanted == 0 {
            vec![Vec::new(); own.len()]
        } else {
            let found =
                retrieval::nearest(&queries, &corpus, wanted + retrieval::COPIES, &excluded)?;
            let own = own.iter().zip(found);
            own.map(|(datum, found)| without_copies(datum, found, dataset, wanted)).collect()
        });
        embeddings.push(Embeddings { queries, corpus });
    }
    Ok(Retrieved { demonstrations, embeddings, encoder: Some(encoder.sha256) })
}

/// Embeddings of `texts`, `[N, width]`, unit length.
pub(super) fn embed(encoder: &MiniLm, texts: &[&str], config: &RetrievalConfig) -> Result<Tensor> {
    let bar = progress::bar("embed", texts.len());
    let embedded = retrieval::embed(encoder, texts, &config.cache, &|n| {
        bar.inc(n);
        signal::check()
    })?;
    bar.finish_and_clear();
    Ok(embedded)
}

/// The first `wanted` of `found`, leaving out copies of a datum that is of the retrieval division.
fn without_copies(
    datum: &Planned<'_>,
    mut found: Vec<usize>,
    dataset: &Dataset,
    wanted: usize,
) -> Vec<usize> {
    if datum.excluded.is_some() {
        found.retain(|&place| dataset.retrieval[place] != *datum.pair);
    }
    found.truncate(wanted);
    found
}

/// Every planned datum as a prompt that fits the model.
///
/// # Errors
/// If a prompt does not fit and the config says to refuse; all are checked before any is run.
pub(super) fn prompts<'a>(
    config: &Config,
    datasets: &[Dataset],
    planned: &[Planned<'a>],
    demonstrations: Vec<Vec<usize>>,
    loaded: &Loaded,
) -> Result<Vec<PreparedPrompt<'a>>> {
    let context = loaded.model.spec().context;
    let mut prompts = Vec::with_capacity(planned.len());
    let mut too_long = Vec::new();
    for (planned, demonstrations) in planned.iter().zip(demonstrations) {
        let mut prompt = tokenize(config, datasets, *planned, demonstrations, loaded)?;
        while prompt.length() > context && config.execution.too_long == TooLong::FewerDemonstrations
        {
            let mut fewer = prompt.demonstrations.clone();
            if fewer.pop().is_none() {
                break;
            }
            let dropped = prompt.dropped + 1;
            prompt =
                PreparedPrompt { dropped, ..tokenize(config, datasets, *planned, fewer, loaded)? };
        }
        if prompt.length() > context {
            too_long.push((planned, prompt.length()));
        }
        prompts.push(prompt);
    }
    let Some((longest, tokens)) = too_long.iter().max_by_key(|(_, tokens)| *tokens) else {
        return Ok(prompts);
    };
    // Where demonstrations are left out already, these prompts have none left.
    let remedy = match config.execution.too_long {
        TooLong::Refuse => {
            "Lower retrieval.demonstrations, set execution.too_long = \"fewer_demonstrations\", or \
             remove the pair"
        }
        TooLong::FewerDemonstrations => "It is too long without any demonstration; remove the pair",
    };
    Err(InputError::new(format!(
        "{} of {} prompts are longer than the {context} tokens of the model's context; the longest \
         is datum {} of {} with {tokens}. {remedy}",
        too_long.len(),
        prompts.len(),
        longest.datum,
        config.dataset[longest.dataset].name,
    )))
}

fn tokenize<'a>(
    config: &Config,
    datasets: &[Dataset],
    planned: Planned<'a>,
    demonstrations: Vec<usize>,
    loaded: &Loaded,
) -> Result<PreparedPrompt<'a>> {
    let retrieval = &datasets[planned.dataset].retrieval;
    let pairs: Vec<&Pair> = demonstrations.iter().map(|&index| &retrieval[index]).collect();
    let dataset = &config.dataset[planned.dataset];
    let ids = ids((config, planned.dataset), loaded, &pairs, planned.pair)?;
    if ids.prompt.is_empty() || ids.gold.is_empty() {
        return Err(InputError::new(format!(
            "datum {} of {}: prompt and gold must each hold at least one token",
            planned.datum, dataset.name
        )));
    }
    let hinted = config.methods.iter().any(|method| method.kind().is_prompt());
    let hint = || super::ids::hint(dataset.templates().0, loaded, planned.pair);
    let hint = hinted.then(hint).transpose()?;
    Ok(PreparedPrompt { planned, demonstrations, ids, dropped: 0, hint })
}
