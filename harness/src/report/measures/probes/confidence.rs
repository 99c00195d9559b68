//! Confidence intervals of the measures of Table VI.

use crate::records::ProbeTrial;
use crate::report::measures::bootstrap::{Clusters, ratio};
use crate::report::measures::probes::frames::{ProbeRow, ReadRank, rows};
use crate::table::Interval;
use anyhow::Result;
use polars::prelude::*;
use rayon::prelude::*;
use std::collections::HashMap;

/// Confidence intervals of the measures of Table VI of a method.
pub(crate) type ProbeIntervals = [Option<Interval>; 5];

/// Confidence intervals over all types, drawn subtype by subtype within each type, by method: of the
/// measures, and of their differences from those of the method `reference`.
pub(crate) fn intervals(
    patches: &[&ProbeTrial],
    read: ReadRank,
    costs: &DataFrame,
    methods: &[String],
    reference: Option<&str>,
) -> Result<HashMap<String, [ProbeIntervals; 2]>> {
    let names = [
        "G ranks",
        "G rank",
        "related",
        "G prob",
        "S ranks",
        "S rank",
        "unrelated",
        "S prob",
        "cases",
        "nc",
    ];
    let sums: Vec<[f64; 8]> = patches
        .par_iter()
        .map(|patch| {
            let mut sums = [0.0; 8];
            for ProbeRow { related, values: [rank, probability, ..], .. } in rows(patch, read, &[])
            {
                let own = if related { &mut sums[..4] } else { &mut sums[4..] };
                for (index, value) in [rank, probability].into_iter().enumerate() {
                    if let Some(value) = value {
                        own[2 * index] += 1.0;
                        own[2 * index + 1] += value;
                    }
                }
            }
            sums
        })
        .collect();
    let column = |(index, name): (usize, &&str)| {
        Column::new((*name).into(), sums.iter().map(|sums| sums[index]).collect::<Vec<f64>>())
    };
    let columns: Vec<Column> = names[..8].iter().enumerate().map(column).collect();
    let mut frame = costs.hstack(&columns)?;
    frame.rename("type", "stratum".into())?.rename("subtype", "cluster".into())?;
    let reference = reference.and_then(|label| methods.iter().position(|own| own == label));
    let clusters = Clusters::of(&frame, methods, &names)?;
    let (own, differences) = clusters.compared(methods.len(), reference, |sums, method| {
        // Means of a type, and then over types; a draw that lacks one has no such figure.
        let types: Vec<[Option<f64>; 5]> = sums.of(method).map(measures).collect();
        let over_types = |figure: usize| {
            let known: Option<Vec<f64>> = types.iter().map(|of| of[figure]).collect();
            known.and_then(|known| ratio(known.iter().sum(), known.len() as f64))
        };
        (0..5).map(over_types).collect()
    });
    let five = |found: Vec<Option<Interval>>| found.try_into().unwrap_or_default();
    let both = own.into_iter().zip(differences).map(|(own, other)| [five(own), five(other)]);
    Ok(methods.iter().cloned().zip(both).collect())
}

/// The measures of a type, from its sums.
fn measures(sums: &[f64]) -> [Option<f64>; 5] {
    let &[g_ranks, g_rank, related, g_prob, s_ranks, s_rank, unrelated, s_prob, cases, nc] = sums
    else {
        return [None; 5];
    };
    [
        ratio(g_rank, g_ranks),
        ratio(g_prob, related),
        ratio(s_rank, s_ranks),
        ratio(s_prob, unrelated),
        ratio(nc, cases),
    ]
}
