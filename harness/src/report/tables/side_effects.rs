//! Table of the side effects of edits on other data, if the config asks for it.

use crate::report::measures::costs::{Costs, KEPT};
use crate::table::{Better, Format, Table};

/// `None` where nothing was probed.
pub(crate) fn build(costs: &Costs) -> Option<Table> {
    let probed = |method: &String| costs.over_all(method).is_some_and(|cost| cost.kept.is_some());
    costs.methods.iter().any(probed).then(|| Table {
        name: "side_effects",
        title: "Side effects on other data.".into(),
        stub: "Approach",
        groups: vec![costs.group("Kept", Better::Higher, Format::Percent)],
        rows: costs.rows(&[KEPT]),
        reference: None,
        notes: vec![
            "Kept: share of next-token predictions after prompts of other data that do not change \
             under an edit that solved its error"
                .into(),
        ],
        deviations: Vec::new(),
    })
}
