//! The time from records to tables: `tables` starts with the records in memory, `read` with a run's
//! folder; `report` is all that `ment report` does, pictures and page included.
//!
//! ```console
//! $ cargo bench --profile dev --bench aggregate                             # all, 3 minutes
//! $ cargo bench --profile dev --bench aggregate -- --quick report/1000000   # the whole path, twice
//! ```
//!
//! The profile is that of the binary; with Cargo's own for benches, all crates are built again.

use criterion::{BenchmarkId, Criterion, SamplingMode, criterion_group, criterion_main};
use ment::records::manifest::Manifest;
use ment::records::store;
use ment::records::{DatumRecord, ErrorTrial, PredictionRecord, Record, Trial, TrialId};
use ment::report;
use std::cell::LazyCell;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::path::Path;

const SIZES: [usize; 2] = [20_000, 1_000_000];

/// The unedited model and eleven methods.
const METHODS: usize = 12;

/// Errors of a datum under all methods. With itself and the predictions they are 50 records: 2 %
/// data, 24 % predictions and 74 % trials.
const TRIALS: usize = 37;

/// Of the published run what MENT made, and a manifest that names every method of its copies.
fn published() -> (Manifest, Vec<Record>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/published/patching");
    let store::Run { manifest, mut records, .. } = store::read(&folder).expect("the published run");
    records.retain(|record| match record {
        Record::Datum(_) => true,
        Record::Trial(trial) => trial.trial.method == "MENT",
        Record::Prediction(prediction) => {
            prediction.method == "MENT" || prediction.method == manifest.identity.model()
        }
        Record::Free(_) | Record::Case(_) | Record::Probe(_) => false,
    });
    let mut manifest = serde_json::to_value(manifest).expect("plain data");
    for method in 1..METHODS {
        let settings = serde_json::json!({ "kind": "ment", "label": label(method), "quota": 10 });
        manifest["identity"]["methods"][label(method)] = settings;
    }
    (serde_json::from_value(manifest).expect("a manifest"), records)
}

fn label(method: usize) -> String {
    format!("MENT {method:02}")
}

/// The first `count` records of a run over as many data as it takes: those of the published run
/// again and again.
fn records(published: &[Record], count: usize) -> Vec<Record> {
    let datum = |record: &'_ Record| match record {
        Record::Datum(datum) => Some(datum.clone()),
        _ => None,
    };
    let data: Vec<DatumRecord> = published.iter().filter_map(datum).collect();
    let of_number = |number| of_datum(published, &data[number % data.len()], number);
    (0..).flat_map(of_number).take(count).collect()
}

/// All records of a copy of the datum `source`. The copy is told apart by its number, which also
/// ends its texts, so that nothing can be remembered from one datum to the next.
fn of_datum(published: &[Record], source: &DatumRecord, number: usize) -> Vec<Record> {
    let numbered = |text: &str| format!("{text} x{number}");
    let mut predictions: Vec<&PredictionRecord> = Vec::new();
    let mut trials: Vec<&ErrorTrial> = Vec::new();
    for record in published {
        match record {
            Record::Prediction(prediction)
                if (prediction.dataset, prediction.datum) == (source.dataset, source.datum) =>
            {
                predictions.push(prediction);
            }
            Record::Trial(trial) if trial.dataset == source.dataset => trials.push(trial),
            _ => {}
        }
    }
    let [unedited, edited] = predictions[..] else { panic!("the unedited model, and MENT") };

    let gold_text = numbered(&source.gold_text);
    let mut records =
        vec![Record::Datum(DatumRecord { datum: number, gold_text, ..source.clone() })];
    records.extend((0..TRIALS).map(|index| {
        let trial = trials[(number + index) % trials.len()].clone();
        let id = TrialId::new("copy", trial.dataset, number, index);
        let method = label(1 + index % (METHODS - 1));
        let same = trial.trial.clone();
        let copy = Trial { id, method, ..same };
        Record::Trial(ErrorTrial { trial: copy, datum: number, ..trial })
    }));
    records.extend((0..METHODS).map(|method| {
        let (source, method) = match method {
            0 => (unedited, unedited.method.clone()),
            _ => (edited, label(method)),
        };
        let predicted_text = numbered(&source.predicted_text);
        Record::Prediction(PredictionRecord {
            datum: number,
            method,
            predicted_text,
            ..source.clone()
        })
    }));
    records
}

/// Writes the folder of a run.
fn write(folder: &Path, manifest: &Manifest, records: &[Record]) -> std::io::Result<()> {
    serde_json::to_writer(File::create(folder.join("manifest.json"))?, manifest)?;
    let mut file = BufWriter::new(File::create(folder.join("trials.jsonl"))?);
    for record in records {
        serde_json::to_writer(&mut file, record)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}

fn tables(criterion: &mut Criterion) {
    let (manifest, published) = published();
    let mut group = criterion.benchmark_group("tables");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for size in SIZES {
        let records = LazyCell::new(|| records(&published, size));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            let records = &*records;
            bencher.iter(|| report::tables(black_box(records), &manifest).expect("tables"));
        });
    }
}

/// Of a run in a folder, by `made`.
fn from_folder(criterion: &mut Criterion, name: &str, made: impl Fn(&Path)) {
    let (manifest, published) = published();
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for size in SIZES {
        let folder = LazyCell::new(|| {
            let folder = tempfile::tempdir().expect("a temporary folder");
            write(folder.path(), &manifest, &records(&published, size)).expect("writable");
            folder
        });
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            let folder = folder.path();
            bencher.iter(|| made(black_box(folder)));
        });
    }
}

/// Read, and all tables built.
fn read(criterion: &mut Criterion) {
    from_folder(criterion, "read", |folder| {
        let run = store::read(folder).expect("a run");
        black_box(report::tables(&run.records, &run.manifest).expect("tables"));
    });
}

/// Pictures and the page, too, and all of it written.
fn whole(criterion: &mut Criterion) {
    from_folder(criterion, "report", |folder| drop(report::report(folder).expect("a run")));
}

criterion_group!(benches, tables, read, whole);
criterion_main!(benches);
