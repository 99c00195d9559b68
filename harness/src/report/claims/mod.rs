//! The paper's claims, each with what this run says of it.

mod list;

use crate::records::manifest::Identity;
use crate::report::measures::Material;
use crate::report::measures::measured::{Measure, Measured};
use crate::report::measures::repairs::AllRepairs;
use crate::report::measures::significance::{above_zero, uniform};
use crate::table::{Better, Column, Format, Group, Row, Table, Verdict};

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
#[derive(Debug, PartialEq)]
struct Evidence {
    /// Means that are as claimed.
    agreeing: usize,
    /// Means that were looked at.
    means: usize,
    /// The fewest clusters behind a mean, or edits.
    count: f64,
    /// The largest p-value; none where there is too little for a test.
    p: Option<f64>,
    verdict: Verdict,
}

/// What claims are put to.
struct Grounds<'g> {
    measured: &'g Measured,
    repairs: &'g AllRepairs<'g>,
    identity: &'g Identity,
    /// Whether the times of two approaches were taken on one machine.
    same_clock: &'g dyn Fn(&str, &str) -> bool,
}

/// The claims of the experiment of `material`; `None` where no approach of them was run.
pub(crate) fn build(material: &Material<'_>) -> Option<Table> {
    let Material { manifest, sources, measured, .. } = material;
    let grounds = Grounds {
        measured,
        repairs: &sources.repairs,
        identity: &manifest.identity,
        same_clock: &|a, b| manifest.keep_time(a, b),
    };
    table(&grounds, sources.probes.is_some())
}

/// The claims on the patching experiment, or on probing.
fn table(grounds: &Grounds<'_>, probing: bool) -> Option<Table> {
    let claims = if probing { list::PROBING } else { list::PATCHING };
    let found: Vec<Option<Evidence>> =
        claims.iter().map(|Claim(_, test)| grounds.evidence(test)).collect();
    if found.iter().all(Option::is_none) {
        return None;
    }
    let row = |(Claim(text, _), evidence): (&Claim, Option<Evidence>)| {
        let cells =
            evidence.map_or(vec![None; 5], |Evidence { agreeing, means, count, p, verdict }| {
                let compared = |number: usize| Some(number as f64).filter(|_| means > 0);
                vec![Some(verdict.code()), compared(agreeing), compared(means), Some(count), p]
            });
        Row { competes: false, ..Row::new(*text, cells) }
    };
    let rows = claims.iter().zip(found).map(row).collect();
    let column = |title, format| Column { title, better: Better::Neither, format };
    let columns = vec![
        column("verdict", Format::Verdict),
        column("means as claimed", Format::Count),
        column("of", Format::Count),
        column("n", Format::Count),
        column("p", Format::Probability),
    ];
    Some(Table {
        name: "claims",
        title: "Claims of the paper, and what this run says of them.".into(),
        stub: "Claim",
        groups: vec![Group { title: String::new(), columns }],
        rows,
        reference: None,
        notes: notes(grounds, claims, probing),
        deviations: Vec::new(),
    })
}

fn notes(grounds: &Grounds<'_>, claims: &[Claim], probing: bool) -> Vec<String> {
    let (cluster, units) = if probing { ("subtypes", "cases") } else { ("data", "errors") };
    let mut notes = vec![
        format!(
            "confirmed: every mean is as claimed, and p, the largest p-value of a one-sided paired t-test \
             over {cluster}, is below {LEVEL}; n: the fewest {cluster} of a test, each with the mean of its \
             {units}. Not confirmed is not refuted: n may be too small. Not run: an approach is missing. \
             Nothing is corrected for the number of claims"
        ),
        "claims that no test can take (balanced, competitive, close, very few) are not listed"
            .into(),
    ];
    if probing {
        notes.push(
            "compared with MENT [std.]. Generalizes more: a smaller MAE on related samples; more specific: \
             smaller MAEs of rank and probability on unrelated ones"
                .into(),
        );
    } else {
        notes.push(format!(
            "scores: EM, BM, LM and ROUGE on every data set; BLEU is one number a corpus, its intervals \
             are beside Table III. Most: more than a half on every data set. Equally often: a chi-square \
             test over all edits, n of them, as if they were independent; not contradicted where p is not \
             below {LEVEL}"
        ));
    }
    let mut idle: Vec<&str> = claims.iter().flat_map(|Claim(_, test)| test.approaches()).collect();
    idle.retain(|approach| grounds.measured.edits_nothing(approach));
    idle.sort_unstable();
    idle.dedup();
    if !idle.is_empty() {
        notes.push(format!(
            "solved nothing and so edited nothing, which harms nothing and carries over to nothing: {}",
            idle.join(", ")
        ));
    }
    notes
}

impl Test {
    /// The approaches that it is about.
    fn approaches(&self) -> Vec<&'static str> {
        match self {
            Self::More(one, other, _) | Self::Less(one, other, _) => vec![one, other],
            Self::Mostly(approach, _) | Self::Uniform(approach) => vec![approach],
        }
    }
}

impl Grounds<'_> {
    /// `None` where an approach was not run.
    fn evidence(&self, test: &Test) -> Option<Evidence> {
        let label = |approach: &'static str| match approach {
            Claim::MODEL => self.identity.model(),
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
            Test::Uniform(approach) => self.uniform(approach),
        }
    }

    /// `None` where the quota does not allow for 1 to 10 neurons.
    fn uniform(&self, approach: &str) -> Option<Evidence> {
        let quota = self.identity.quotas().get(approach).copied();
        let edits = self.repairs.all.iter().filter(|r| r.solved && r.method == approach);
        let mut counts = [0.0; 10];
        edits.for_each(|repair| counts[repair.neurons.len().clamp(1, 10) - 1] += 1.0);
        if quota != Some(counts.len() as f64) || !self.repairs.methods.contains(&approach) {
            return None;
        }
        let p = uniform(&counts);
        let verdict = match p {
            None => Verdict::TooLittleData,
            Some(p) if p < LEVEL => Verdict::NotConfirmed,
            Some(_) => Verdict::NotContradicted,
        };
        Some(Evidence { agreeing: 0, means: 0, count: counts.iter().sum(), p, verdict })
    }
}

/// Whether the mean of each of `samples` is above zero.
fn means(samples: Vec<Vec<f64>>) -> Option<Evidence> {
    let count = samples.iter().map(Vec::len).min()? as f64;
    let agreeing = samples.iter().filter(|values| values.iter().sum::<f64>() > 0.0).count();
    let all: Option<Vec<f64>> = samples.iter().map(|values| above_zero(values)).collect();
    let p = all.map(|all| all.into_iter().fold(0.0, f64::max));
    let means = samples.len();
    let verdict = match p {
        None => Verdict::TooLittleData,
        Some(p) if agreeing == means && p < LEVEL => Verdict::Confirmed,
        Some(_) => Verdict::NotConfirmed,
    };
    Some(Evidence { agreeing, means, count, p, verdict })
}

#[cfg(test)]
mod tests {
    use super::{Evidence, Verdict, means};

    /// All must be as claimed, and the least certain decides.
    #[test]
    fn one_mean_can_stand_against_a_claim() {
        let sure = vec![1.0, 1.1, 0.9, 1.05];
        let unsure = vec![1.0, -0.9, 0.3];
        let against = vec![-0.1, -0.1, -0.1];
        let found = means(vec![sure.clone()]).unwrap();
        assert!(found.verdict == Verdict::Confirmed && found.p.unwrap() < 1e-3);
        let found = means(vec![sure.clone(), unsure]).unwrap();
        assert_eq!((found.agreeing, found.means, found.count), (2, 2, 3.0));
        assert_eq!(found.verdict, Verdict::NotConfirmed);
        let found = means(vec![sure.clone(), against]).unwrap();
        assert_eq!((found.agreeing, found.verdict), (1, Verdict::NotConfirmed));
        let found = means(vec![sure, vec![1.0]]).unwrap();
        assert_eq!((found.p, found.verdict), (None, Verdict::TooLittleData));
        assert_eq!(means(Vec::new()), None::<Evidence>);
    }
}
