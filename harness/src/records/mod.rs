//! Records and the manifest of runs, and the folder that holds both: writing and reading.

mod case;
mod datum;
mod free;
pub mod manifest;
mod probed;
mod record;
pub mod store;
mod trial;
pub(crate) mod view;

pub use self::case::{CaseName, CaseRecord};
pub use self::datum::{DatumRecord, PredictionRecord};
pub use self::free::FreeRecord;
pub use self::probed::{Change, Probed};
pub use self::record::{FORMAT, Record, RecordKey};
pub use self::trial::{ErrorTrial, ProbeTrial, Texts, Trial, TrialId, UnrelatedProbe, distinct};
