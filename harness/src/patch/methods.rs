//! The methods that `ment patch` knows.

use crate::config::Config;
use crate::error::InputError;
use anyhow::Result;
use serde_json::Value;

const METHODS: &str = include_str!("methods.toml");

/// A config with no method but the one called `label`, under its settings of `methods.toml` with the
/// lines `set` laid over them.
///
/// # Errors
/// If there is no such method, or a line sets nothing.
pub fn one(label: &str, set: &[String]) -> Result<Config> {
    let wrong = |error| InputError::new(format!("--set: {error}"));
    let mut table: toml::Table = toml::from_str(METHODS).expect("the methods are TOML");
    set.iter().try_for_each(|line| crate::config::set(&mut table, line)).map_err(wrong)?;
    let mut config = Config::of_methods(table).map_err(wrong)?;
    let plain: Config = toml::from_str(METHODS).expect("the methods are a config");
    let (model, execution) = (plain.model, config.execution.clone());
    let kinds = Config { no_edit: Vec::new(), kn: Vec::new(), ment: Vec::new(), ..config.clone() };
    let bare =
        Config { no_edit: Vec::new(), kn: Vec::new(), ment: Vec::new(), model, execution, ..plain };
    if kinds != bare {
        return Err(wrong("only keys of methods and of execution mean something here".into()));
    }
    config
        .keep_only(&[label.to_string()])
        .map_err(|error| InputError::new(format!("--method: {error}")))?;
    Ok(config)
}

/// The settings of the only method of `config`, as JSON.
pub fn settings(config: &Config, label: &str) -> Value {
    let config = serde_json::to_value(config).expect("a config is plain data");
    let entries = crate::config::METHOD_KINDS
        .iter()
        .filter_map(|kind| config[*kind].as_array())
        .flatten()
        .find(|entry| entry["label"] == label);
    entries.cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::one;

    #[test]
    fn methods_are_chosen_by_name_and_set_by_lines() {
        let config = one("plan-rank", &["ment.quota=3".into()]).unwrap();
        assert_eq!((config.ment.len(), config.kn.len(), config.ment[0].quota.0), (1, 0, 3));
        assert!(one("kn", &[]).unwrap().kn[0].parallel.own);
        let error = one("rome", &[]).unwrap_err().to_string();
        assert!(error.contains("no method is called `rome`; there are"), "{error}");
        let error = one("ment", &["model.dtype=bf16".into()]).unwrap_err().to_string();
        assert!(error.contains("only keys of methods"), "{error}");
        let error = one("ment", &["ment.quotas=3".into()]).unwrap_err().to_string();
        assert!(error.contains("quotas"), "{error}");
    }
}
