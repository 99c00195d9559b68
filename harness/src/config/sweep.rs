//! `[sweep]`: one config, many runs.

use super::set::set;
use super::{Config, MethodKind};
use crate::error::InputError;
use anyhow::Result;
use std::path::Path;
use toml::{Table, Value};

/// The key of a config that holds its sweep.
const SWEEP: &str = "sweep";

/// A config file with the settings of the command line: one config, or with a `[sweep]` one per point.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// In the order of the grid: the last key changes fastest.
    pub points: Vec<Point>,
    /// True if the config has a `[sweep]` table.
    pub is_sweep: bool,
    /// The file as it is written.
    pub text: String,
    /// The config of the file, before anything is laid over it.
    pub written: Config,
}

/// One point of a grid.
#[derive(Clone, Debug)]
pub struct Point {
    /// Settings of this point, `key = value`; empty without a `[sweep]`.
    pub settings: Vec<String>,
    /// The whole config, or the error in it, which does not affect the other points.
    pub config: Result<Config, String>,
}

impl Experiment {
    /// Reads the config at `path`, lays `lines` over it (see `set.rs`), and expands its sweep.
    ///
    /// # Errors
    /// If the file is no config, or a line no setting; without a sweep also if both together
    /// are none.
    pub fn read(path: &Path, lines: &[String]) -> Result<Self> {
        let wrong = |message| InputError::new(format!("{}: {message}", path.display()));
        let text = Config::text(path)?;
        let written = Config::parse(&text).map_err(wrong)?;
        if lines.is_empty() && written.sweep.is_empty() {
            let point = Point { settings: Vec::new(), config: Ok(written.clone()) };
            return Ok(Self { points: vec![point], is_sweep: false, text, written });
        }
        let mut table: Table = toml::from_str(&text).expect("it was read as a config");
        table.remove(SWEEP);
        name_methods(&mut table, &written);
        for line in lines {
            let told = |error| InputError::new(format!("--set: {error}"));
            set(&mut table, line).map_err(told)?;
            if table.contains_key(SWEEP) {
                return Err(told(format!("`{line}`: a sweep is written in the config")));
            }
        }
        let is_sweep = !written.sweep.is_empty();
        let points: Vec<Point> = grid(&written.sweep)
            .into_iter()
            .map(|settings| {
                let mut table = table.clone();
                // The command line has the last word.
                let set_all = settings.iter().chain(lines).try_for_each(|l| set(&mut table, l));
                let config = set_all.and_then(|()| from_table(table));
                Point { settings, config }
            })
            .collect();
        match &points[..] {
            [Point { config: Err(error), .. }] if !is_sweep => {
                Err(wrong(format!("with {}: {error}", lines.join(", "))))
            }
            _ => Ok(Self { points, is_sweep, text, written }),
        }
    }
}

/// Writes out the labels that methods have without being given one, so that lines can call them by it.
fn name_methods(table: &mut Table, config: &Config) {
    let config = serde_json::to_value(config).expect("a config is plain data");
    for kind in MethodKind::ALL.map(MethodKind::key) {
        let entries = table.get_mut(kind).and_then(Value::as_array_mut).into_iter().flatten();
        for (index, entry) in entries.enumerate() {
            let (Value::Table(entry), Some(label)) = (entry, config[kind][index]["label"].as_str())
            else {
                continue;
            };
            entry.entry("label").or_insert_with(|| label.into());
        }
    }
}

/// Every combination of the values of all keys.
fn grid(sweep: &std::collections::BTreeMap<String, Vec<Value>>) -> Vec<Vec<String>> {
    let mut points = vec![Vec::new()];
    for (key, values) in sweep {
        points = points
            .iter()
            .flat_map(|point| {
                values.iter().map(move |value| {
                    let line = format!("{key} = {value}");
                    point.iter().cloned().chain([line]).collect()
                })
            })
            .collect();
    }
    points
}

/// KN's labels say their steps; those of entries whose steps were set follow.
fn follow_steps(table: &mut Table) {
    let entries = table.get_mut("kn").and_then(Value::as_array_mut).into_iter().flatten();
    for entry in entries.filter_map(Value::as_table_mut) {
        let steps = entry.get("steps").and_then(Value::as_integer);
        let label = entry.get("label").and_then(Value::as_str);
        let said = label.and_then(|label| label.split_once("step="));
        if let (Some(steps), Some((before, said))) = (steps, said) {
            let after = said.trim_start_matches(|digit: char| digit.is_ascii_digit());
            let label = format!("{before}step={steps}{after}");
            entry.insert("label".into(), label.into());
        }
    }
}

/// A config that was put together: mistakes have a key and no line.
fn from_table(mut table: Table) -> Result<Config, String> {
    follow_steps(&mut table);
    Config::checked(table.try_into())
}

#[cfg(test)]
mod tests {
    use super::{Config, Experiment, MethodKind, Point};
    use crate::config::MethodConfig;
    use std::io::Write;

    const BASE: &str = r#"
[model]
label = "m"
path = "p"
[[dataset]]
name = "conala"
from = "d"
[[ment]]
label = "MENT"
"#;

    fn read(sweep: &str, lines: &[&str]) -> Result<Experiment, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "{BASE}{sweep}").unwrap();
        let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        Experiment::read(file.path(), &lines).map_err(|error| {
            error.to_string().replace(&file.path().display().to_string(), "config.toml")
        })
    }

    /// The quota of the first method, a MENT.
    fn quota(config: &Config) -> usize {
        match &config.methods[0] {
            MethodConfig::Ment(ment) => ment.quota.0,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lists_expand_to_a_grid_and_wrong_points_stay_points() {
        let sweep = "[sweep]\n\"ment.quota\" = [1, 0]\n\"execution.seed\" = [3, 4]\n";
        let found = read(sweep, &["retrieval.demonstrations=1"]).unwrap();
        assert!(found.is_sweep);
        let text = |Point { settings, config }: &Point| {
            let config = config.as_ref().map(|config| {
                (config.execution.seed, quota(config), config.retrieval.demonstrations)
            });
            format!("{}: {config:?}", settings.join(", "))
        };
        let points: Vec<String> = found.points.iter().map(text).collect();
        insta::assert_snapshot!(points.join("\n"));
    }

    /// A table has one row a label, so what is swept must not leave labels behind.
    #[test]
    fn labels_follow_the_steps_that_are_swept() {
        let sweep = "[[kn]]\n[[kn]]\nlabel = \"mine (step=1)\"\nsteps = 1\n[sweep]\n\"kn.steps\" = [2, 5]\n";
        let found = read(sweep, &["kn.quota=4"]).unwrap();
        let labels = |point: &Point| -> Vec<String> {
            point.config.as_ref().unwrap().labels_of(MethodKind::Kn).cloned().collect()
        };
        let labels: Vec<Vec<String>> = found.points.iter().map(labels).collect();
        assert_eq!(labels, [["KN (step=2)", "mine (step=2)"], ["KN (step=5)", "mine (step=5)"]]);
        let last = read("[sweep]\n\"execution.seed\" = [1, 2]\n", &["execution.seed=7"]).unwrap();
        let seeds = last.points.iter().map(|point| point.config.as_ref().unwrap().execution.seed);
        assert_eq!(seeds.collect::<Vec<_>>(), [7, 7], "the command line has the last word");
    }

    #[test]
    fn one_config_is_one_point_and_its_mistakes_are_told() {
        let found = read("", &[]).unwrap();
        assert!(!found.is_sweep && found.points.len() == 1);
        let wrong = [
            read("", &["ment.quotta=3"]),
            read("", &["ment.quota=-1"]),
            read("", &["seed"]),
            read("", &["sweep.seed=[1]"]),
            read("[sweep]\n\"ment.quota\" = []\n", &[]),
            read("[sweep]\n\"ment.quota\" = 3\n", &[]),
        ];
        let wrong: Vec<String> = wrong.map(Result::unwrap_err).to_vec();
        insta::assert_snapshot!(wrong.join("\n---\n"));
    }
}
