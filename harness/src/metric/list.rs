//! The metrics, as tables, sweeps and comparisons of runs list them. A new metric is one entry.

use super::{BleuCounts, broad_match, exact_match, longest_match, rouge_l_of_tokens};

/// A prediction beside its gold, both as the model's tokens and as text cut by [`tokenize`](super::tokenize).
#[derive(Clone, Copy, Debug)]
pub struct Scored<'a> {
    /// The gold token ids.
    pub gold: &'a [u32],
    /// The predicted token ids, one per gold token.
    pub predicted: &'a [u32],
    /// The words of the gold text.
    pub gold_words: &'a [String],
    /// The words of the predicted text.
    pub predicted_words: &'a [String],
}

/// A measure of effectiveness (section III-E).
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Name in tables and files.
    pub name: &'static str,
    /// True where a higher value is a better one.
    pub higher_is_better: bool,
    /// Way of computing it.
    pub kind: Kind,
}

/// Way of computing a metric.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// The mean over data of a number of each prediction.
    Mean(fn(&Scored<'_>) -> f64),
    /// A number of a corpus, from counts of each prediction that are summed over its data.
    Corpus {
        /// Number of counts.
        counts: usize,
        /// The counts of one prediction.
        count: fn(&Scored<'_>) -> Vec<f64>,
        /// The number, from their sums.
        score: fn(&[f64]) -> f64,
        /// Meaning of a number of 0, which may stand beside texts that match.
        zero: &'static str,
    },
}

/// The metrics, in the order of Table III.
pub const METRICS: &[Metric] = &[
    Metric {
        name: "EM",
        higher_is_better: true,
        kind: Kind::Mean(|of| exact_match(of.gold, of.predicted)),
    },
    Metric {
        name: "BM",
        higher_is_better: true,
        kind: Kind::Mean(|of| broad_match(of.gold, of.predicted)),
    },
    Metric {
        name: "LM",
        higher_is_better: true,
        kind: Kind::Mean(|of| longest_match(of.gold, of.predicted)),
    },
    Metric {
        name: "BLEU",
        higher_is_better: true,
        kind: Kind::Corpus {
            counts: BleuCounts::LEN,
            count: |of| BleuCounts::of(of.gold_words, of.predicted_words).0.to_vec(),
            score: |sums| BleuCounts(std::array::from_fn(|index| sums[index])).score(),
            zero: "no four words in a row match, as in data of shorter texts",
        },
    },
    Metric {
        name: "ROUGE",
        higher_is_better: true,
        kind: Kind::Mean(|of| rouge_l_of_tokens(of.gold_words, of.predicted_words)),
    },
];

impl Metric {
    /// Number of columns.
    pub fn width(&self) -> usize {
        match self.kind {
            Kind::Mean(_) => 1,
            Kind::Corpus { counts, .. } => counts,
        }
    }

    /// Names of the columns that hold it: its own for a mean, one per count for a corpus metric.
    pub fn columns(&self) -> Vec<String> {
        match self.kind {
            Kind::Mean(_) => vec![self.name.into()],
            Kind::Corpus { counts, .. } => {
                (1..=counts).map(|count| format!("{} count {count}", self.name)).collect()
            }
        }
    }

    /// Values of one prediction, one per column.
    pub fn values(&self, of: &Scored<'_>) -> Vec<f64> {
        match self.kind {
            Kind::Mean(score) => vec![score(of)],
            Kind::Corpus { count, .. } => count(of),
        }
    }

    /// The metric of `data` predictions, from the sums of their columns; `None` of none.
    pub fn score(&self, sums: &[f64], data: f64) -> Option<f64> {
        if data == 0.0 {
            return None;
        }
        Some(match self.kind {
            Kind::Mean(_) => sums[0] / data,
            Kind::Corpus { score, .. } => score(sums),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{METRICS, Scored};

    /// A corpus of one: each metric is 1 for the gold itself, and the columns are as many as the values.
    #[test]
    fn every_metric_is_one_of_the_gold_itself() {
        let words = ["a", "=", "b", "+", "c"].map(String::from);
        let of = Scored {
            gold: &[1, 2, 3],
            predicted: &[1, 2, 3],
            gold_words: &words,
            predicted_words: &words,
        };
        for metric in METRICS {
            let values = metric.values(&of);
            assert_eq!(values.len(), metric.columns().len(), "{}", metric.name);
            assert_eq!(values.len(), metric.width());
            assert_eq!(metric.score(&values, 1.0), Some(1.0), "{}", metric.name);
            assert_eq!(metric.score(&values, 0.0), None);
        }
    }
}
