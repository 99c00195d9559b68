//! Table IV: costs in editing executions.

use crate::report::measures::costs::{Costs, NC, TC};
use crate::table::{Better, Format, Table};

/// Neurons and time an LLM error costs.
pub(crate) fn build(costs: &Costs) -> Table {
    Table {
        name: "table4",
        title: "Table IV: Comparison of costs in editing executions.".into(),
        stub: "Approach",
        groups: vec![
            costs.group("Avg. NeuronCost (NC)", Better::Lower, Format::Three),
            costs.group("Avg. TimeCost (TC)", Better::Lower, Format::Seconds),
        ],
        rows: costs.rows(&[NC, TC]),
        reference: None,
        notes: vec![
            costs.counted(),
            "NC: neurons patched, one more than the quota for a skipped error; \
             NC = skip·(quota+1) + (1−skip)·#Patched was checked"
                .into(),
            "TC: wall time an LLM error, tracing and all steps, on the machine that made the run; \
             attributions on a prompt met before count what they took then"
                .into(),
        ],
        deviations: Vec::new(),
    }
}
