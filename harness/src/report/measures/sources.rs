//! Sources of the tables of a run, computed from its records once.

use crate::records::Record;
use crate::records::manifest::Manifest;
use crate::report::measures::costs::Costs;
use crate::report::measures::frame::TableOrder;
use crate::report::measures::free::FreeTexts;
use crate::report::measures::probes::ProbeMeans;
use crate::report::measures::repairs::AllRepairs;
use crate::report::measures::scores::scores;
use anyhow::Result;
use polars::prelude::DataFrame;

/// The parts that the records can fill.
pub(crate) struct Sources<'r> {
    pub(crate) order: TableOrder,
    /// A row a prediction; none in a probing run.
    pub(crate) scores: Option<DataFrame>,
    /// Texts that the model wrote by itself, if that was asked for.
    pub(crate) free: Option<FreeTexts>,
    pub(crate) costs: Option<Costs>,
    pub(crate) probes: Option<ProbeMeans>,
    pub(crate) repairs: AllRepairs<'r>,
}

impl<'r> Sources<'r> {
    /// # Errors
    /// If the records contradict each other.
    pub(crate) fn of(records: &'r [Record], manifest: &'r Manifest) -> Result<Self> {
        let order = TableOrder::of(records, &manifest.identity);
        let predicted = !order.methods.is_empty();
        let (scores, (costs, repairs)) = rayon::join(
            || predicted.then(|| scores(records)).transpose(),
            || {
                let costs = Costs::of(records, &order, &manifest.identity);
                (costs, AllRepairs::of(records, &manifest.identity))
            },
        );
        let probes = ProbeMeans::of(records, manifest)?;
        let free = FreeTexts::of(records, &order)?;
        Ok(Self { scores: scores?, free, costs: costs?, probes, repairs, order })
    }
}
