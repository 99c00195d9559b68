//! `[sweep]`: one config, many runs.

use super::set::set;
use super::{Config, explain};
use crate::error::InputError;
use anyhow::Result;
use std::path::Path;
use toml::{Table, Value};

/// The key of a config that holds its sweep.
const SWEEP: &str = "sweep";

/// A config file with what the command line lays over it: one config, or with a `[sweep]` one a point.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// In the order of the grid: the last key changes fastest.
    pub points: Vec<Point>,
    /// Whether there is a `[sweep]`.
    pub is_sweep: bool,
    /// The file as it is written.
    pub text: String,
}

/// One point of a grid.
#[derive(Clone, Debug)]
pub struct Point {
    /// What it sets, `key = value`; nothing without a `[sweep]`.
    pub settings: Vec<String>,
    /// The whole config; or why it is none, which is no harm to the other points.
    pub config: Result<Config, String>,
}

impl Experiment {
    /// Reads the config at `path`, lays `lines` over it ([`set`]), and expands its sweep.
    ///
    /// # Errors
    /// If the file is no config as it stands, or a line no setting; without a sweep also if both together
    /// are none.
    pub fn read(path: &Path, lines: &[String]) -> Result<Self> {
        let wrong = |message| InputError::new(format!("{}: {message}", path.display()));
        let text = Config::text(path)?;
        let written = Config::parse(&text).map_err(wrong)?;
        if lines.is_empty() && written.sweep.is_empty() {
            let point = Point { settings: Vec::new(), config: Ok(written) };
            return Ok(Self { points: vec![point], is_sweep: false, text });
        }
        let mut table: Table = toml::from_str(&text).expect("it was read as a config");
        table.remove(SWEEP);
        for line in lines {
            set(&mut table, line).map_err(|error| InputError::new(format!("--set: {error}")))?;
        }
        let is_sweep = !written.sweep.is_empty();
        let points: Vec<Point> = grid(&written.sweep)
            .into_iter()
            .map(|settings| {
                let mut table = table.clone();
                let set_all = settings.iter().try_for_each(|line| set(&mut table, line));
                let config = set_all.and_then(|()| from_table(table));
                Point { settings, config }
            })
            .collect();
        match &points[..] {
            [Point { config: Err(error), .. }] if !is_sweep => {
                Err(wrong(format!("with {}: {error}", lines.join(", "))))
            }
            _ => Ok(Self { points, is_sweep, text }),
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

/// A config that was put together: mistakes have a key and no line.
fn from_table(table: Table) -> Result<Config, String> {
    let config: Config = table.try_into().map_err(|error: toml::de::Error| explain(&error))?;
    config.check()?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::{Experiment, Point};
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

    #[test]
    fn lists_expand_to_a_grid_and_wrong_points_stay_points() {
        let sweep = "[sweep]\n\"ment.quota\" = [1, 0]\n\"execution.seed\" = [3, 4]\n";
        let found = read(sweep, &["retrieval.demonstrations=1"]).unwrap();
        assert!(found.is_sweep);
        let text = |Point { settings, config }: &Point| {
            let config = config.as_ref().map(|config| {
                (config.execution.seed, config.ment[0].quota.0, config.retrieval.demonstrations)
            });
            format!("{}: {config:?}", settings.join(", "))
        };
        let points: Vec<String> = found.points.iter().map(text).collect();
        insta::assert_snapshot!(points.join("\n"));
    }

    #[test]
    fn one_config_is_one_point_and_its_mistakes_are_told() {
        let found = read("", &[]).unwrap();
        assert!(!found.is_sweep && found.points.len() == 1);
        let wrong = [
            read("", &["ment.quotta=3"]),
            read("", &["ment.quota=-1"]),
            read("", &["seed"]),
            read("[sweep]\n\"ment.quota\" = []\n", &[]),
            read("[sweep]\n\"ment.quota\" = 3\n", &[]),
        ];
        let wrong: Vec<String> = wrong.map(Result::unwrap_err).to_vec();
        insta::assert_snapshot!(wrong.join("\n---\n"));
    }
}
