//! Progress bars with an ETA, on stderr; hidden when stderr is no terminal.

use crate::system::log::BARS;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// A bar over `length` items of `what`.
pub(crate) fn bar(what: &str, length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{prefix:>10} {bar:32} {pos}/{len} [{elapsed_precise}, ETA {eta_precise}] {msg}",
    )
    .expect("the template is well-formed");
    let bar = BARS.add(ProgressBar::new(length as u64));
    let bar = bar.with_style(style).with_prefix(what.to_string());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
