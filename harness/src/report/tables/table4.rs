//! Table IV: costs in editing executions.

use crate::report::measures::costs::{Costs, NC, NC_DISTINCT, TC};
use crate::table::{Better, Format, Table};

/// Neurons and time an LLM error costs.
pub(crate) fn build(costs: &Costs) -> Table {
    Table {
        name: "table4",
        title: "Table IV: Comparison of costs in editing executions.".into(),
        stub: "Approach",
        groups: vec![
            costs.group("Avg. NeuronCost (NC)", Better::Lower, Format::Three),
            costs.group("NC, distinct neurons", Better::Lower, Format::Three),
            costs.group("Avg. TimeCost (TC)", Better::Lower, Format::Seconds),
        ],
        rows: costs.rows(&[NC, NC_DISTINCT, TC]),
        reference: None,
        notes: vec![
            costs.counted(),
            "NC: patches of an error, one more than the quota where it is skipped; \
             NC = skip·(quota+1) + (1−skip)·#Patched was checked. Distinct: a neuron patched several times \
             for one error counts once"
                .into(),
            "TC: wall time per LLM error, tracing and all steps, on the machine that made the run; \
             an attribution that was reused counts with the time it took the first time"
                .into(),
        ],
        deviations: Vec::new(),
    }
}
