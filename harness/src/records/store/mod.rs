//! The folder of a run: `manifest.json` and `trials.jsonl`. Records are appended and flushed as
//! they are measured; a folder is continued where it was left, and never overwritten. Shards of a
//! run write separate files beside it, `trials.1-of-2.jsonl`; the records of all of them count. Any
//! of them may be compressed by `gzip`, and is then read as it was.

pub mod journal;
mod lines;
mod manifest_file;
mod reader;
mod writer;

pub use self::reader::{Run, read, record_files};
pub use self::writer::Store;

/// The file that says what a run is.
pub const MANIFEST: &str = "manifest.json";
/// The file that holds the records of a run.
const RECORDS: &str = "trials.jsonl";
