//! `ment run --dry-run`: forecast of a run, from its records and a short probe. Writes nothing.

use crate::table::{Better, Column, Format, Group, Row, Table};

/// Work of one method on one data set or benchmark.
pub(super) struct Work {
    /// The data set or benchmark.
    pub(super) of: String,
    pub(super) method: String,
    /// Errors or cases; of data that were not predicted yet, as many as others have on average.
    pub(super) trials: f64,
    /// Units of work that are recorded already.
    pub(super) there: f64,
    /// Wall time of one, seconds, as the probe took; nothing where there was none to try.
    pub(super) seconds: Option<f64>,
}

/// Remaining work of a run.
#[derive(Default)]
pub(super) struct Forecast {
    pub(super) works: Vec<Work>,
    /// Seconds for what is not a trial: predictions, samples traced.
    pub(super) besides: f64,
    /// Notes on how the forecast was made, a sentence each.
    pub(super) notes: Vec<String>,
}

impl Forecast {
    /// Seconds that are left.
    fn left(&self) -> f64 {
        let of = |work: &Work| (work.trials - work.there) * work.seconds.unwrap_or(0.0);
        self.works.iter().map(of).sum::<f64>() + self.besides
    }

    /// A row a method and data set. `peak` is the memory of this process at most, bytes.
    pub(super) fn table(self, peak: Option<u64>) -> Table {
        let column = |title, format| Column { title, better: Better::Neither, format };
        let columns = vec![
            column("trials", Format::Count),
            column("there", Format::Count),
            column("left", Format::Count),
            column("each", Format::Duration),
            column("together", Format::Duration),
        ];
        let row = |work: &Work| {
            let left = work.trials - work.there;
            let together = work.seconds.map(|seconds| left * seconds);
            let cells =
                vec![Some(work.trials), Some(work.there), Some(left), work.seconds, together];
            Row::new(format!("{}: {}", work.of, work.method), cells)
        };
        let unknown = |work: &&Work| work.seconds.is_none() && work.trials > work.there;
        let unknown = self.works.iter().filter(unknown).count();
        let minutes = self.left() / 60.0;
        let least = if unknown > 0 { "at least" } else { "about" };
        let mut notes = vec![format!(
            "{least} {minutes:.0} minutes are left on this machine, {:.0} s of them for predictions and the \
             samples of a benchmark; embeddings and the report are not included",
            self.besides
        )];
        if unknown > 0 {
            notes.push(format!(
                "for {unknown} rows the probe found nothing to repair, so their time is unknown"
            ));
        }
        if let Some(peak) = peak {
            let gib = peak as f64 / f64::from(1 << 30);
            notes.push(format!("the probe took {gib:.1} GiB of memory at most, weights included"));
        }
        notes.extend(self.notes.iter().cloned());
        Table {
            name: "forecast",
            title: "Remaining work of this run.".into(),
            stub: "Work",
            groups: vec![Group { title: String::new(), columns }],
            rows: self.works.iter().map(row).collect(),
            reference: None,
            notes,
            deviations: Vec::new(),
        }
    }
}
