//! Everything that a table of a run may be made of.

use crate::records::Record;
use crate::records::manifest::Manifest;
use crate::report::measures::measured::Measured;
use crate::report::measures::repairs::AllRepairs;
use crate::report::measures::sources::Sources;
use anyhow::Result;

/// The material of tables.
pub(crate) struct Material<'r> {
    pub(crate) records: &'r [Record],
    pub(crate) manifest: &'r Manifest,
    pub(crate) sources: Sources<'r>,
    pub(crate) measured: Measured,
}

impl<'r> Material<'r> {
    /// # Errors
    /// If the records contradict each other.
    pub(crate) fn of(records: &'r [Record], manifest: &'r Manifest) -> Result<Self> {
        let sources = Sources::of(records, manifest)?;
        let measured = Measured::of(&sources)?;
        Ok(Self { records, manifest, sources, measured })
    }

    /// The repairs, if there are some.
    pub(crate) fn repairs(&self) -> Option<&AllRepairs<'r>> {
        Some(&self.sources.repairs).filter(|repairs| !repairs.all.is_empty())
    }
}
