//! Table of how often chains follow an edit, and how often something else breaks.

use super::judge::{Judged, judge};
use super::{Extent, Whole};
use crate::table::{Better, Column, Format, Group, Row, Table};

impl Whole<'_> {
    /// The chain of a case under a row's edit, judged; of a failed repair the unedited chain is judged,
    /// which the model continues to say.
    pub(super) fn judged(&self, row: &(String, Extent), case: &super::ChainCase) -> Option<Judged> {
        let before = self.before(&case.question)?.text();
        let edited = self.edited(row, &case.name)?;
        let after = edited.chain.as_ref().map_or_else(|| before.clone(), super::Chain::text);
        Some(judge([&before, &after], [&case.wrong, &case.right], &self.chains.code))
    }

    /// A row's label.
    pub(super) fn label(row: &(String, Extent)) -> String {
        format!("{}, {}", row.0, row.1.label())
    }
}

/// One row a method and extent, over all cases.
pub(super) fn follow(whole: &Whole<'_>) -> Table {
    let column = |title, better, format| Column { title, better, format };
    let percent = |title, better| column(title, better, Format::Percent);
    let groups = vec![
        Group {
            title: "The edit".into(),
            columns: vec![
                column("cases", Better::Neither, Format::Count),
                percent("repaired", Better::Higher),
                column("patches", Better::Lower, Format::Three),
            ],
        },
        Group {
            title: "Dependent lines".into(),
            columns: vec![
                percent("named in full", Better::Higher),
                percent("steps that follow", Better::Higher),
                percent("whole chains", Better::Higher),
            ],
        },
        Group {
            title: "Other lines".into(),
            columns: vec![
                percent("lines kept", Better::Higher),
                percent("still Python", Better::Higher),
                percent("other answers kept", Better::Higher),
                percent("kept texts changed", Better::Lower),
            ],
        },
    ];
    let rows = whole.rows().into_iter().map(|row| {
        let (mut cases, mut repaired, mut patches) = (0.0, 0.0, 0.0);
        let mut sum = Judged::default();
        let (mut named, mut chains, mut broken, mut were) = (0.0, 0.0, 0.0, 0.0);
        let (mut controls, mut kept) = (0.0, 0.0);
        let (mut changed, mut positions) = (0.0, 0.0);
        for case in &whole.chains.case {
            let Some((edited, judged)) =
                whole.edited(&row, &case.name).zip(whole.judged(&row, case))
            else {
                continue;
            };
            cases += 1.0;
            sum.dependent += judged.dependent;
            sum.followed += judged.followed;
            let whole_chain = judged.named && judged.followed == judged.dependent;
            named += f64::from(judged.named);
            chains += f64::from(whole_chain);
            if edited.failed.is_some() {
                continue; // nothing was edited, so nothing else could change
            }
            repaired += 1.0;
            patches += edited.tokens.iter().map(|token| token.neurons.len() as f64).sum::<f64>();
            sum.independent += judged.independent;
            sum.unchanged += judged.unchanged;
            were += f64::from(judged.parsed);
            broken += f64::from(judged.parsed && !judged.parses);
            for (question, after) in whole.chains.controls.iter().zip(&edited.controls) {
                controls += 1.0;
                let before = whole.before(question).map(super::Chain::text);
                kept += f64::from(before == Some(after.text()));
            }
            if let Some((own, all)) = edited.changed {
                changed += own as f64;
                positions += all as f64;
            }
        }
        Row::new(
            Whole::label(&row),
            vec![
                Some(cases),
                share(repaired, cases),
                share(patches, repaired),
                share(named, cases),
                share(sum.followed as f64, sum.dependent as f64),
                share(chains, cases),
                share(sum.unchanged as f64, sum.independent as f64),
                share(were - broken, were),
                share(kept, controls),
                share(changed, positions),
            ],
        )
    });
    Table {
        name: "follow",
        title: format!(
            "Chains of thought of {} after a single wrong API was repaired",
            whole.manifest.identity.model()
        ),
        stub: "Approach",
        groups,
        rows: rows.collect(),
        reference: None,
        notes: notes(whole),
        deviations: departures(whole),
    }
}

/// Notes on reading the table.
fn notes(whole: &Whole<'_>) -> Vec<String> {
    let mut notes = vec![
            "one token: the first wrong token of the name is repaired, and the model continues by itself; \
             whole name: all of its wrong tokens are; patches: of repaired cases, one neuron may be \
             patched more than once"
                .into(),
            "named in full: the first step, where the edit was made, says the right name; steps that \
             follow: share of the later lines that named the wrong API that now name the right one \
             instead; whole chains: cases where both hold. A chain whose repair failed is unchanged \
             and counts"
                .into(),
            "lines kept: later lines that did not name the API and are unchanged, compared by their \
             place; still Python: code that was Python before and after; other answers kept: chains of \
             questions that the unedited model answers with the right name, letter by letter; kept texts changed: \
             positions of unrelated texts at which another token is predicted. All of edited cases only"
                .into(),
            "every chain is generated again from the question on, greedily, so the edit may also \
             change text before its place"
                .into(),
    ];
    let edited = whole.edited.iter().flat_map(|edited| edited.chain.iter().chain(&edited.controls));
    let cut = |chains: &[&super::Chain]| {
        format!("{} of {}", chains.iter().filter(|chain| chain.cut).count(), chains.len())
    };
    notes.push(format!(
        "chains that did not end within {} tokens, and were cut: {} before, {} after edits",
        whole.chains.tokens.0,
        cut(&whole.before.iter().map(|(_, chain)| chain).collect::<Vec<_>>()),
        cut(&edited.collect::<Vec<_>>())
    ));
    let left_out = whole.left_out();
    if !left_out.is_empty() {
        notes.push(format!(
            "not measured (yet), or left out because the unedited model does not answer as the case \
             says: {}",
            left_out.join(", ")
        ));
    }
    notes
}

/// One row a case, what followed under each method and extent.
pub(super) fn by_case(whole: &Whole<'_>) -> Table {
    let column = |title, format| Column { title, better: Better::Neither, format };
    let lines = Group {
        title: "Later lines".into(),
        columns: vec![column("dependent", Format::Count), column("others", Format::Count)],
    };
    let of_rows = whole.rows().into_iter().map(|row| Group {
        title: Whole::label(&row),
        columns: vec![
            column("named", Format::Count),
            column("followed", Format::Percent),
            column("kept", Format::Percent),
        ],
    });
    let groups = std::iter::once(lines).chain(of_rows).collect();
    let rows = whole.chains.case.iter().map(|case| {
        let (mut cells, mut lines) = (Vec::new(), [None, None]);
        for row in whole.rows() {
            let Some((edited, judged)) =
                whole.edited(&row, &case.name).zip(whole.judged(&row, case))
            else {
                cells.extend([None; 3]);
                continue;
            };
            let Judged { named, dependent, followed, independent, unchanged, .. } = judged;
            lines = [Some(dependent as f64), Some(independent as f64)];
            let kept = share(unchanged as f64, independent as f64);
            cells.extend([
                Some(f64::from(named)),
                share(followed as f64, dependent as f64),
                kept.filter(|_| edited.failed.is_none()),
            ]);
        }
        let label = format!("{}: {} → {}", case.library, case.wrong, case.right);
        Row::new(label, lines.into_iter().chain(cells).collect())
    });
    Table {
        name: "by_case",
        title: "The cases one by one".into(),
        stub: "Case",
        groups,
        rows: rows.collect(),
        reference: None,
        notes: vec![
            "dependent: later lines that named the wrong API; named: whether the first step says the right \
             name in full; followed: dependent lines that name the right API now and not the wrong one; \
             kept: other lines that are unchanged, a dash where the repair failed and nothing was edited"
                .into(),
        ],
        deviations: Vec::new(),
    }
}

/// `part` of `of`, where there is any.
fn share(part: f64, of: f64) -> Option<f64> {
    (of > 0.0).then(|| part / of)
}

fn departures(whole: &Whole<'_>) -> Vec<String> {
    let own = "the prompts, the model and the form of the chains are not the paper's, which shows one chain \
               of a model that it does not name; the cases were chosen by the unedited model's \
               answers, before any edit";
    std::iter::once(own.to_string()).chain(whole.manifest.all_deviations()).collect()
}
