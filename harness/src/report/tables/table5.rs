//! Table V: details in editing executions.

use crate::report::measures::costs::{Costs, DISTINCT, ERRORS, PATCHED, SKIPPED};
use crate::table::{Better, Format, Table};

const COUNTS: &str = "#PatchedNeuron: patches of a solved error; distinct neurons: a neuron patched several \
                      times for one error counts once";

/// Neurons of an edit, and how often there is none.
pub(crate) fn build(costs: &Costs) -> Table {
    Table {
        name: "table5",
        title: "Table V: Comparison of details in editing executions.".into(),
        stub: "Approach",
        groups: vec![
            costs.group("Avg. #PatchedNeuron", Better::Lower, Format::Three),
            costs.group("distinct neurons", Better::Lower, Format::Three),
            costs.group("SkipAction Rate", Better::Lower, Format::Percent),
            costs.group("LLM errors", Better::Neither, Format::Count),
        ],
        rows: costs.rows(&[PATCHED, DISTINCT, SKIPPED, ERRORS]),
        reference: None,
        notes: std::iter::once(COUNTS.into())
            .chain(costs.methods.iter().filter_map(|method| {
                let parallel = costs.over_all(method)?.parallel?;
                Some(format!("{method}: {parallel:.1} parallel prompts per error on average"))
            }))
            .collect(),
        deviations: Vec::new(),
    }
}
