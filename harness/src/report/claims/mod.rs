//! The paper's claims, each with what this run says of it.

mod baselines;
mod list;

use crate::records::manifest::Identity;
use crate::report::measures::Material;
use crate::report::measures::measured::{Measure, Measured};
use crate::report::measures::repairs::AllRepairs;
use crate::report::measures::significance::{FLIPPED, above_zero, below_zero, holm, uniform};
use crate::table::{Better, Column, Format, Group, Row, Table, Verdict};

/// Chance of confirming or contradicting any claim wrongly, over all claims of an experiment.
const LEVEL: f64 = 0.05;

/// Claim of the paper, and its test.
struct Claim(&'static str, Test);

impl Claim {
    /// The unedited model, whatever its label.
    const MODEL: &str = "";
}

/// Test of a claim.
enum Test {
    /// An approach has more than another of every measure, in every data set.
    More(&'static str, &'static str, &'static [Measure]),
    /// An approach has less than another of every measure, in every data set.
    Less(&'static str, &'static str, &'static [Measure]),
    /// An approach has a share of more than a half in every data set.
    Mostly(&'static str, Measure),
    /// An approach patches each number of neurons equally often.
    Uniform(&'static str),
}

/// Evidence of a run on a claim.
#[derive(Debug, PartialEq)]
struct Evidence {
    /// Means that are as claimed.
    agreeing: usize,
    /// Means that were compared.
    means: usize,
    /// The fewest clusters behind a mean, or edits.
    count: f64,
    /// The p-value of the opposite of the claim, the largest over the means: small where all are as
    /// claimed. None where there is too little for a test, or no test can confirm the claim.
    p_for: Option<f64>,
    /// The p-value of the claim: small where a mean is the other way round.
    p_against: Option<f64>,
    /// True if an approach edited nothing and the claim is about what edits do to other predictions.
    vacuous: bool,
}

impl Evidence {
    /// The two-sided p-value, before it is corrected for the number of claims.
    fn p(&self) -> Option<f64> {
        match (self.p_for, self.p_against) {
            (Some(p_for), Some(p_against)) => Some((2.0 * p_for.min(p_against)).min(1.0)),
            (one, other) => one.or(other),
        }
    }

    /// The verdict, where the corrected p-value is `p`.
    fn verdict(&self, p: Option<f64>) -> Verdict {
        let significant = p.is_some_and(|p| p < LEVEL);
        let against = self.p_against.unwrap_or(1.0) < self.p_for.unwrap_or(1.0);
        match (self.vacuous, significant, against) {
            (true, _, _) => Verdict::Vacuous,
            (false, false, _) => Verdict::NotDecided,
            (false, true, true) => Verdict::Contradicted,
            (false, true, false) => Verdict::Confirmed,
        }
    }
}

/// Measurements that claims are tested on.
struct Grounds<'g> {
    measured: &'g Measured,
    repairs: &'g AllRepairs<'g>,
    identity: &'g Identity,
    /// Returns true if the times of two approaches were taken on one machine.
    same_clock: &'g dyn Fn(&str, &str) -> bool,
}

/// The claims of the experiment of `material`; `None` where no approach of them was run.
pub(crate) fn build(material: &Material<'_>) -> Option<Table> {
    let probing = material.sources.probes.is_some();
    let claims = if probing { list::PROBING } else { list::PATCHING };
    with_grounds(material, |grounds| table(grounds, claims, probing))
}

/// The comparisons with baselines that were run; `None` where none was.
pub(crate) fn baselines(material: &Material<'_>) -> Option<Table> {
    let probing = material.sources.probes.is_some();
    let claims = if probing { baselines::PROBING } else { baselines::PATCHING };
    let mut table = with_grounds(material, |grounds| table(grounds, claims, probing))?;
    table.name = "baseline_claims";
    table.title = "Comparisons with baselines that the paper does not have.".into();
    table.rows.retain(|row| row.cells.iter().any(Option::is_some));
    table.notes.truncate(1);
    table.notes.push(
        "skips fewer: the share of errors; written rightly: the share of the gold's tokens in free text, with all \
         edits of a datum (BM of table3_free); generalizes more: a smaller MAE of the rank on related samples; more \
         specific: smaller MAEs of rank and probability on unrelated ones"
            .into(),
    );
    Some(table)
}

fn with_grounds<T>(material: &Material<'_>, of: impl FnOnce(&Grounds<'_>) -> T) -> T {
    let Material { manifest, sources, measured, .. } = material;
    let grounds = Grounds {
        measured,
        repairs: &sources.repairs,
        identity: &manifest.identity,
        same_clock: &|a, b| manifest.keep_time(a, b),
    };
    of(&grounds)
}

/// The claims on the patching experiment, or on probing.
fn table(grounds: &Grounds<'_>, claims: &[Claim], probing: bool) -> Option<Table> {
    let found: Vec<Option<Evidence>> =
        claims.iter().map(|Claim(_, test)| grounds.evidence(test)).collect();
    if found.iter().all(Option::is_none) {
        return None;
    }
    // A vacuous claim is not tested, and so does not count among the claims that are.
    let tested = |evidence: &Option<Evidence>| evidence.as_ref().filter(|own| !own.vacuous)?.p();
    let corrected = holm(&found.iter().map(tested).collect::<Vec<_>>());
    let row = |((Claim(text, _), evidence), p): ((&Claim, &Option<Evidence>), Option<f64>)| {
        let cells = evidence.as_ref().map_or(vec![None; 5], |evidence| {
            let compared = |number: usize| Some(number as f64).filter(|_| evidence.means > 0);
            let (agreeing, means) = (compared(evidence.agreeing), compared(evidence.means));
            vec![Some(evidence.verdict(p).code()), agreeing, means, Some(evidence.count), p]
        });
        Row { competes: false, ..Row::new(*text, cells) }
    };
    let rows = claims.iter().zip(&found).zip(corrected).map(row).collect();
    let column = |title, format| Column { title, better: Better::Neither, format };
    let columns = vec![
        column("verdict", Format::Verdict),
        column("means as claimed", Format::Count),
        column("of", Format::Count),
        column("n", Format::Count),
        column("p, corrected", Format::Probability),
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
            "confirmed: every mean is as claimed; contradicted: a mean is the other way round; both where p is \
             below {LEVEL}. Not decided: neither; n may be too small. Vacuous: an approach edited nothing, and \
             the claim is about the effects of edits. Not run: an approach is missing. p: two-sided, the least \
             certain mean of a claim, by the paired exact sign-flip test over {cluster}, or the t-test where \
             there are {FLIPPED} or more; corrected for the number of claims tested (Holm). n: the fewest \
             {cluster} of a test, each with the mean of its {units}"
        ),
        "claims that cannot be tested (balanced, competitive, close, very few) are not listed"
            .into(),
    ];
    if probing {
        notes.push(
            "compared with MENT [std.]. Generalizes more: a smaller MAE on related samples; more specific: \
             smaller MAEs of rank and probability on unrelated ones. Unrelated samples are probed for several \
             patched subtypes, so these means are tested twice: over the subtypes patched and over the \
             subtypes probed (where the run recorded their order)"
                .into(),
        );
    } else {
        notes.push(
            "scores: EM, BM, LM and ROUGE on every data set; BLEU is one number a corpus, its intervals \
             are beside Table III. Most: more than a half on every data set. Equally often: a chi-square \
             test over all edits, n of them, as if they were independent, which can contradict the claim \
             but not confirm it. Neurons: patches are counted, also where one neuron is patched several \
             times"
                .into(),
        );
    }
    let mut idle: Vec<&str> = claims.iter().flat_map(|Claim(_, test)| test.approaches()).collect();
    idle.retain(|approach| grounds.measured.edits_nothing(approach));
    idle.sort_unstable();
    idle.dedup();
    if !idle.is_empty() {
        notes.push(format!(
            "solved nothing, so they edited nothing and had no effect elsewhere: {}",
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
        let found = match *test {
            Test::More(approach, other, measures) => means(differences(measures, approach, other)),
            Test::Less(approach, other, measures) => means(differences(measures, other, approach)),
            Test::Mostly(approach, share) => means(self.measured.above(share, approach, 0.5)),
            Test::Uniform(approach) => self.uniform(approach),
        };
        found.map(|evidence| Evidence { vacuous: self.is_vacuous(test), ..evidence })
    }

    /// True if `test` is about what edits do to other predictions, and an approach edited nothing.
    fn is_vacuous(&self, test: &Test) -> bool {
        let (Test::More(one, other, measures) | Test::Less(one, other, measures)) = test else {
            return false;
        };
        let idle = |approach: &str| self.measured.edits_nothing(approach);
        measures.iter().any(|measure| measure.is_of_probes()) && (idle(one) || idle(other))
    }

    /// `None` where the quota does not allow for 1 to 10 patches.
    fn uniform(&self, approach: &str) -> Option<Evidence> {
        let quota = self.identity.quotas().get(approach).copied();
        let edits = self.repairs.all.iter().filter(|r| r.solved && r.method == approach);
        let mut counts = [0.0; 10];
        edits.for_each(|repair| counts[repair.neurons.len().clamp(1, 10) - 1] += 1.0);
        if quota.flatten() != Some(counts.len() as f64) || !self.repairs.methods.contains(&approach)
        {
            return None;
        }
        Some(Evidence {
            agreeing: 0,
            means: 0,
            count: counts.iter().sum(),
            p_for: None,
            p_against: uniform(&counts),
            vacuous: false,
        })
    }
}

/// Evidence that the mean of each of `samples` is above zero.
fn means(samples: Vec<Vec<f64>>) -> Option<Evidence> {
    let count = samples.iter().map(Vec::len).min()? as f64;
    let agreeing = samples.iter().filter(|values| values.iter().sum::<f64>() > 0.0).count();
    let p = |of: fn(&[f64]) -> Option<f64>| -> Option<Vec<f64>> {
        samples.iter().map(|values| of(values)).collect()
    };
    let p_for = p(above_zero).map(|all| all.into_iter().fold(0.0, f64::max));
    // One mean against the claim is enough, so the smallest counts, times the number of means.
    let p_against = p(below_zero)
        .map(|all| (all.into_iter().fold(1.0, f64::min) * samples.len() as f64).min(1.0));
    Some(Evidence { agreeing, means: samples.len(), count, p_for, p_against, vacuous: false })
}

#[cfg(test)]
mod tests {
    use super::{Evidence, Verdict, means};

    /// All means must be as claimed, the least certain decides, and one that is the other way round
    /// contradicts the claim.
    #[test]
    fn one_mean_can_stand_against_a_claim() {
        let sure: Vec<f64> = (0..12).map(|index| 1.0 + 0.01 * f64::from(index)).collect();
        let unsure = vec![1.0, -0.9, 0.3];
        let against: Vec<f64> = sure.iter().map(|value| -value).collect();
        let verdict = |samples: Vec<Vec<f64>>| {
            let found = means(samples).unwrap();
            (found.agreeing, found.verdict(found.p()))
        };
        assert_eq!(verdict(vec![sure.clone()]), (1, Verdict::Confirmed));
        assert_eq!(verdict(vec![sure.clone(), unsure]), (2, Verdict::NotDecided));
        assert_eq!(verdict(vec![sure.clone(), against]), (1, Verdict::Contradicted));
        assert_eq!(verdict(vec![sure.clone(), vec![1.0]]), (2, Verdict::NotDecided));
        assert_eq!(means(Vec::new()), None::<Evidence>);
        // 2·2^-12 two-sided.
        let p = means(vec![sure.clone()]).unwrap().p().unwrap();
        assert!((p - 2.0 * 0.5_f64.powi(12)).abs() < 1e-12, "{p}");
        let idle = Evidence { vacuous: true, ..means(vec![sure]).unwrap() };
        assert_eq!(idle.verdict(idle.p()), Verdict::Vacuous);
    }
}
