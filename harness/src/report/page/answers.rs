//! The paper's research questions, each with what this run says: the main figures and the verdicts on the
//! claims of its section, in two sentences.

use super::escape;
use crate::table::{Table, Verdict};
use std::fmt::Write as _;

/// A research question (paper, III).
struct Question {
    name: &'static str,
    text: &'static str,
    /// Beginning of the claims that belong to it: the section of its results.
    claims: &'static str,
    /// The main figures of the method of this label, in a sentence.
    figures: fn(&[Table], &str) -> Option<String>,
}

const QUESTIONS: [Question; 3] = [
    Question {
        name: "RQ1",
        text: "How effective is MENT in patching?",
        claims: "IV-A",
        figures: |tables, method| {
            let model = &find(tables, "table3")?.rows.first()?.label;
            let before = by_group(tables, "table3", model, "EM")?;
            let after = by_group(tables, "table3", &format!("+ {method}"), "EM")?;
            let pairs = before.iter().zip(&after);
            let pairs = pairs.map(|((set, old), (_, new))| format!("{old} → {new} on {set}"));
            Some(format!("Exact matches with {method}: {}.", pairs.collect::<Vec<_>>().join(", ")))
        },
    },
    Question {
        name: "RQ2",
        text: "How efficient is MENT in patching?",
        claims: "IV-B",
        figures: |tables, method| {
            let last = |title: &str| {
                let table = find(tables, "table5")?;
                let group = table.groups.iter().position(|group| group.title == title)?;
                let widths = table.groups[..=group].iter().map(|group| group.columns.len());
                let row = table.rows.iter().find(|row| row.label == method)?;
                Some(table.text(row, widths.sum::<usize>() - 1))
            };
            let (patched, skipped) = (last("Avg. #PatchedNeuron")?, last("SkipAction Rate")?);
            Some(format!(
                "{method} skips {skipped} of the errors, and patches {patched} neurons a repair."
            ))
        },
    },
    Question {
        name: "RQ3",
        text: "What is the generalization and specificity of MENT?",
        claims: "IV-C",
        figures: |tables, method| {
            let rank = |group: &str| {
                let found = by_group(tables, "table6", method, "MAE rank")?;
                found.into_iter().find(|(title, _)| title == group).map(|(_, text)| text)
            };
            let (related, unrelated) = (rank("Generalization")?, rank("Specificity")?);
            Some(format!(
                "After an edit by {method}, the rank of the target is off by {related} on related prompts and \
                 by {unrelated} on unrelated ones (mean absolute errors)."
            ))
        },
    },
];

/// The questions that `tables` answer, as HTML. `method` labels the first MENT of the run.
pub(crate) fn answers(tables: &[Table], method: &str) -> String {
    let mut out = String::new();
    for question in &QUESTIONS {
        let figures = (question.figures)(tables, method);
        let verdicts = verdicts(tables, question.claims);
        if figures.is_none() && verdicts.is_none() {
            continue;
        }
        let _ = writeln!(
            out,
            "<article class=\"answer\"><h3>{}: {}</h3>\n<p>{} {}</p></article>",
            question.name,
            question.text,
            escape(&figures.unwrap_or_default()),
            verdicts.unwrap_or_default()
        );
    }
    out
}

/// Verdicts on the claims that begin with `section`, as a sentence of HTML; `None` where none was tested.
fn verdicts(tables: &[Table], section: &str) -> Option<String> {
    let claims = find(tables, "claims")?;
    let own = claims.rows.iter().filter(|row| row.label.starts_with(section));
    let codes: Vec<f64> = own.filter_map(|row| row.cells[0]).collect();
    if codes.is_empty() {
        return None;
    }
    let count = |verdict: Verdict| codes.iter().filter(|code| **code == verdict.code()).count();
    let parts = [
        ("confirmed", count(Verdict::Confirmed)),
        ("contradicted", count(Verdict::Contradicted)),
        ("not decided by these data", count(Verdict::NotDecided)),
        ("vacuous", count(Verdict::Vacuous)),
    ];
    let parts = parts.iter().filter(|(_, count)| *count > 0);
    let parts: Vec<String> = parts.map(|(words, count)| format!("{count} {words}")).collect();
    Some(format!(
        "Of {} <a href=\"#claims\">claims of the paper</a> that were tested: {}.",
        codes.len(),
        parts.join(", ")
    ))
}

fn find<'t>(tables: &'t [Table], name: &str) -> Option<&'t Table> {
    tables.iter().find(|table| table.name == name)
}

/// The cells of a row under the columns called `title`, each with the head of its group.
fn by_group(tables: &[Table], name: &str, row: &str, title: &str) -> Option<Vec<(String, String)>> {
    let table = find(tables, name)?;
    let row = table.rows.iter().find(|own| own.label == row)?;
    let heads = table.groups.iter().flat_map(|group| {
        group.columns.iter().map(move |column| (group.title.clone(), column.title))
    });
    let own = heads.enumerate().filter(|(_, (_, column))| *column == title);
    Some(own.map(|(index, (group, _))| (group, table.text(row, index))).collect())
}
