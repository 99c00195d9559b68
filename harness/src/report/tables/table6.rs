//! Table VI: generalization and specificity.

use crate::config::RankRule;
use crate::records::manifest::Identity;
use crate::report::measures::probes::{OVERALL, ProbeMeans, ReadRank};
use crate::table::{Better, Column, Format, Group, Row, Table};

const fn column(title: &'static str, better: Better, format: Format) -> Column {
    Column { title, better, format }
}

const RANK: Column = column("MAE rank", Better::Lower, Format::Three);
const PROBABILITY: Column = column("MAE prob", Better::Lower, Format::Three);
const NC: Column = column("Avg. NC", Better::Lower, Format::Three);

/// The five measures side by side, in the order of [`cells`].
const MEASURES: [Column; 5] = [
    column("G rank", Better::Lower, Format::Three),
    column("G prob", Better::Lower, Format::Three),
    column("S rank", Better::Lower, Format::Three),
    column("S prob", Better::Lower, Format::Three),
    column("NC", Better::Lower, Format::Three),
];

const LEGEND: &str = "G: generalization, S: specificity, NC: NeuronCost";

fn cells(probes: &ProbeMeans, scope: &str, method: &str) -> Vec<Option<f64>> {
    let (related, unrelated) = (probes.related(scope, method), probes.unrelated(scope, method));
    let nc = probes.patching(scope, method).nc;
    vec![related.rank, related.probability, unrelated.rank, unrelated.probability, nc]
}

/// Row of a method. A method that edits nothing does not compete: its specificity is perfect.
fn row(probes: &ProbeMeans, method: &String, cells: Vec<Option<f64>>) -> Row {
    let competes = !probes.controls.contains(method) && !skips_all(probes, method);
    Row { competes, ..Row::new(method, cells) }
}

fn skips_all(probes: &ProbeMeans, method: &str) -> bool {
    probes.patching(OVERALL, method).skipped == Some(1.0)
}

/// The table of the paper.
pub(crate) fn build(probes: &ProbeMeans, identity: &Identity) -> Table {
    let group =
        |title: &str, columns: &[Column]| Group { title: title.into(), columns: columns.into() };
    let mut notes = match &probes.rows {
        Some(rows) => of_rows(rows, probes),
        None => of_benchmark(probes),
    };
    notes.extend(without_parallel_prompts(probes));
    let idle =
        probes.methods.iter().filter(|m| !probes.controls.contains(m) && skips_all(probes, m));
    let idle: Vec<&str> = idle.map(String::as_str).collect();
    if !idle.is_empty() {
        notes.push(format!(
            "no case is solved by {}, so nothing is edited and they do not compete",
            idle.join(", ")
        ));
    }
    let reference = identity.first_ment().filter(|label| probes.methods.contains(label));
    let of = |method: &String| {
        let row = row(probes, method, cells(probes, OVERALL, method));
        let counts = vec![probes.patching(OVERALL, method).cases; row.cells.len()];
        Row { intervals: probes.intervals(method).to_vec(), counts, ..row }
    };
    Table {
        name: "table6",
        title: "Table VI: Comparison of the generalization and specificity.".into(),
        stub: "Approach",
        groups: vec![
            group("Generalization", &[RANK, PROBABILITY]),
            group("Specificity", &[RANK, PROBABILITY]),
            group("Efficiency", &[NC]),
        ],
        rows: probes.methods.iter().map(of).collect(),
        reference,
        notes,
        deviations: Vec::new(),
    }
}

/// Notes on the cases of a benchmark.
fn of_benchmark(probes: &ProbeMeans) -> Vec<String> {
    let seen = probes.seen;
    let mut notes = vec![
        format!(
            "MAE: mean over the probes of a type, then over types; {}. \
             Generalization: the target after the edit against the argmax before it, on the other \
             samples of the subtype. Specificity: the target after against before, on the samples of \
             the other subtypes of the type. Skipped cases change nothing and are included",
            ranks(probes.read)
        ),
        format!(
            "{}{} cases; in {} of them the model does not predict the declared argmax token{}{}",
            seen.cases,
            if seen.planned > seen.cases { format!(" of {}", seen.planned) } else { String::new() },
            seen.undeclared,
            if seen.dropped > 0 {
                format!(", {} were left out", seen.dropped)
            } else {
                String::new()
            },
            if seen.nudged > 0 {
                format!(", until MENT made it do so in {}", seen.nudged)
            } else {
                String::new()
            }
        ),
    ];
    if seen.solved > 0 {
        notes.push(format!(
            "in {} cases the target was predicted before any edit; they are not errors and not counted",
            seen.solved
        ));
    }
    notes
}

/// Notes on the rows of a data set.
fn of_rows(rows: &str, probes: &ProbeMeans) -> Vec<String> {
    let seen = probes.seen;
    let mut notes = vec![
        format!(
            "not the paper's benchmark, but rows of a data set ({rows}). MAE: mean over the probes of all \
             rows; {}. An edit makes the model predict the first token of the row's output that it gets \
             wrong. Generalization: that token after the edit against the argmax before it, on the row's \
             related prompts. Specificity: the first token of the output of each of its unrelated prompts \
             (the edit's own where a prompt has no output), after against before. Skipped rows change \
             nothing and are included",
            ranks(probes.read)
        ),
        format!(
            "{}{} rows; in {} of them the model predicts the whole output before any edit: they are not \
             edited and not counted",
            seen.cases,
            if seen.planned > seen.cases { format!(" of {}", seen.planned) } else { String::new() },
            seen.solved
        ),
    ];
    if seen.unplaced > 0 {
        notes.push(format!(
            "{} related prompts have an output without the edit's token, and are asked for it right behind \
             the prompt",
            seen.unplaced
        ));
    }
    notes
}

/// Reading of ranks, as a clause.
fn ranks(ReadRank { cap, rule }: ReadRank) -> String {
    match rule {
        RankRule::Clamp => format!("a rank counts as {cap} at most"),
        RankRule::Drop => format!("a probe with a rank above {cap} has no rank error"),
    }
}

/// Notes on the methods that found no parallel prompts, and how often; methods with the same share are in one
/// note.
fn without_parallel_prompts(probes: &ProbeMeans) -> Vec<String> {
    let mut shares: Vec<(f64, Vec<&str>)> = Vec::new();
    for method in &probes.methods {
        let Some(share) = probes.patching(OVERALL, method).alone.filter(|share| *share > 0.0)
        else {
            continue;
        };
        match shares.iter_mut().find(|(known, _)| *known == share) {
            Some((_, methods)) => methods.push(method),
            None => shares.push((share, vec![method])),
        }
    }
    let sentence = |(share, methods): (f64, Vec<&str>)| {
        let (methods, percent) = (methods.join(", "), 100.0 * share);
        format!(
            "{methods} found no parallel prompt in {percent:.0} % of the cases, which are skipped"
        )
    };
    shares.into_iter().map(sentence).collect()
}

/// The same by type.
pub(crate) fn by_type(probes: &ProbeMeans) -> Table {
    let scopes = &probes.scopes[..probes.scopes.len() - 1];
    let types: Vec<&str> = scopes.iter().map(String::as_str).collect();
    let of =
        |method: &String| types.iter().flat_map(|of| cells(probes, of, method)).collect::<Vec<_>>();
    Table {
        name: "table6_types",
        title: "Table VI by type.".into(),
        stub: "Approach",
        groups: types
            .iter()
            .map(|of| Group { title: (*of).into(), columns: MEASURES.to_vec() })
            .collect(),
        rows: probes.methods.iter().map(|m| row(probes, m, of(m))).collect(),
        reference: None,
        notes: vec![LEGEND.into()],
        deviations: Vec::new(),
    }
}

pub(crate) fn by_subtype(probes: &ProbeMeans) -> Table {
    let mut columns = MEASURES.to_vec();
    columns.push(column("cases", Better::Neither, Format::Count));
    let rows = probes.subtypes.iter().flat_map(|subtype| {
        probes.methods.iter().map(move |method| {
            let mut cells = cells(probes, subtype, method);
            cells.push(probes.patching(subtype, method).cases);
            Row { competes: false, ..Row::new(format!("{subtype}: {method}"), cells) }
        })
    });
    Table {
        name: "table6_subtypes",
        title: "Table VI by subtype.".into(),
        stub: "Subtype: approach",
        groups: vec![Group { title: String::new(), columns }],
        rows: rows.collect(),
        reference: None,
        notes: vec![LEGEND.into()],
        deviations: Vec::new(),
    }
}

/// Other readings of Table VI: signed changes, other references, predictions of the target, time.
pub(crate) fn readings(probes: &ProbeMeans) -> Table {
    let related = [
        column("rank to argmax now", Better::Lower, Format::Three),
        column("prob to argmax now", Better::Lower, Format::Three),
        column("rank change", Better::Neither, Format::Three),
        column("prob change", Better::Neither, Format::Three),
        column("target on top", Better::Higher, Format::Percent),
    ];
    let unrelated = [
        column("rank change", Better::Neither, Format::Three),
        column("prob change", Better::Neither, Format::Three),
        column("target on top", Better::Lower, Format::Percent),
        column("argmax kept", Better::Higher, Format::Percent),
    ];
    let cost = [
        column("skipped", Better::Lower, Format::Percent),
        column("patches", Better::Lower, Format::Three),
        column("neurons", Better::Lower, Format::Three),
        column("no parallel", Better::Neither, Format::Percent),
        column("TC", Better::Lower, Format::Seconds),
    ];
    let of = |method: &String| {
        let g = probes.related(OVERALL, method);
        let s = probes.unrelated(OVERALL, method);
        let patching = probes.patching(OVERALL, method);
        vec![
            g.rank_now,
            g.probability_now,
            g.rank_change,
            g.probability_change,
            g.target_on_top,
            s.rank_change,
            s.probability_change,
            s.target_on_top,
            s.kept,
            patching.skipped,
            patching.patched,
            patching.distinct,
            patching.alone,
            patching.seconds,
        ]
    };
    Table {
        name: "table6_readings",
        title: "Other readings of Table VI.".into(),
        stub: "Approach",
        groups: vec![
            Group { title: "Generalization".into(), columns: related.into() },
            Group { title: "Specificity".into(), columns: unrelated.into() },
            Group { title: "Cost".into(), columns: cost.into() },
        ],
        rows: probes.methods.iter().map(|m| row(probes, m, of(m))).collect(),
        reference: None,
        notes: vec![
            "to argmax now: against the original argmax token as it is after the edit. Changes of \
             the target are signed, after minus before: a negative change of rank is a rise. Patches and neurons: of a \
             solved case; a neuron patched several times counts once. No parallel: the share \
             of cases for which no parallel prompt was found"
                .into(),
        ],
        deviations: Vec::new(),
    }
}
