//! Progress on stderr with an ETA: a bar in a terminal, elsewhere a line every half minute.

use crate::system::log::BARS;
use indicatif::{
    FormattedDuration, HumanDuration, ProgressBar, ProgressState, ProgressStyle, WeakProgressBar,
};
use std::fmt;
use std::io::{self, IsTerminal};
use std::thread;
use std::time::Duration;

/// Time between two lines where stderr is no terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(30);

/// A bar over `length` items of `what`.
pub(crate) fn bar(what: &str, length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{prefix:>10} {bar:32} {pos}/{len} [{elapsed_precise}, ETA {left}] {msg}",
    )
    .expect("the template is well-formed")
    .with_key("left", |state: &ProgressState, to: &mut dyn fmt::Write| {
        let left = left(state.elapsed(), state.pos(), state.len().unwrap_or_default());
        let _ =
            write!(to, "{}", left.map_or("?".into(), |left| FormattedDuration(left).to_string()));
    });
    let bar = BARS.add(ProgressBar::new(length as u64));
    let bar = bar.with_style(style).with_prefix(what.to_string());
    bar.enable_steady_tick(Duration::from_millis(200));
    if !io::stderr().is_terminal() {
        print_lines(bar.downgrade());
    }
    bar
}

/// Lines of text in the terminal, above the bars that are made after them. They go when this is dropped.
pub(crate) struct Lines(Vec<ProgressBar>);

impl Lines {
    /// `count` empty lines; none where stderr is no terminal.
    pub(crate) fn new(count: usize) -> Option<Self> {
        if !io::stderr().is_terminal() {
            return None;
        }
        let style = ProgressStyle::with_template("{msg}").expect("the template is well-formed");
        let line = |_| BARS.add(ProgressBar::new(0).with_style(style.clone()));
        Some(Self((0..count).map(line).collect()))
    }

    /// Columns of the terminal.
    pub(crate) fn width(&self) -> usize {
        terminal_size::terminal_size_of(io::stderr()).map_or(80, |(width, _)| width.0.into())
    }

    /// Replaces the text of all lines.
    pub(crate) fn show(&self, lines: &[String]) {
        for (bar, line) in self.0.iter().zip(lines) {
            bar.set_message(line.clone());
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.0.iter().for_each(ProgressBar::finish_and_clear);
    }
}

/// Prints the state of `bar` from time to time until it ends, for logs of jobs without a terminal.
fn print_lines(bar: WeakProgressBar) {
    thread::spawn(move || {
        loop {
            thread::sleep(BETWEEN_LINES);
            match bar.upgrade() {
                Some(bar) if !bar.is_finished() => eprintln!("{}", line(&bar)),
                _ => break,
            }
        }
    });
}

/// The time that is left if what is left takes as long as what is done: items differ, and an estimate from the last
/// ones grows without bound while one takes long. `None` where nothing is done.
fn left(elapsed: Duration, done: u64, length: u64) -> Option<Duration> {
    let each = elapsed.checked_div(u32::try_from(done).ok()?)?;
    each.checked_mul(u32::try_from(length.saturating_sub(done)).ok()?)
}

/// The state of `bar` as a line.
fn line(bar: &ProgressBar) -> String {
    let (done, length) = (bar.position(), bar.length().unwrap_or_default());
    let elapsed = HumanDuration(bar.elapsed());
    let rest = left(bar.elapsed(), done, length);
    let rest = rest.map_or(String::new(), |left| format!(", ETA {}", HumanDuration(left)));
    format!("{}: {done} of {length} after {elapsed}{rest}; {}", bar.prefix(), bar.message())
}

#[cfg(test)]
mod tests {
    use super::line;
    use indicatif::ProgressBar;

    #[test]
    fn a_line_says_what_is_done_and_what_is_at_hand() {
        let bar = ProgressBar::hidden().with_prefix("repair").with_message("MENT on conala 3");
        bar.set_length(396);
        let start = "repair: 0 of 396 after 0 seconds; MENT on conala 3";
        assert_eq!(line(&bar), start);
        bar.inc(34);
        let after = line(&bar);
        assert!(after.starts_with("repair: 34 of 396 after 0 seconds, ETA "), "{after}");
    }
}
