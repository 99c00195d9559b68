//! What the tables of a run are made of, read off its records once.

use super::costs::Costs;
use super::frame::Order;
use super::probes::Probes;
use super::repairs::Repairs;
use super::scores::scores;
use crate::manifest::Manifest;
use crate::record::Record;
use anyhow::Result;
use polars::prelude::DataFrame;

/// The parts that the records can fill.
pub(super) struct Sources<'r> {
    pub(super) order: Order,
    /// A row a prediction; none in a probing run.
    pub(super) scores: Option<DataFrame>,
    pub(super) costs: Option<Costs>,
    pub(super) probes: Option<Probes>,
    pub(super) repairs: Repairs<'r>,
}

impl<'r> Sources<'r> {
    /// # Errors
    /// If the records contradict each other.
    pub(super) fn of(records: &'r [Record], manifest: &'r Manifest) -> Result<Self> {
        let order = Order::of(records, manifest.identity.methods.keys());
        let predicted = !order.methods.is_empty();
        let (scores, (costs, repairs)) = rayon::join(
            || predicted.then(|| scores(records)).transpose(),
            || {
                let costs = Costs::of(records, &order, &manifest.identity);
                (costs, Repairs::of(records, &manifest.identity))
            },
        );
        let probes = Probes::of(records, manifest)?;
        Ok(Self { scores: scores?, costs: costs?, probes, repairs, order })
    }
}
