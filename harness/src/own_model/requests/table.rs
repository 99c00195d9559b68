//! Requests as a table.

use super::measured::{Of, RequestMeasured};
use crate::own_model::patch::kept::Drift;
use crate::table::{Better, Column, Format, Group, Row, Table};

/// A row a request, and one for all.
pub fn table(
    model: &str,
    method: &str,
    measured: &[RequestMeasured],
    drift: Option<Drift>,
) -> Table {
    let column = |title, better, format| Column { title, better, format };
    let columns = vec![
        column("before", Better::Neither, Format::Percent),
        column("prompts", Better::Higher, Format::Percent),
        column("rephrasings", Better::Higher, Format::Percent),
        column("keep", Better::Higher, Format::Percent),
        column("unrelated", Better::Higher, Format::Percent),
        column("parameters", Better::Lower, Format::Count),
    ];
    let row = |name: &str, own: &[RequestMeasured]| {
        let share = |of: fn(&RequestMeasured) -> Of| Of::sum(own.iter().map(of)).share();
        let parameters: usize = own.iter().map(|own| own.parameters).sum();
        let cells = vec![
            share(|own| own.before),
            share(|own| own.prompts),
            share(|own| own.rephrasings),
            share(|own| own.keep),
            share(|own| own.unrelated),
            Some(parameters as f64),
        ];
        Row::new(name, cells)
    };
    let each = measured.iter().map(|own| row(&own.name, std::slice::from_ref(own)));
    let rows = each.chain([row("all", measured)]).collect();
    let mut notes = vec![
        "before, prompts: the target is what the model writes after the prompt, unedited and with all edits; \
         rephrasings: likewise after prompts that no edit was made for; keep, unrelated: the same 8 tokens are \
         written as without edits, after the requests' prompts to keep and after others; parameters: numbers that \
         describe the edit"
            .to_string(),
    ];
    notes.extend(drift.map(|drift| {
        format!(
            "kept texts: {} of {} predictions changed ({:.1} %), perplexity {:.3} → {:.3}",
            drift.changed,
            drift.positions,
            100.0 * drift.changed as f64 / drift.positions as f64,
            drift.perplexity_before,
            drift.perplexity_after
        )
    }));
    Table {
        name: "requests",
        title: format!("Requests to {model}, repaired together by {method}"),
        stub: "Request",
        groups: vec![Group { title: String::new(), columns }],
        rows,
        reference: None,
        notes,
        deviations: Vec::new(),
    }
}
