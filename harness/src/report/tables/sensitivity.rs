//! Sensitivity: the effect of every setting of MENT on the headline figures, against the first one.

use crate::records::manifest::Identity;
use crate::report::measures::Material;
use crate::report::measures::costs::{Differences, HEADLINE};
use crate::report::measures::probes::{OVERALL, ProbeMeans};
use crate::table::{Better, Column, Format, Group, Row, Table};
use anyhow::Result;

/// Figures of the probing experiment that settings are compared by.
const PROBED: [(&str, Better, Format); 5] = [
    ("G rank", Better::Lower, Format::Three),
    ("G prob", Better::Lower, Format::Three),
    ("S rank", Better::Lower, Format::Three),
    ("S prob", Better::Lower, Format::Three),
    ("NeuronCost", Better::Lower, Format::Three),
];

/// The table; `None` without a second setting of MENT.
pub(crate) fn build(material: &Material<'_>) -> Result<Option<Table>> {
    let identity = &material.manifest.identity;
    let Some(reference) = identity.first_ment() else { return Ok(None) };
    let (found, heads) = match (&material.sources.probes, &material.sources.costs) {
        (Some(probes), _) => (probed(probes), PROBED),
        (None, Some(costs)) => (costs.against(&reference)?, HEADLINE),
        (None, None) => return Ok(None),
    };
    Ok(table(found, heads, &reference, identity))
}

/// The figures of each method of a probing run, with the intervals of their differences.
fn probed(probes: &ProbeMeans) -> Vec<Differences> {
    let of = |method: &String| {
        let (g, s) = (probes.related(OVERALL, method), probes.unrelated(OVERALL, method));
        let nc = probes.patching(OVERALL, method).nc;
        let values = vec![g.rank, g.probability, s.rank, s.probability, nc];
        (method.clone(), values, probes.differences(method).to_vec())
    };
    probes.methods.iter().map(of).collect()
}

fn table(
    found: Vec<Differences>,
    heads: [(&'static str, Better, Format); 5],
    reference: &str,
    identity: &Identity,
) -> Option<Table> {
    let found: Vec<Differences> =
        found.into_iter().filter(|(method, ..)| identity.is_ment(method)).collect();
    let (_, base, _) = found.iter().find(|(method, ..)| method == reference)?;
    if found.len() < 2 {
        return None;
    }
    let base = base.clone();
    // A figure that no setting has, such as predictions kept where none was probed, is no column.
    let known: Vec<usize> = (0..heads.len()).filter(|&figure| base[figure].is_some()).collect();
    let row = |(method, values, intervals): &Differences| {
        let cells = known.iter().flat_map(|&figure| {
            let difference = values[figure].zip(base[figure]).map(|(own, base)| own - base);
            let interval = intervals[figure].filter(|_| method != reference);
            let difference = difference.filter(|_| method != reference);
            [values[figure], difference, interval.map(|i| i.low), interval.map(|i| i.high)]
        });
        Row { competes: false, ..Row::new(method, cells.collect()) }
    };
    let group = |&figure: &usize| {
        let (title, _, format) = heads[figure];
        let columns = ["value", "difference", "lower", "upper"];
        let column = |title| Column { title, better: Better::Neither, format };
        Group { title: title.into(), columns: columns.map(column).to_vec() }
    };
    Some(Table {
        name: "sensitivity",
        title: format!("Sensitivity: settings of MENT compared with `{reference}`."),
        stub: "Setting",
        groups: known.iter().map(group).collect(),
        rows: found.iter().map(row).collect(),
        reference: None,
        notes: vec![format!(
            "over all data; difference: from {reference}; lower and upper: ends of its 95 % confidence interval, \
             by the percentile bootstrap, both settings on the same data (of a benchmark: subtypes of each \
             type). An interval without 0 is a difference that chance hardly explains; nothing is corrected for \
             the number of settings. #PatchedNeuron counts patches"
        )],
        deviations: Vec::new(),
    })
}
