//! Messages of a run: for people on stderr, above progress bars; without a terminal, warnings only; and as
//! JSON lines, `log.jsonl`, in the folder of the run.
//!
//! MENT_LOG (error, warn, info, debug) says how much, for both.

use indicatif::MultiProgress;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Name of the log file in the folder of a run.
pub const NAME: &str = "log.jsonl";

/// All progress bars of the process.
pub(crate) static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Log of the current run.
static FILE: Mutex<Option<File>> = Mutex::new(None);

/// Starts logging; once a process.
pub fn begin() {
    let said = std::env::var("MENT_LOG").ok().and_then(|level| level.parse::<LevelFilter>().ok());
    let to_people = if io::stderr().is_terminal() { LevelFilter::INFO } else { LevelFilter::WARN };
    let people = tracing_subscriber::fmt::layer()
        .event_format(Plain)
        .with_writer(|| BesideBars)
        .with_filter(said.unwrap_or(to_people));
    let folder = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(|| ToFolder)
        .with_filter(said.unwrap_or(LevelFilter::INFO));
    tracing_subscriber::registry().with(people).with(folder).init();
}

/// From here on, logs go into `folder` too. A log that cannot be written is no reason to measure nothing.
pub(crate) fn to(folder: &Path) {
    let file = OpenOptions::new().append(true).create(true).open(folder.join(NAME));
    *FILE.lock().unwrap_or_else(PoisonError::into_inner) = file.ok();
}

/// From here on, logs go into no folder.
pub(crate) fn nowhere() {
    *FILE.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// An event for people: its message, and what it is where it is no news.
struct Plain;

impl<S, N> FormatEvent<S, N> for Plain
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut message = Message(String::new());
        event.record(&mut message);
        let kind = if *event.metadata().level() <= Level::WARN { "note: " } else { "" };
        writeln!(writer, "{kind}{}", message.0)
    }
}

/// The text of an event; its other fields are for programs.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

struct BesideBars;

impl Write for BesideBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        BARS.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

struct ToFolder;

impl Write for ToFolder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match FILE.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(file) => file.write(bytes),
            None => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
