//! Requests as a table.

use super::measured::{Of, RequestMeasured};
use super::page::line;
use crate::own_model::kept::change::SetChange;
use crate::table::{Better, Column, Format, Group, Row, Table};

/// A row a request, and one for all.
pub fn table(model: &str, method: &str, measured: &[RequestMeasured], kept: &[SetChange]) -> Table {
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
    notes.extend(kept.iter().map(|set| format!("kept texts, {}", line(set))));
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

/// A row for each set of kept texts.
pub fn kept_table(kept: &[SetChange]) -> Table {
    let column = |title, better, format| Column { title, better, format };
    let columns = vec![
        column("positions", Better::Neither, Format::Count),
        column("changed", Better::Lower, Format::Percent),
        column("top 5 kept", Better::Higher, Format::Percent),
        column("KL", Better::Lower, Format::Three),
        column("perplexity before", Better::Neither, Format::Three),
        column("after", Better::Lower, Format::Three),
        column("most by one edit", Better::Lower, Format::Percent),
        column("one pass", Better::Neither, Format::Seconds),
        column("a replay", Better::Neither, Format::Seconds),
    ];
    let row = |set: &SetChange| {
        let share = |count: usize| count as f64 / set.positions as f64;
        let most = set.changed_by_each.iter().map(|&count| share(count)).fold(0.0, f64::max);
        let cells = vec![
            Some(set.positions as f64),
            Some(share(set.whole.top1_changed)),
            Some(set.whole.top5_kept),
            Some(set.whole.divergence),
            Some(set.perplexity),
            Some(set.whole.perplexity),
            Some(most),
            Some(set.seconds[0]),
            Some(set.seconds[1]),
        ];
        Row::new(&set.name, cells)
    };
    Table {
        name: "kept",
        title: "Texts that should not change, under all edits together".into(),
        stub: "Texts",
        groups: vec![Group { title: String::new(), columns }],
        rows: kept.iter().map(row).collect(),
        reference: None,
        notes: vec![
            "changed: positions at which another token is the most probable one; top 5 kept: mean share of the five most \
             probable tokens that are among the five again; KL: mean divergence from the unedited distribution, in nats a \
             position; most by one edit: the largest share that the edit of one request changes alone; one pass, a \
             replay: seconds of the unedited model on the set, and of one edit"
                .to_string(),
        ],
        deviations: Vec::new(),
    }
}
