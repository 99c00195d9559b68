//! View of a trial of either experiment, for display.

use crate::data::dataset::DatasetName;
use crate::edit::Outcome;
use crate::records::{
    CaseName, CaseRecord, DatumRecord, ErrorTrial, ProbeTrial, Probed, Record, Trial,
};
use std::collections::HashMap;
use std::ops::Range;

/// A datum as a trial's messages name it.
#[cfg(feature = "torch")]
pub(crate) fn about_datum(dataset: DatasetName, datum: usize) -> String {
    format!("{dataset} {datum}")
}

/// A case as a trial's messages name it.
#[cfg(feature = "torch")]
pub(crate) fn about_case(case: &CaseName) -> String {
    format!("{} {case}", case.of)
}

/// The datum or case of a trial; `None` for other records.
#[cfg(feature = "torch")]
pub(crate) fn about(record: &Record) -> Option<String> {
    match record {
        Record::Trial(own) => Some(about_datum(own.dataset, own.datum)),
        Record::Probe(own) => Some(about_case(&own.name)),
        _ => None,
    }
}

/// A trial of either experiment, with what only one of them knows.
pub(crate) enum TrialView<'r> {
    Error(&'r ErrorTrial),
    Probe(&'r ProbeTrial),
}

impl<'r> TrialView<'r> {
    /// `None` for other records.
    pub(crate) fn of(record: &'r Record) -> Option<Self> {
        match record {
            Record::Trial(own) => Some(Self::Error(own)),
            Record::Probe(own) => Some(Self::Probe(own)),
            Record::Datum(_) | Record::Prediction(_) | Record::Free(_) | Record::Case(_) => None,
        }
    }

    pub(crate) fn trial(&self) -> &'r Trial {
        match self {
            Self::Error(own) => &own.trial,
            Self::Probe(own) => &own.trial,
        }
    }

    /// The label of the data set, or the type of the subtype.
    pub(crate) fn scope(&self) -> &'r str {
        match self {
            Self::Error(own) => own.dataset.label(),
            Self::Probe(own) => &own.name.of,
        }
    }

    /// Place of the trial, in words.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Error(own) => {
                format!("{} {}, gold token {}", self.scope(), own.datum, own.position)
            }
            Self::Probe(own) => own.name.to_string(),
        }
    }

    /// Effects of the edit on other prompts, a sentence each.
    pub(crate) fn elsewhere(&self) -> Vec<String> {
        match self {
            Self::Error(own) if !own.unrelated.is_empty() => {
                let kept = own.unrelated.iter().filter(|probe| probe.argmax_kept).count();
                vec![format!("unrelated predictions kept: {kept} of {}", own.unrelated.len())]
            }
            Self::Error(_) => Vec::new(),
            Self::Probe(own) => probed(&own.probes),
        }
    }
}

/// Prompts of a run.
#[derive(Default)]
pub(crate) struct Prompts<'r> {
    data: HashMap<(DatasetName, usize), &'r DatumRecord>,
    cases: HashMap<&'r CaseName, &'r CaseRecord>,
}

/// Prompt of a trial.
pub(crate) struct PromptView<'r> {
    /// Tokens before the one that is wrong.
    pub(crate) tokens: usize,
    pub(crate) text: &'r str,
    /// Text that should follow.
    pub(crate) gold: &'r str,
    /// Place of the wrong token in it, in bytes, if it is certain.
    pub(crate) at: Option<Range<usize>>,
}

impl<'r> Prompts<'r> {
    pub(crate) fn of(records: &'r [Record]) -> Self {
        let mut own = Self::default();
        for record in records {
            match record {
                Record::Datum(datum) => {
                    own.data.insert((datum.dataset, datum.datum), datum);
                }
                Record::Case(case) => {
                    own.cases.insert(&case.name, case);
                }
                _ => {}
            }
        }
        own
    }

    /// `None` where no record has it.
    pub(crate) fn get(&self, trial: &TrialView<'_>) -> Option<PromptView<'r>> {
        match trial {
            TrialView::Error(own) => {
                let datum = *self.data.get(&(own.dataset, own.datum))?;
                Some(PromptView {
                    tokens: datum.prompt_tokens + own.position,
                    text: &datum.prompt_text,
                    gold: &datum.gold_text,
                    at: place(datum, own.position, &own.trial.texts.target),
                })
            }
            TrialView::Probe(own) => {
                let case = *self.cases.get(&own.name)?;
                let (tokens, text, gold) =
                    (case.prompt_tokens, &case.prompt_text, &case.target_text);
                Some(PromptView { tokens, text, gold, at: Some(0..gold.len()) })
            }
        }
    }
}

/// Place of the gold token at `position`, which is `target`, in the gold text, in bytes. Older records do not
/// hold it; there it is certain if the text occurs once.
fn place(datum: &DatumRecord, position: usize, target: &str) -> Option<Range<usize>> {
    if let Some(&end) = datum.gold_ends.get(position) {
        let start = position.checked_sub(1).map_or(0, |before| datum.gold_ends[before]);
        return Some(start..end);
    }
    let mut found = datum.gold_text.match_indices(target).filter(|_| !target.is_empty());
    match (found.next(), found.next()) {
        (Some((start, _)), None) => Some(start..start + target.len()),
        _ => None,
    }
}

/// One line for each of the two probe sets.
fn probed(probes: &Probed) -> Vec<String> {
    let Probed { related, target, argmax, now, .. } = probes;
    let sets = [("same subtype", 0..*related), ("other subtypes", *related..argmax.len())];
    let line = |(name, set): (&str, std::ops::Range<usize>)| {
        let mean = |ranks: &[u32]| {
            let sum: f64 = ranks[set.clone()].iter().map(|&rank| f64::from(rank)).sum();
            sum / set.len().max(1) as f64
        };
        let top = set.clone().filter(|&index| target.rank_after[index] == 1).count();
        let kept = set.clone().filter(|&index| now[index] == argmax[index]).count();
        format!(
            "probed on {} of the {name}: target at mean rank {:.1} → {:.1}, on top in {top}; argmax kept \
             in {kept}",
            set.len(),
            mean(&target.rank_before),
            mean(&target.rank_after)
        )
    };
    sets.into_iter().map(line).collect()
}

/// A token as text, or by its id, where the record (of format 1) has no text.
pub(crate) fn token(text: &str, id: u32) -> String {
    if text.is_empty() { format!("(id {id})") } else { format!("{text:?} (id {id})") }
}

/// An outcome in words.
pub(crate) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Solved => "solved",
        Outcome::Skipped => "skipped",
        Outcome::AlreadySolved => "already solved",
    }
}

#[cfg(test)]
mod tests {
    use super::place;
    use crate::data::dataset::DatasetName;
    use crate::records::DatumRecord;

    fn datum(gold_text: &str, gold_ends: &[usize]) -> DatumRecord {
        DatumRecord {
            dataset: DatasetName::CONALA,
            datum: 0,
            demonstrations: Vec::new(),
            prompt_tokens: 1,
            prompt_text: String::new(),
            gold: Vec::new(),
            gold_text: gold_text.into(),
            gold_ends: gold_ends.to_vec(),
            argmax: Vec::new(),
            gold_rank: Vec::new(),
            gold_probability: Vec::new(),
            argmax_probability: Vec::new(),
            seconds: 0.0,
        }
    }

    #[test]
    fn the_wrong_token_is_found_where_that_is_certain() {
        let known = datum("aäa(a)", &[1, 3, 4, 5, 6, 7]);
        assert_eq!(place(&known, 0, "a"), Some(0..1));
        assert_eq!(place(&known, 4, "a"), Some(5..6));
        let older = datum("aäa(a)", &[]);
        assert_eq!(place(&older, 4, "a"), None);
        assert_eq!(place(&older, 3, "("), Some(4..5));
        assert_eq!(place(&older, 3, ""), None);
    }
}
