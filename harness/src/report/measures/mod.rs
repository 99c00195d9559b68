//! Material of the tables: records as frames, measures, confidence intervals and tests.

pub(crate) mod bootstrap;
mod consistency;
pub(crate) mod costs;
pub(crate) mod frame;
pub(crate) mod free;
pub(crate) mod groups;
mod material;
pub(crate) mod measured;
pub(crate) mod probes;
pub(crate) mod repairs;
pub(crate) mod scores;
pub(crate) mod significance;
pub(crate) mod sources;

pub(crate) use self::material::Material;
