//! The paper's claims, each with what this run says of it: confirmed, not confirmed, or not run.

mod list;

use super::measured::{Measure, Measured};
use super::significance::{above_zero, uniform};
use super::table::{Better, Column, Format, Group, Row, Table};
use std::collections::HashMap;

/// The chance of a claim being confirmed that is false.
const LEVEL: f64 = 0.05;

/// What the paper says, and how it is put to the test.
struct Claim(&'static str, Test);

impl Claim {
    /// The unedited model, whatever its label.
    const MODEL: &str = "";
}

/// How a claim is put to the test.
enum Test {
    /// An approach has more than another of every measure, in every data set.
    More(&'static str, &'static str, &'static [Measure]),
    /// It has less.
    Less(&'static str, &'static str, &'static [Measure]),
    /// Of a share, an approach has more than a half in every data set.
    Mostly(&'static str, Measure),
    /// An approach patches each number of neurons equally often.
    Uniform(&'static str),
}

/// What a run says of a claim.
#[derive(Debug, Default, PartialEq)]
struct Evidence {
    /// Means that are as claimed.
    agreeing: usize,
    /// Means that were looked at.
    means: usize,
    /// The fewest clusters behind a mean, or edits.
    count: f64,
    /// The largest p-value; none where there is too little for a test.
    p: Option<f64>,
    confirmed: bool,
}

/// What claims are put to.
pub(super) struct Run<'r> {
    pub(super) measured: Measured,
    /// Label of the unedited model.
    pub(super) model: &'r str,
    /// Whether the times of two approaches were taken on one machine.
    pub(super) same_clock: &'r dyn Fn(&str, &str) -> bool,
    /// Edits by the number of neurons, 1 to 10, of an approach.
    pub(super) edits: HashMap<String, Vec<f64>>,
}

/// The claims on the patching experiment, or on probing.
pub(super) fn build(run: &Run<'_>, probing: bool) -> Table {
    let claims: &[Claim] = if probing { &list::PROBING } else { &list::PATCHING };
    let column = |title, format| Column { title, better: Better::Neither, format };
    let columns = vec![
        column("verdict", Format::Verdict),
        column("means as claimed", Format::Count),
        column("of", Format::Count),
        column("n", Format::Count),
        column("p", Format::Probability),
    ];
    let row = |Claim(text, test): &Claim| {
        let cells = match run.evidence(test) {
            Some(Evidence { agreeing, means, count, p, confirmed }) => vec![
                p.map(|_| f64::from(confirmed)),
                (means > 0).then_some(agreeing as f64),
                (means > 0).then_some(means as f64),
                Some(count),
                p,
            ],
            None => vec![None; 5],
        };
        Row { competes: false, ..Row::new(*text, cells) }
    };
    let cluster = if probing { "subtypes" } else { "data" };
    let mut notes = vec![format!(
        "confirmed: every mean is as claimed, and by a one-sided paired t-test over {cluster} the \
         chance p of the least certain of them is below {LEVEL}; n: the fewest {cluster} of a test. Not \
         confirmed is not refuted: n may be too small. Not run: an approach is missing, or there is too \
         little for a test. Nothing is corrected for the number of claims"
    )];
    if probing {
        notes.push(
            "generalizes less: a larger MAE of rank on related samples; more specific: smaller MAEs of \
             rank and probability on unrelated ones"
                .into(),
        );
    } else {
        notes.push(
            "scores: EM, BM, LM and ROUGE on every data set; BLEU is one number a corpus, its intervals \
             are beside Table III. Equally often: a chi-square test over all edits, n of them; confirmed \
             where they do not speak against it"
                .into(),
        );
    }
    Table {
        name: "claims",
        title: "What the paper claims, and what this run says of it.".into(),
        stub: "Claim",
        groups: vec![Group { title: String::new(), columns }],
        rows: claims.iter().map(row).collect(),
        reference: None,
        notes,
        deviations: Vec::new(),
    }
}

impl Run<'_> {
    /// `None` where an approach was not run.
    fn evidence(&self, test: &Test) -> Option<Evidence> {
        let label = |approach: &'static str| match approach {
            Claim::MODEL => self.model,
            other => other,
        };
        let differences = |measures: &[Measure], more: &'static str, less: &'static str| {
            let timed = (self.same_clock)(label(more), label(less));
            let of = |measure: &&Measure| timed || **measure != Measure::Tc;
            let measures = measures.iter().filter(of);
            measures.flat_map(|&m| self.measured.differences(m, label(more), label(less))).collect()
        };
        match *test {
            Test::More(approach, other, measures) => means(differences(measures, approach, other)),
            Test::Less(approach, other, measures) => means(differences(measures, other, approach)),
            Test::Mostly(approach, share) => means(self.measured.above(share, approach, 0.5)),
            Test::Uniform(approach) => {
                let counts = self.edits.get(approach)?;
                let p = uniform(counts);
                let confirmed = p.is_some_and(|p| p >= LEVEL);
                Some(Evidence { count: counts.iter().sum(), p, confirmed, ..Evidence::default() })
            }
        }
    }
}

/// Whether the mean of each of `samples` is above zero.
fn means(samples: Vec<Vec<f64>>) -> Option<Evidence> {
    let count = samples.iter().map(Vec::len).min()? as f64;
    let agreeing = samples.iter().filter(|values| values.iter().sum::<f64>() > 0.0).count();
    let all: Option<Vec<f64>> = samples.iter().map(|values| above_zero(values)).collect();
    let p = all.map(|all| all.into_iter().fold(0.0, f64::max));
    let means = samples.len();
    let confirmed = agreeing == means && p.is_some_and(|p| p < LEVEL);
    Some(Evidence { agreeing, means, count, p, confirmed })
}

#[cfg(test)]
mod tests {
    use super::{Evidence, means};

    /// All must be as claimed, and the least certain decides.
    #[test]
    fn one_mean_can_stand_against_a_claim() {
        let sure = vec![1.0, 1.1, 0.9, 1.05];
        let unsure = vec![1.0, -0.9, 0.3];
        let against = vec![-0.1, -0.1, -0.1];
        let found = means(vec![sure.clone()]).unwrap();
        assert!(found.confirmed && found.p.unwrap() < 1e-3);
        let found = means(vec![sure.clone(), unsure]).unwrap();
        assert_eq!((found.agreeing, found.means, found.count, found.confirmed), (2, 2, 3.0, false));
        let found = means(vec![sure.clone(), against]).unwrap();
        assert_eq!((found.agreeing, found.means, found.confirmed), (1, 2, false));
        let found = means(vec![sure, vec![1.0]]).unwrap();
        assert_eq!((found.p, found.confirmed), (None, false));
        assert_eq!(means(Vec::new()), None::<Evidence>);
    }
}
