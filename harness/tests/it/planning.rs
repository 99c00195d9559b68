//! How neurons are chosen and patched: once or again, planned once or every round, fixed, averaged.

use crate::bench::{self, Bench};
use ment::edit::Outcome;
use ment::records::{Record, Trial};
use std::collections::BTreeMap;

/// Settings that differ in the choice of neurons, with steps so small that one patch seldom suffices.
const SETTINGS: [(&str, &str); 7] = [
    ("once", ""),
    ("again", "repeat = true\n"),
    ("planned", "replan = \"once\"\n"),
    ("best", "repeat = true\nreplan = \"once\"\n"),
    ("mean", "repeat = true\nestimate.combine = \"average\"\n"),
    ("fixed", "quota = 3\nlocate.score = \"fixed\"\nlocate.neurons = [[1, 5], [0, 2], [2, 7]]\n"),
    ("pathways", "estimate.pathways = 0.25\nestimate.pathway_rule = \"contribution\"\n"),
];

fn config(settings: &[(&str, &str)]) -> String {
    let start = Bench::tiny_config("");
    let method = |(label, keys): &(&str, &str)| {
        format!("[[ment]]\nlabel = \"{label}\"\nestimate.coefficient = 0.3\n{keys}")
    };
    start.trim_end_matches("[[ment]]\n").to_string()
        + &settings.iter().map(method).collect::<String>()
}

fn trials(bench: &Bench, out: &str) -> BTreeMap<String, Vec<Trial>> {
    let mut found: BTreeMap<String, Vec<Trial>> = BTreeMap::new();
    for record in bench.records(out) {
        if let Record::Trial(own) = record {
            found.entry(own.trial.method.clone()).or_default().push(own.trial);
        }
    }
    found
}

fn candidates(trial: &Trial) -> Vec<usize> {
    trial.neurons.iter().map(|patched| patched.candidate).collect()
}

#[test]
fn settings_choose_neurons_as_they_say() {
    let bench = Bench::tiny();
    bench.config(&config(&SETTINGS));
    bench.run("out").success();
    let trials = trials(&bench, "out");
    let of = |label: &str| &trials[label];
    let repeats = |label: &str| of(label).iter().any(|t| t.distinct_neurons() < t.neurons.len());
    for label in ["once", "planned", "fixed", "pathways"] {
        assert!(!repeats(label), "{label} patches a neuron twice");
        assert!(of(label).iter().any(|t| t.neurons.len() > 1), "{label} patches several neurons");
    }
    for label in ["again", "best", "mean"] {
        assert!(repeats(label), "{label} patches no neuron twice");
    }
    for (planned, once) in of("planned").iter().zip(of("once")) {
        assert_eq!(candidates(planned).first(), candidates(once).first(), "the best is the best");
    }
    for (best, planned) in of("best").iter().zip(of("planned")) {
        let first = candidates(planned)[0];
        assert!(candidates(best).iter().all(|&own| own == first));
    }
    for trial in of("fixed") {
        for patched in &trial.neurons {
            let neuron = [[1, 5], [0, 2], [2, 7]][patched.candidate];
            assert_eq!([patched.neuron.layer, patched.neuron.index], neuron);
        }
    }
    let solved = |label: &str| of(label).iter().filter(|t| t.outcome == Outcome::Solved).count();
    assert!(solved("again") > 0 && solved("mean") > 0 && solved("once") > 0);
    // The first patch of a mean is from the column towards the vector, not the vector.
    assert!(of("mean").iter().zip(of("again")).any(|(a, b)| a.after != b.after));
    assert!(of("pathways").iter().zip(of("once")).any(|(a, b)| a.after != b.after));

    let read = |table: &str| std::fs::read_to_string(bench.path("out").join(table)).unwrap();
    let row = |label: &str| -> Vec<f64> {
        let table = read("tables/table5.csv");
        let line = table.lines().find(|line| line.starts_with(&format!("{label},"))).unwrap();
        line.split(',').skip(1).map(|cell| cell.parse().unwrap_or(f64::NAN)).collect()
    };
    let mean = |label: &str, count: fn(&Trial) -> usize| {
        let solved = of(label).iter().filter(|t| t.outcome == Outcome::Solved);
        let counts: Vec<f64> = solved.map(|t| count(t) as f64).collect();
        counts.iter().sum::<f64>() / counts.len() as f64
    };
    for label in ["once", "again", "mean"] {
        assert!((row(label)[0] - mean(label, |t| t.neurons.len())).abs() < 1e-9, "{label}");
        assert!((row(label)[1] - mean(label, Trial::distinct_neurons)).abs() < 1e-9, "{label}");
    }
    assert!(bench.path("out/tables/figure6_neurons.csv").is_file(), "neurons are patched again");

    // Settings beside the first: value, and difference from its value.
    let table = read("tables/sensitivity.csv");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 1 + SETTINGS.len(), "{table}");
    assert_eq!(
        rows[0][..4],
        ["Setting", "SkipAction Rate value", "SkipAction Rate difference", "SkipAction Rate lower"]
    );
    let number = |row: &[&str], cell: usize| row[cell].parse::<f64>().unwrap();
    let first = number(&rows[1], 1);
    for row in &rows[2..] {
        assert!((number(row, 2) - (number(row, 1) - first)).abs() < 1e-12, "{table}");
        // A setting that solves nothing has no patches, and a single datum has no interval.
        let patches = mean(row[0], |t| t.neurons.len());
        match row[5] {
            "" => assert!(patches.is_nan(), "{table}"),
            _ => assert!((number(row, 5) - patches).abs() < 1e-9, "{table}"),
        }
        if !row[3].is_empty() {
            let (low, difference, high) = (number(row, 3), number(row, 2), number(row, 4));
            assert!(low <= difference && difference <= high, "{table}");
        }
    }
}

#[test]
fn both_engines_plan_alike() {
    let bench = Bench::tiny();
    bench.config(&config(&SETTINGS));
    bench.run("replay").success();
    let reference = "[execution]\nengine = \"reference\"\n[model]";
    bench.config(&config(&SETTINGS).replace("[model]", reference));
    bench.run("reference").success();
    let choices = |out: &str| -> BTreeMap<String, Vec<(Outcome, Vec<usize>)>> {
        let of = |trials: Vec<Trial>| trials.iter().map(|t| (t.outcome, candidates(t))).collect();
        trials(&bench, out).into_iter().map(|(label, trials)| (label, of(trials))).collect()
    };
    assert_eq!(choices("replay"), choices("reference"));
}

#[test]
fn neurons_that_the_model_lacks_are_refused_before_anything_runs() {
    let bench = Bench::tiny();
    let keys = "quota = 1\nlocate.score = \"fixed\"\nlocate.neurons = [[99, 0]]\n";
    bench.config(&config(&[("fixed", keys)]));
    let assert = bench.ment(&["check", "config.toml"]).assert().code(2).stdout("");
    let message = bench::stderr(&assert, bench.folder.path());
    assert!(message.contains("locate.neurons has [99, 0]"), "{message}");
    assert_eq!(message, bench.refused());
}
