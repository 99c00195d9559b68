//! Table III while it fills: a line an approach above the progress bar, with the scores of the data that it
//! has repaired so far.

use crate::config::Config;
use crate::data::dataset::DatasetName;
use crate::experiment::run::resume::Done;
use crate::metric::{METRICS, Scored, tokenize};
use crate::records::{DatumRecord, PredictionRecord};
use crate::system::progress::Lines;
use std::collections::HashMap;
use std::fmt::Write as _;

/// Characters of a score with the space before it.
const SCORE: usize = 6;
/// Characters of the number of data, and the space between two data sets.
const COUNT: usize = 6;

/// Sums of the columns of the metrics over some data.
#[derive(Clone, Default)]
struct Sums {
    data: f64,
    columns: Vec<f64>,
}

/// The scores so far.
struct Scores {
    /// With their headings.
    datasets: Vec<(DatasetName, &'static str)>,
    /// The model, then the methods.
    approaches: Vec<String>,
    sums: HashMap<(DatasetName, String), Sums>,
}

impl Scores {
    fn new(config: &Config, headings: &[&'static str]) -> Self {
        let model = std::iter::once(config.model.label.clone());
        let methods = config.labels().map(|label| format!("+ {label}"));
        Self {
            datasets: config
                .dataset
                .iter()
                .map(|own| own.name)
                .zip(headings.iter().copied())
                .collect(),
            approaches: model.chain(methods).collect(),
            sums: HashMap::new(),
        }
    }

    fn add(&mut self, datum: &DatumRecord, prediction: &PredictionRecord) {
        let sign = if prediction.method == self.approaches[0] { "" } else { "+ " };
        let approach = format!("{sign}{}", prediction.method);
        let words = [&datum.gold_text, &prediction.predicted_text].map(|text| tokenize(text));
        let scored = Scored {
            gold: &datum.gold,
            predicted: &prediction.predicted,
            gold_words: &words[0],
            predicted_words: &words[1],
        };
        let values: Vec<f64> = METRICS.iter().flat_map(|metric| metric.values(&scored)).collect();
        let sums = self.sums.entry((datum.dataset, approach)).or_default();
        sums.columns.resize(values.len(), 0.0);
        sums.columns.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        sums.data += 1.0;
    }

    /// Two lines of headings, then a line an approach, at most `width` characters wide: with as many metrics
    /// as fit.
    fn lines(&self, width: usize) -> Vec<String> {
        let label = self.approaches.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let room = width.saturating_sub(label) / self.datasets.len().max(1);
        let metrics = (room.saturating_sub(COUNT) / SCORE).clamp(1, METRICS.len());
        let mut heads = [" ".repeat(label), format!("{:<label$}", "so far")];
        for (_, heading) in &self.datasets {
            let _ = write!(heads[0], "{heading:^0$}", COUNT + SCORE * metrics);
            let _ = write!(heads[1], "{:>COUNT$}", "n");
            for metric in &METRICS[..metrics] {
                let _ = write!(heads[1], "{:>SCORE$}", metric.name);
            }
        }
        let mut lines: Vec<String> = heads.into();
        for approach in &self.approaches {
            let mut line = format!("{approach:<label$}");
            for (dataset, _) in &self.datasets {
                let sums = self.sums.get(&(*dataset, approach.clone()));
                let data = sums.map_or(0.0, |sums| sums.data);
                let _ = write!(line, "{data:>COUNT$}");
                let mut first = 0;
                for metric in &METRICS[..metrics] {
                    let own = first..first + metric.width();
                    first = own.end;
                    let score = sums.and_then(|sums| metric.score(&sums.columns[own], sums.data));
                    let text = score.map_or_else(|| "·".into(), |score| format!("{score:.3}"));
                    let _ = write!(line, "{text:>SCORE$}");
                }
            }
            lines.push(line);
        }
        lines
    }
}

/// The scores on the terminal; nothing elsewhere.
pub(super) struct LiveTable(Option<(Scores, Lines)>);

impl LiveTable {
    /// The table of what is `done` already.
    pub(super) fn new(config: &Config, headings: &[&'static str], done: &Done) -> Self {
        let mut scores = Scores::new(config, headings);
        let Some(lines) = Lines::new(scores.approaches.len() + 2) else { return Self(None) };
        for prediction in done.predictions() {
            let datum = done.datum(prediction.dataset, prediction.datum);
            datum.into_iter().for_each(|datum| scores.add(datum, prediction));
        }
        lines.show(&scores.lines(lines.width()));
        Self(Some((scores, lines)))
    }

    /// Takes in a prediction of `datum` that was just made, and shows it.
    pub(super) fn update(&mut self, datum: &DatumRecord, prediction: &PredictionRecord) {
        if let Some((scores, lines)) = &mut self.0 {
            scores.add(datum, prediction);
            lines.show(&scores.lines(lines.width()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Scores;
    use crate::config::Config;
    use crate::records::{DatumRecord, PredictionRecord};

    fn scores() -> Scores {
        let text = "[model]\nlabel = \"tiny\"\npath = \"x\"\n[[dataset]]\nname = \"conala\"\nfrom = \"x\"\n\
                    [[dataset]]\nname = \"spoc\"\nfrom = \"x\"\n[[ment]]\nlabel = \"MENT\"\n";
        let config: Config = toml::from_str(text).unwrap();
        let mut scores = Scores::new(&config, &["CoNaLa", "SPoC"]);
        let datum = DatumRecord {
            dataset: "conala".parse().unwrap(),
            datum: 0,
            demonstrations: Vec::new(),
            prompt_tokens: 1,
            prompt_text: String::new(),
            gold: vec![1, 2],
            gold_text: "a = b".into(),
            gold_ends: Vec::new(),
            argmax: vec![1, 3],
            gold_rank: vec![1, 2],
            gold_probability: vec![0.5; 2],
            argmax_probability: vec![0.5; 2],
            seconds: 0.0,
        };
        for (approach, predicted, text) in
            [("tiny", vec![1, 3], "a = c"), ("MENT", vec![1, 2], "a = b")]
        {
            let prediction = PredictionRecord {
                dataset: datum.dataset,
                datum: 0,
                method: approach.into(),
                predicted,
                predicted_text: text.into(),
            };
            scores.add(&datum, &prediction);
        }
        scores
    }

    #[test]
    fn the_lines_have_as_many_metrics_as_fit() {
        insta::assert_snapshot!(scores().lines(100).join("\n"));
        insta::assert_snapshot!(scores().lines(40).join("\n"));
        for width in [40, 60, 80, 100, 200] {
            assert!(scores().lines(width).iter().all(|line| line.chars().count() <= width));
        }
    }
}
