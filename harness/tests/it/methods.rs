//! Every method end to end with the real binary, on a tiny checkpoint.

use crate::bench::{self, Bench};
use ment::edit::Outcome;
use ment::records::{ErrorTrial, Record, Trial};
use std::collections::BTreeMap;

/// The eight variants: label, and what departs from MENT.
const VARIANTS: [(&str, &str); 8] = [
    ("[loc.-actv]", "locate.score = \"activation\""),
    ("[loc.-rand]", "locate.score = \"random\""),
    ("[est.-onehot]", "estimate.virtual_distribution = \"one_hot\""),
    ("[est.-switch]", "estimate.virtual_distribution = \"switched\""),
    ("[est.-pathway]", "estimate.pathways = 0.25"),
    ("[plan-rank]", "plan = \"rank\""),
    ("[plan-prob]", "plan = \"probability\""),
    ("[plan-score]", "plan = \"score\""),
];

/// A tiny run with demonstrations switched off, methods as given. Parallel prompts are found by a
/// sentence encoder, which set-up makes.
pub(crate) fn config(methods: &str) -> String {
    let encoder = crate::support::set_up_model("all-minilm-l6-v2");
    let config = Bench::tiny_config("");
    let config = config.trim_end_matches("[[ment]]\n");
    config.replace("demonstrations = 0", &format!("demonstrations = 0\nencoder = {encoder:?}"))
        + methods
}

/// The methods that are no approach of the paper, with steps large enough for the tiny model.
pub(crate) const BASELINES: &str = "[[in_context]]\n\
    [[fine_tuning]]\nrate = 0.01\nbound = 0\n\
    [[lora]]\nrate = 0.01\nrank = 2\n\
    [[rome]]\nvalue.prefixes = 1\nkeys.tokens = 512\n\
    [[memit]]\nvalue.prefixes = 1\nvalue.clamp = 8.0\nweight = 1.0\nkeys.tokens = 512\n\
    [[alpha_edit]]\nvalue.prefixes = 1\nvalue.rate = 0.5\nvalue.clamp = 8.0\nthreshold = 0.02\nridge = 0.001\n\
    keys.tokens = 512\n\
    [[star]]\nquota = 6\n\
    [[joint]]\nkeys.tokens = 512\n\
    [[ment]]\nlabel = \"preserving\"\npreserve = { threshold = 0.02, keys = { tokens = 512 } }\n";

/// The control, Knowledge Neurons (easily pleased: the tiny model has 144 neurons), the baselines, MENT and its
/// variants.
fn everything() -> String {
    let mut methods = String::from(
        "[[no_edit]]\n[[kn]]\nlabel = \"KN (step=1)\"\nsteps = 1\nshare = 0.1\nthreshold = 0.1\n\
         [[kn]]\nlabel = \"KN at the end\"\nsteps = 4\nshare = 0.1\nthreshold = 0.02\nparallel.own = true\n\
         positions = \"last\"\n[[kn]]\nsteps = 4\nlabel = \"KN\"\nshare = 0.1\nthreshold = 0.02\nparallel.own = true\n[[ment]]\n",
    );
    methods += BASELINES;
    for (label, departure) in VARIANTS {
        methods += &format!("[[ment]]\nlabel = {label:?}\n{departure}\n");
    }
    methods
}

fn trials(records: &[Record]) -> BTreeMap<String, Vec<&Trial>> {
    let mut found: BTreeMap<String, Vec<&Trial>> = BTreeMap::new();
    for record in records {
        if let Record::Trial(ErrorTrial { trial, .. }) = record {
            found.entry(trial.method.clone()).or_default().push(trial);
        }
    }
    found
}

#[test]
fn every_method_runs_and_the_tables_hold_them_all() {
    let bench = Bench::tiny();
    bench.config(&config(&everything()));
    let assert = bench.run("out").success();
    let stdout = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    let records = bench.records("out");
    let trials = trials(&records);
    assert_eq!(trials.len(), 22);
    let errors = trials["MENT"].len();
    assert!(errors > 5);
    for (method, trials) in &trials {
        assert_eq!(trials.len(), errors, "{method}");
        assert!(stdout.contains(&format!("+ {method}")), "{method} is not in\n{stdout}");
        for trial in trials {
            assert!(!trial.texts.target.is_empty());
            assert_eq!(trial.parallel.is_some(), method.starts_with("KN"), "{method}");
            let distinct = trial.neurons.iter().map(|n| n.neuron).collect::<Vec<_>>();
            let order: Vec<usize> = trial.neurons.iter().map(|n| n.candidate).collect();
            if method.starts_with("KN") || method == "[plan-score]" {
                assert_eq!(order, (0..distinct.len()).collect::<Vec<_>>(), "{method}");
            }
        }
    }
    let solved =
        |method: &str| trials[method].iter().filter(|t| t.outcome == Outcome::Solved).count();
    assert_eq!(solved("no edit"), 0);
    let editors =
        // The tiny model learns nothing from its context.
        trials.keys().filter(|own| !["no edit", "KN (step=1)", "in-context"].contains(&own.as_str()));
    for method in editors {
        assert!(solved(method) > 0, "{method} solves something");
    }
    // Chance locates worse than attribution, and departures change something.
    assert!(solved("[loc.-rand]") <= solved("MENT"));
    let neurons = |method: &str| -> Vec<_> {
        trials[method].iter().flat_map(|t| t.neurons.iter().map(|n| n.neuron)).collect()
    };
    for (variant, _) in VARIANTS.iter().filter(|(label, _)| !label.starts_with("[plan-rank")) {
        let same = trials[*variant].iter().zip(&trials["MENT"]).all(|(a, b)| a.after == b.after);
        assert!(!same || neurons(variant) != neurons("MENT"), "{variant} is MENT");
    }
}

/// Integrated gradients of many steps take long: all else is measured before.
#[test]
fn cheap_methods_come_first() {
    let bench = Bench::tiny();
    let kn = |steps| format!("[[kn]]\nlabel = \"KN (step={steps})\"\nsteps = {steps}\n");
    bench.config(&config(&format!("{}{}[[ment]]\n[[no_edit]]\n", kn(2), kn(1))));
    bench.run("out").success();
    let methods: Vec<String> = bench
        .records("out")
        .into_iter()
        .filter_map(|record| match record {
            Record::Trial(own) => Some(own.trial.method),
            _ => None,
        })
        .collect();
    let mut order = methods.clone();
    order.dedup();
    assert_eq!(order, ["no edit", "MENT", "KN (step=1)", "KN (step=2)"], "{methods:?}");
}

/// The control is a method that skips everything: the same figures in every table.
#[test]
fn the_control_equals_a_method_that_skips_everything() {
    let bench = Bench::tiny();
    // One parallel prompt too few, always: every error is skipped.
    let methods = "[[no_edit]]\n[[kn]]\nlabel = \"KN\"\nsteps = 1\nparallel.prompts = 80\nparallel.at_least = 80\n";
    bench.config(&config(methods));
    bench.run("out").success();
    for table in ["table3", "table4", "table5", "figure6"] {
        let text = std::fs::read_to_string(bench.path(&format!("out/tables/{table}.csv"))).unwrap();
        let row = |label: &str| {
            let line = text.lines().find(|line| line.starts_with(label));
            let line = line.unwrap_or_else(|| panic!("{label} is not in\n{text}"));
            line[label.len()..].to_string()
        };
        let (control, skips) = match table {
            "table3" => (row("+ no edit"), row("+ KN")),
            // TimeCost is not a figure derived from skipping.
            "table4" => {
                let nc = |label| row(label).split(',').nth(1).unwrap().to_string();
                (nc("no edit"), nc("KN"))
            }
            _ => (row("no edit"), row("KN")),
        };
        assert_eq!(control, skips, "{table}");
    }
    let table = std::fs::read_to_string(bench.path("out/tables/table4.csv")).unwrap();
    assert!(table.contains("no edit,11,"), "{table}");
    bench.config(&config("[[no_edit]]\nquota = 4\n"));
    bench.run("four").success();
    let table = std::fs::read_to_string(bench.path("four/tables/table4.csv")).unwrap();
    assert!(table.contains("no edit,5,"), "{table}");
}

#[test]
fn both_engines_do_the_same_under_every_method() {
    let bench = Bench::tiny();
    bench.config(&config(&everything()));
    bench.run("replay").success();
    let reference = "[execution]\nengine = \"reference\"\n[model]";
    bench.config(&config(&everything()).replace("[model]", reference));
    bench.run("reference").success();
    let choices = |out: &str| -> Vec<_> {
        let records = bench.records(out);
        let trials = trials(&records);
        let of = |t: &&Trial| {
            (t.target, t.outcome, t.neurons.iter().map(|n| n.neuron).collect::<Vec<_>>())
        };
        trials
            .iter()
            .map(|(m, trials)| (m.clone(), trials.iter().map(of).collect::<Vec<_>>()))
            .collect()
    };
    assert_eq!(choices("replay"), choices("reference"));
}

/// RQ2 asks RQ1's records: a method more is run alone, into the same folder, and ends like a run of
/// both from the start.
#[test]
fn a_run_goes_on_with_more_methods() {
    let bench = Bench::tiny();
    let both = "[[kn]]\nlabel = \"KN\"\nsteps = 2\nshare = 0.3\n[[ment]]\n[[ment]]\nlabel = \"random\"\nlocate.score = \"random\"\n";
    bench.config(&config(both));
    bench.run("whole").success();
    bench.config(&config("[[ment]]\n"));
    bench.run("out").success();
    let before = bench.records("out");
    bench.config(&config(both));
    bench.run("out").success();
    let after = bench.records("out");
    assert_eq!(after[..before.len()], before, "what was measured is left alone");
    let sorted = |mut records: Vec<Record>| {
        records.sort_by_cached_key(|record| record.key().to_string());
        records
    };
    assert_eq!(sorted(after), sorted(bench.records("whole")));
    for table in ["tables/table3.csv", "tables/table5.csv"] {
        let read = |out: &str| std::fs::read_to_string(bench.path(out).join(table)).unwrap();
        assert_eq!(read("out"), read("whole"), "{table}");
    }
    // Fewer methods again: nothing to do, and nothing is lost.
    bench.config(&config("[[ment]]\n"));
    let assert = bench.run("out").success();
    assert!(String::from_utf8_lossy(&assert.get_output().stdout).contains("+ KN"));
    // Another setting under a known label is another run.
    bench.config(&config("[[ment]]\nquota = 3\n"));
    let refused = bench.refused();
    assert!(refused.contains("methods.MENT.quota: 10 → 3"), "{refused}");
}

#[test]
fn combinations_that_make_no_sense_are_refused() {
    let bench = Bench::tiny();
    let wrong = [
        "[[ment]]\nlocate.score = \"random\"\nlocate.quantity = \"logit\"\n",
        "[[ment]]\nlocate.score = \"random\"\nlocate.positions = \"last\"\n",
        "[[ment]]\nestimate.distribution = \"one_hot_difference\"\nestimate.virtual_distribution = \"switched\"\n",
        "[[ment]]\nestimate.distribution = \"logits\"\nestimate.virtual_distribution = \"one_hot\"\n",
        "[[ment]]\nrepeat = false\nquota = 11\n",
        "[[ment]]\nplan = \"score\"\nreplan = \"once\"\n",
        "[[ment]]\nlocate.score = \"fixed\"\n",
        "[[ment]]\nlocate.neurons = [[0, 1]]\nquota = 1\n",
        "[[ment]]\nlocate.score = \"fixed\"\nlocate.neurons = [[0, 1], [0, 1]]\nquota = 2\n",
        "[[ment]]\nlocate.score = \"fixed\"\nlocate.neurons = [[0, 1]]\nrepeat = false\n",
        "[[ment]]\nestimate.pathway_rule = \"contribution\"\n",
        "[[ment]]\nestimate.pathways = 0.0\n",
        "[[ment]]\nquota = 0\n",
        "[[kn]]\nsteps = 0\n",
        "[[kn]]\nsteps = 2\n",
        "[[kn]]\nshare = 1.5\n",
        "[[kn]]\nparallel.at_least = 11\n",
        "[[kn]]\nparallel.prompts = 500\nparallel.at_least = 500\n",
    ];
    let mut messages = String::new();
    for methods in wrong {
        bench.config(&config(methods));
        let assert = bench.ment(&["check", "config.toml"]).assert().code(2).stdout("");
        let message = bench::stderr(&assert, bench.folder.path());
        let refused = bench.refused();
        assert_eq!(message, refused, "run and check refuse alike");
        messages += &format!("{methods}{message}\n\n");
    }
    insta::assert_snapshot!("combinations", messages);
}

#[test]
fn check_says_what_would_run() {
    let bench = Bench::tiny();
    bench.config(&config(&everything()));
    let assert = bench.ment(&["check", "config.toml", "--limit", "3"]).assert().success();
    let stdout = String::from_utf8_lossy(&assert.get_output().stdout);
    let stdout = stdout.replace(&crate::support::root().display().to_string(), "[ROOT]");
    insta::assert_snapshot!("check", stdout);
}

#[test]
fn a_trial_can_be_shown() {
    let bench = Bench::tiny();
    bench.config(&config("[[kn]]\nlabel = \"KN\"\nsteps = 2\nshare = 0.3\n[[ment]]\n"));
    bench.run("out").success();
    let stdout = |arguments: &[&str]| {
        let assert = bench.ment(arguments).assert().success();
        String::from_utf8_lossy(&assert.get_output().stdout).into_owned()
    };
    let list = stdout(&["show", "out"]);
    let records = bench.records("out");
    assert_eq!(list.lines().count(), trials(&records).values().map(Vec::len).sum::<usize>());
    for wanted in ["KN", "MENT"] {
        let line = list.lines().find(|line| line.ends_with(wanted)).unwrap();
        let id = &line[..16];
        let shown = stdout(&["show", "out", &id[..12]]);
        for part in [id, wanted, "prompt (", "target ", "before ", "rank", "seconds   trace"] {
            assert!(shown.contains(part), "{part} is not in\n{shown}");
        }
    }
    let assert = bench.ment(&["show", "out", "none"]).assert().code(2);
    assert!(bench::stderr(&assert, bench.folder.path()).contains("no trial has an id"));
    let assert = bench.ment(&["show", "out", ""]).assert().code(2);
    assert!(bench::stderr(&assert, bench.folder.path()).contains("trials have an id"));
}

/// Chance is the seed's: the same again, another with another seed.
#[test]
fn random_neurons_are_those_of_the_seed() {
    let bench = Bench::tiny();
    let random = "[[ment]]\nlocate.score = \"random\"\n";
    bench.config(&config(random));
    bench.run("a").success();
    bench.run("b").success();
    assert_eq!(bench.records("a"), bench.records("b"));
    bench.config(&config(random).replace("[model]", "[execution]\nseed = 1\n[model]"));
    bench.run("c").success();
    let neurons = |out: &str| -> Vec<_> {
        let records = bench.records(out);
        trials(&records)["MENT"].iter().flat_map(|t| t.neurons.clone()).map(|n| n.neuron).collect()
    };
    assert_ne!(neurons("a"), neurons("c"));
}

/// Methods on an error share the sequence's trace, what was located on it and the ends of parallel
/// prompts: each does what it does alone, also where edits pile up.
#[test]
fn what_methods_share_changes_none_of_them() {
    let bench = Bench::tiny();
    let kn = "share = 0.1\nthreshold = 0.02\nparallel.own = true\n";
    let methods = [
        "[[no_edit]]\n".to_string(),
        format!("[[kn]]\nlabel = \"KN 2\"\nsteps = 2\n{kn}"),
        format!("[[kn]]\nlabel = \"KN 200\"\nsteps = 200\n{kn}"),
        "[[ment]]\n".to_string(),
        "[[ment]]\nlabel = \"one-hot\"\nestimate.virtual_distribution = \"one_hot\"\n".to_string(),
        "[[ment]]\nlabel = \"activation\"\nlocate.score = \"activation\"\n".to_string(),
        "[[ment]]\nlabel = \"kept\"\nacross_errors = \"keep\"\n".to_string(),
        "[[ment]]\nlabel = \"kept too\"\nacross_errors = \"keep\"\nplan = \"score\"\n".to_string(),
    ];
    let measured = |methods: &str, out: &str| -> BTreeMap<String, Record> {
        bench.config(&config(methods));
        bench.run(out).success();
        let of_methods = bench.records(out).into_iter().filter(|record| match record {
            Record::Prediction(prediction) => prediction.method != "tiny",
            other => matches!(other, Record::Trial(_)),
        });
        of_methods.map(|record| (record.key().to_string(), record)).collect()
    };
    let together = measured(&methods.concat(), "together");
    let mut alone = BTreeMap::new();
    for (index, method) in methods.iter().enumerate() {
        alone.extend(measured(method, &format!("alone{index}")));
    }
    assert!(together.len() > 5 * methods.len());
    assert_eq!(together, alone);
}

/// Wherever a run of all methods was cut, in little memory or in shards: the same trials.
#[test]
fn cut_sharded_or_cramped_every_method_does_the_same() {
    let bench = Bench::tiny();
    bench.config(&config(&everything()));
    bench.run("whole").success();
    let whole = bench.records("whole");
    bench::copy(&bench.path("whole"), &bench.path("cut"));
    let records = bench.path("cut/trials.jsonl");
    let length = std::fs::metadata(&records).unwrap().len();
    let file = std::fs::OpenOptions::new().write(true).open(&records).unwrap();
    file.set_len(length * 2 / 5).unwrap();
    bench.run("cut").success();
    assert_eq!(bench.records("cut"), whole);

    let choices = |out: &str| -> BTreeMap<String, (Outcome, Vec<usize>)> {
        let records = bench.all_records(out);
        let of = |t: &Trial| (t.outcome, t.neurons.iter().map(|n| n.neuron.index).collect());
        trials(&records).values().flatten().map(|t| (t.id.to_string(), of(t))).collect()
    };
    for shard in ["1/2", "2/2"] {
        let arguments = ["run", "config.toml", "--out", "shards", "--shard", shard];
        bench.ment(&arguments).assert().success();
    }
    assert_eq!(choices("shards"), choices("whole"));
    bench.config(&config(&everything()).replace("[model]", "[execution]\nmemory_mib = 1\n[model]"));
    bench.run("cramped").success();
    assert_eq!(choices("cramped"), choices("whole"));
}

/// What contradicts itself is no result.
#[test]
fn a_trial_that_contradicts_itself_is_named() {
    let bench = Bench::tiny();
    bench.config(&config("[[ment]]\n"));
    bench.run("out").success();
    let path = bench.path("out/trials.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"outcome\":\"solved\"", "\"outcome\":\"skipped\"", 1))
        .unwrap();
    let assert = bench.ment(&["report", "out"]).assert().code(1);
    assert!(bench::stderr(&assert, bench.folder.path()).contains("contradicts itself: Skipped"));
}

#[test]
fn a_folder_of_an_older_format_is_read_and_not_continued() {
    let bench = Bench::tiny();
    bench.config(&config("[[ment]]\n"));
    bench.run("out").success();
    let path = bench.path("out/manifest.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"format\": 2", "\"format\": 1", 1)).unwrap();
    assert!(bench.refused().contains("written in format 1, which can be read but not continued"));
    bench.ment(&["report", "out"]).assert().success();
}

/// Figure 6 is drawn, and its shares are those of the records.
#[test]
fn figure_six_is_drawn_from_the_records() {
    let bench = Bench::tiny();
    bench.config(&config("[[no_edit]]\n[[ment]]\n"));
    bench.run("out").success();
    let records = bench.records("out");
    let solved: Vec<usize> = trials(&records)["MENT"]
        .iter()
        .filter(|trial| trial.outcome == Outcome::Solved)
        .map(|trial| trial.neurons.len())
        .collect();
    let text = std::fs::read_to_string(bench.path("out/tables/figure6.csv")).unwrap();
    let row: Vec<&str> =
        text.lines().find(|line| line.starts_with("MENT")).unwrap().split(',').collect();
    assert_eq!(row[1], solved.len().to_string());
    let one = solved.iter().filter(|count| **count == 1).count() as f64 / solved.len() as f64;
    assert!((row[2].parse::<f64>().unwrap() - one).abs() < 1e-9, "{text}");
    let svg = std::fs::read_to_string(bench.path("out/figures/figure6.svg")).unwrap();
    let labels: Vec<&str> =
        svg.lines().filter(|line| !line.starts_with('<')).map(str::trim).collect();
    for label in ["MENT", "CoNaLa sample"] {
        assert!(labels.contains(&label), "{label} is not in {labels:?}");
    }
    assert!(!labels.contains(&"no edit"), "an approach without edits has no panel");
    // The bars of the only panel: as many as numbers of neurons, each as high as its share.
    let heights: Vec<f64> = svg
        .lines()
        .filter(|line| line.starts_with("<rect") && line.contains("fill=\"#3C3C3C\""))
        .map(|line| attribute(line, "height"))
        .collect();
    let shares: Vec<f64> = row[2..].iter().map(|share| share.parse().unwrap()).collect();
    assert_eq!(heights.len(), shares.len());
    let unit = heights.iter().sum::<f64>() / shares.iter().sum::<f64>();
    for (height, share) in heights.iter().zip(&shares) {
        assert!((height - share * unit).abs() <= 1.0, "{heights:?} are not {shares:?}");
    }
    let png = std::fs::read(bench.path("out/figures/figure6.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG") && png.len() > 3000);
}

/// The number in attribute `name` of an SVG element.
fn attribute(element: &str, name: &str) -> f64 {
    let (_, rest) = element.split_once(&format!(" {name}=\"")).unwrap();
    rest.split('"').next().unwrap().parse().unwrap()
}
