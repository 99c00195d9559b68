//! The measurements as tables.

use super::{BenchFigure, BenchTask, Results, Versus};
use crate::table::{Better, Column, Format, Group, Row, Table};

/// Speed against the peer, and the engine alone.
pub(super) fn all(results: &Results) -> Vec<Table> {
    vec![versus(results), alone(results)]
}

/// At least, and aim: how many times as fast as the peer.
fn goal(task: BenchTask) -> (f64, f64) {
    match task {
        BenchTask::Forward => (1.0, 1.3),
        BenchTask::Ment => (5.0, 15.0),
        BenchTask::FineTuning => (3.0, 10.0),
        BenchTask::Lora => (1.0, 1.3),
        BenchTask::Memit => (5.0, 20.0),
        BenchTask::IntegratedGradients => (50.0, 200.0),
        BenchTask::Probe => (5.0, 20.0),
    }
}

fn name(task: BenchTask) -> &'static str {
    match task {
        BenchTask::Forward => "forward pass",
        BenchTask::Ment => "MENT, an error, 10 candidates",
        BenchTask::FineTuning => "FT-L, an error",
        BenchTask::Lora => "LoRA, an error",
        BenchTask::Memit => "MEMIT, an error",
        BenchTask::IntegratedGradients => "integrated gradients",
        BenchTask::Probe => "probing an edit on 49 prompts",
    }
}

fn versus(results: &Results) -> Table {
    let row = |found: &Versus| {
        let (least, aim) = goal(found.task);
        let label = format!("{}: {}, {} tokens", found.model, name(found.task), found.tokens);
        let ratio = found.peer_seconds / found.seconds;
        let cells = vec![
            Some(found.seconds),
            Some(found.peer_seconds),
            Some(ratio),
            Some(least),
            Some(aim),
        ];
        Row::new(label, cells)
    };
    let columns = [
        ("engine", Format::Duration),
        ("peer", Format::Duration),
        ("ratio", Format::Times),
        ("at least", Format::Times),
        ("aim", Format::Times),
    ];
    let environment = &results.environment;
    let mut notes = vec![
        format!(
            "{}, {} threads, f32; peer: {}; measured alternately in one run, medians; results were \
             compared first",
            environment.processor, environment.threads, environment.peer
        ),
        "CodeGen-350M's shape has random weights".into(),
    ];
    notes.extend(results.versus.iter().map(|found| {
        let (model, task, tokens) = (&found.model, name(found.task), found.tokens);
        format!("{model}: {task}, {tokens} tokens: {}; {} runs", found.detail, found.runs)
    }));
    notes.extend(results.failures.iter().map(|failure| format!("not counted: {failure}")));
    table("versus", "The engine and its Python peer.", "Work", &columns, notes)
        .with(results.versus.iter().map(row).collect())
}

fn alone(results: &Results) -> Table {
    let row = |(model, figure, value): (&String, BenchFigure, f64)| {
        let (label, format, least, aim) = match figure {
            BenchFigure::GemmShare => {
                ("share of the GEMM peak, 256 tokens", Format::Percent, Some(0.6), Some(0.85))
            }
            BenchFigure::MentMemory => (
                "peak memory over the weights, MENT, 1,024 tokens",
                Format::Gib,
                Some(1.5),
                Some(0.7),
            ),
            BenchFigure::Bf16Speed => {
                ("bf16 against f32, 64 tokens: speed", Format::Times, None, None)
            }
            BenchFigure::Bf16Argmax => {
                ("bf16 against f32: argmaxes kept", Format::Percent, None, None)
            }
        };
        let gib = f64::from(1 << 30);
        let value = if figure == BenchFigure::MentMemory { value / gib } else { value };
        let label = format!("{model}: {label}");
        Row { format: Some(format), ..Row::new(label, vec![Some(value), least, aim]) }
    };
    let columns = [("value", Format::Three), ("bound", Format::Three), ("aim", Format::Three)];
    let notes = vec![format!(
        "GEMM peak of this machine, best of products of 2048 × 2048 in f32: {:.1} GFLOP/s",
        results.environment.gemm_peak / 1e9
    )];
    table("alone", "The engine alone.", "Figure", &columns, notes)
        .with(results.alone.iter().map(|a| row((&a.model, a.figure, a.value))).collect())
}

fn table(
    name: &'static str,
    title: &str,
    stub: &'static str,
    columns: &[(&'static str, Format)],
    notes: Vec<String>,
) -> Table {
    let column = |&(title, format): &(&'static str, Format)| Column {
        title,
        better: Better::Neither,
        format,
    };
    let group = Group { title: String::new(), columns: columns.iter().map(column).collect() };
    let groups = vec![group];
    Table {
        name,
        title: title.into(),
        stub,
        groups,
        rows: Vec::new(),
        reference: None,
        notes,
        deviations: Vec::new(),
    }
}

impl Table {
    fn with(self, rows: Vec<Row>) -> Self {
        Self { rows, ..self }
    }
}
