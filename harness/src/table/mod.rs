//! A table as data, built once and written in any form: terminal, Markdown, CSV, LaTeX; and pictures.

pub mod export;
mod latex;
pub(crate) mod plot;

/// A grid of numbers with labelled rows and grouped columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Stem of its files.
    pub name: &'static str,
    /// Caption.
    pub title: String,
    /// Head of the label column.
    pub stub: &'static str,
    /// Column groups, left to right.
    pub groups: Vec<Group>,
    /// Rows, top to bottom; each with as many cells as the groups have columns together.
    pub rows: Vec<Row>,
    /// The row that others are marked for beating, column by column.
    pub reference: Option<String>,
    /// Notes on reading it, shown under the table.
    pub notes: Vec<String>,
    /// Departures of the run from the paper, shown under the table in its files.
    pub deviations: Vec<String>,
}

/// Columns under one head.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Head over the group.
    pub title: String,
    /// The columns.
    pub columns: Vec<Column>,
}

/// One column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Column {
    /// Heading.
    pub title: &'static str,
    /// Direction of better values.
    pub better: Better,
    /// Number format.
    pub format: Format,
}

/// Direction of better values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Large ones.
    Higher,
    /// Small ones.
    Lower,
    /// A count, with nothing to prefer.
    Neither,
}

impl Better {
    /// Points to the good values, behind a head.
    pub fn arrow(self) -> &'static str {
        match self {
            Self::Higher => "↑",
            Self::Lower => "↓",
            Self::Neither => "",
        }
    }
}

/// Number format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Three decimals.
    Three,
    /// A fraction as a percentage with one decimal.
    Percent,
    /// Seconds with two decimals.
    Seconds,
    /// A whole number.
    Count,
    /// Seconds, as milliseconds where they are less than one.
    Duration,
    /// A ratio.
    Times,
    /// GiB with two decimals.
    Gib,
    /// The code of a [`Verdict`]; nothing for what was not run.
    Verdict,
    /// A probability with four decimals.
    Probability,
}

impl Format {
    /// Formats a value; a dash if there is none.
    pub fn text(self, value: Option<f64>) -> String {
        match (value, self) {
            (None, Self::Verdict) => "not run".into(),
            (None, _) => "–".into(),
            (Some(value), Self::Three) => unsigned_zero(format!("{value:.3}")),
            (Some(value), Self::Percent) => unsigned_zero(format!("{:.1}%", value * 100.0)),
            (Some(value), Self::Seconds) => format!("{value:.2}s"),
            (Some(value), Self::Count) => format!("{value:.0}"),
            (Some(value), Self::Duration) if value < 1.0 => format!("{:.1} ms", value * 1e3),
            (Some(value), Self::Duration) => format!("{value:.2} s"),
            (Some(value), Self::Times) if value < 10.0 => format!("{value:.2}×"),
            (Some(value), Self::Times) => format!("{value:.1}×"),
            (Some(code), Self::Verdict) => Verdict::of(code).words().into(),
            (Some(value), Self::Probability) if value < 5e-5 => "<0.0001".into(),
            (Some(value), Self::Probability) => format!("{value:.4}"),
            (Some(value), Self::Gib) => format!("{value:.2} GiB"),
        }
    }
}

impl Format {
    /// Formats an interval, with two decimals or as the value.
    pub fn interval(self, Interval { low, high }: Interval) -> String {
        let text = |value: f64| match self {
            Self::Three => unsigned_zero(format!("{value:.2}")),
            Self::Percent => unsigned_zero(format!("{:.1}", value * 100.0)),
            _ => self.text(Some(value)),
        };
        format!("[{}, {}]", text(low), text(high))
    }
}

/// Verdict on a claim, as a number that a cell can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The run shows neither the claim nor its opposite.
    NotDecided,
    /// Every mean is as claimed, and significantly so.
    Confirmed,
    /// A mean is significantly the other way round.
    Contradicted,
    /// An approach edited nothing, so that the claim says nothing about edits.
    Vacuous,
}

impl Verdict {
    const ALL: [Self; 4] = [Self::NotDecided, Self::Confirmed, Self::Contradicted, Self::Vacuous];

    /// Number of the verdict.
    pub fn code(self) -> f64 {
        f64::from(self as u8)
    }

    /// The verdict of a number.
    fn of(code: f64) -> Self {
        Self::ALL[(code as usize).min(Self::ALL.len() - 1)]
    }

    fn words(self) -> &'static str {
        match self {
            Self::NotDecided => "not decided",
            Self::Confirmed => "confirmed",
            Self::Contradicted => "contradicted",
            Self::Vacuous => "vacuous",
        }
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Label.
    pub label: String,
    /// Remark in brackets after the label.
    pub remark: Option<String>,
    /// Values; `None` where there is nothing to measure.
    pub cells: Vec<Option<f64>>,
    /// Confidence intervals; one per cell, or empty.
    pub intervals: Vec<Option<Interval>>,
    /// Number of data, errors or cases behind each cell; one per cell, or empty.
    pub counts: Vec<Option<f64>>,
    /// The paper's row, in a table that compares with the paper. The cells of such a row are shown with
    /// their intervals.
    pub paper: Option<PaperRow>,
    /// Overrides the columns' format, for rows of differences.
    pub format: Option<Format>,
    /// True if the row may hold the best value of a column: neither differences nor a control.
    pub competes: bool,
}

impl Row {
    /// A row that competes.
    pub fn new(label: impl Into<String>, cells: Vec<Option<f64>>) -> Self {
        let (intervals, counts) = (Vec::new(), Vec::new());
        let label = label.into();
        let (remark, paper, format) = (None, None, None);
        Self { label, remark, cells, intervals, counts, paper, format, competes: true }
    }

    /// The label with its remark.
    pub fn head(&self) -> String {
        let remark = self.remark.as_ref().map(|remark| format!(" ({remark})"));
        format!("{}{}", self.label, remark.unwrap_or_default())
    }
}

/// A row of the paper beside one of ours.
#[derive(Clone, Debug, PartialEq)]
pub struct PaperRow {
    /// Its label in the paper.
    pub label: String,
    /// Its values, one per cell of ours.
    pub cells: Vec<Option<f64>>,
}

/// A 95 % confidence interval of what all data of the kind would give.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// A number that rounds to nothing has no sign.
fn unsigned_zero(text: String) -> String {
    let nothing = text.chars().all(|character| "-0.%".contains(character));
    if nothing { text.replace('-', "") } else { text }
}

impl Table {
    /// All notes, what marked cells mean among them.
    pub fn all_notes(&self) -> Vec<String> {
        let marks = |label: &String| format!("in italics (grey in LaTeX): better than {label}");
        self.notes.iter().cloned().chain(self.reference.as_ref().map(marks)).collect()
    }

    /// All columns, left to right.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        self.groups.iter().flat_map(|group| &group.columns)
    }

    /// The cell as text; a dash where there is nothing.
    pub fn text(&self, row: &Row, column: usize) -> String {
        self.format(row, column).text(row.cells[column])
    }

    /// The confidence interval behind the cell, in a row beside the paper's: ` [0.81, 1.00]`, or nothing.
    pub fn interval_text(&self, row: &Row, column: usize) -> String {
        let interval =
            row.paper.as_ref().and_then(|_| row.intervals.get(column).copied().flatten());
        interval
            .map_or_else(String::new, |of| format!(" {}", self.format(row, column).interval(of)))
    }

    /// The paper's value of the cell, in a row beside the paper's.
    pub fn paper_text(&self, row: &Row, column: usize) -> Option<String> {
        let value = row.paper.as_ref()?.cells[column];
        Some(self.format(row, column).text(value))
    }

    fn format(&self, row: &Row, column: usize) -> Format {
        let own = || self.columns().nth(column).expect("a cell has a column").format;
        row.format.unwrap_or_else(own)
    }

    /// True if the cell beats that of the reference row.
    pub fn beats_reference(&self, row: &Row, column: usize) -> bool {
        let reference =
            self.rows.iter().find(|other| Some(&other.label) == self.reference.as_ref());
        let Some(theirs) = reference.and_then(|row| row.cells[column]) else { return false };
        let better = self.columns().nth(column).expect("a cell has a column").better;
        row.competes
            && row.cells[column].is_some_and(|own| match better {
                Better::Higher => own > theirs,
                Better::Lower => own < theirs,
                Better::Neither => false,
            })
    }

    /// True if the cell is the best of its column, among rows that compete. Where all rows agree, none is.
    pub fn is_best(&self, row: &Row, column: usize) -> bool {
        let better = self.columns().nth(column).expect("a cell has a column").better;
        let Some(value) = row.cells[column].filter(|_| row.competes) else { return false };
        let others: Vec<f64> = self
            .rows
            .iter()
            .filter(|other| other.competes)
            .filter_map(|other| other.cells[column])
            .collect();
        let beats = |other: &f64| match better {
            Better::Higher => value >= *other,
            Better::Lower => value <= *other,
            Better::Neither => false,
        };
        others.iter().all(beats) && others.iter().any(|other| *other != value)
    }
}
