//! The methods that `ment patch` knows.

use crate::config::{Config, MethodKind, SettingKey, check_read};
use crate::data::model_folder::place;
use crate::error::InputError;
use anyhow::Result;

const METHODS: &str = include_str!("methods.toml");

/// Keys that a patch does not read: of what an experiment does with other data and other errors, and the
/// share of the prompts that a neuron of KN must count in, as a patch has one prompt.
const UNREAD: [&str; 8] = [
    "kn.parallel",
    "kn.share",
    "kn.positions",
    "ment.across_errors",
    "execution.too_long",
    "execution.unrelated_probes",
    "execution.strict",
    "execution.tf32",
];

/// A config with no method but the one called `label`, under its settings of `methods.toml` with the
/// lines `set` laid over them.
///
/// # Errors
/// If there is no such method, or a line sets nothing that it reads.
pub fn one(label: &str, set: &[String]) -> Result<Config> {
    let wrong = |error: String| InputError::new(format!("--set: {error}"));
    let mut table: toml::Table = toml::from_str(METHODS).expect("the methods are TOML");
    let known: Config = toml::from_str(METHODS).expect("the methods are a config");
    let mut kept = known.clone();
    kept.keep_only(&[label.to_string()])
        .map_err(|error| InputError::new(format!("--method: {error}")))?;
    // Before the lines are applied, so that they are not applied to other methods.
    for kind in MethodKind::ALL.map(MethodKind::key) {
        if let Some(entries) = table.get_mut(kind).and_then(toml::Value::as_array_mut) {
            entries.retain(|entry| is_called(entry, label));
        }
    }
    for line in set {
        check_read(line, &known, &known, &kept).map_err(wrong)?;
        for key in SettingKey::all(line).map_err(wrong)? {
            let is_read = key.table == "execution" || MethodKind::of_key(&key.table).is_some();
            if !is_read || UNREAD.iter().any(|unread| key.is_below(unread)) {
                return Err(wrong(format!(
                    "`{line}`: a patch has no such key; only keys of its method and some of \
                     execution have an effect"
                )));
            }
        }
        crate::config::set(&mut table, line).map_err(wrong)?;
    }
    let mut config = Config::of_methods(table).map_err(wrong)?;
    // Statistics of a text are measured once for each user.
    config.model.cache = place().map(|place| place.join("keys")).unwrap_or_default();
    if config.labels().next().is_none_or(|own| own != label) {
        return Err(wrong("`ment patch` names methods by label; leave `label` out".into()));
    }
    Ok(config)
}

fn is_called(entry: &toml::Value, label: &str) -> bool {
    entry.get("label").and_then(toml::Value::as_str) == Some(label)
}

#[cfg(test)]
mod tests {
    use super::one;
    use crate::config::{Config, MentConfig, MethodConfig};

    /// `ment` is the setting that the calibration chose for repairs, by its label there; `paper` that of the
    /// experiments.
    #[test]
    fn the_settings_are_those_of_the_calibration() {
        let calibration = include_str!("../../../../configs/calibration.toml");
        let calibrated: Config = toml::from_str(calibration).unwrap();
        let chosen = |label: &str| {
            let found = calibrated.methods.iter().find(|method| method.label() == label);
            let Some(MethodConfig::Ment(ment)) = found else { panic!("{label} is not MENT") };
            ment.clone()
        };
        for (method, label) in [("ment", "0.25, again, last, upper half"), ("paper", "1, once")] {
            let config = one(method, &[]).unwrap();
            let own = MentConfig { label: method.into(), ..chosen(label) };
            assert_eq!(config.methods, [MethodConfig::Ment(own)]);
        }
    }

    #[test]
    fn methods_are_chosen_by_name_and_set_by_lines() {
        let config = one("plan-rank", &["ment.quota=3".into()]).unwrap();
        assert!(matches!(&config.methods[..], [MethodConfig::Ment(ment)] if ment.quota.0 == 3));
        let config = one("kn", &[]).unwrap();
        assert!(matches!(&config.methods[..], [MethodConfig::Kn(kn)] if kn.parallel.own));
        let error = one("grace", &[]).unwrap_err().to_string();
        assert!(error.contains("no method is called `grace`; the methods are"), "{error}");
        let error = one("ment", &["model.dtype=bf16".into()]).unwrap_err().to_string();
        assert!(error.contains("only keys of its method"), "{error}");
        let error = one("ment", &["ment.quotas=3".into()]).unwrap_err().to_string();
        assert!(error.contains("quotas"), "{error}");
    }

    /// A line that the method would pass over is refused, and a line for one method is no matter of
    /// another one's: a quota that `plan-score` could not fill is fine for `ment`.
    #[test]
    fn what_the_method_does_not_read_is_refused() {
        let config = one("ment", &["ment.quota=20".into()]).unwrap();
        assert!(matches!(&config.methods[..], [MethodConfig::Ment(ment)] if ment.quota.0 == 20));
        for (method, line) in [
            ("kn", "ment.quota=3"),
            ("ment", "kn.quota=3"),
            ("kn", "kn.parallel.prompts=3"),
            ("ment", "ment.across_errors=keep"),
            ("ment", "ment.ment.across_errors=keep"),
            ("ment", "execution.unrelated_probes=3"),
            ("ment", "model.dtype=bf16"),
            ("ment", "ment.plan-rank.quota=3"),
            ("kn", "kn.share=0.9"),
            ("ment", "execution.tf32=true"),
            ("ment", "execution={seed=3, strict=true}"),
            ("kn", "kn={quota=3, parallel={prompts=3}}"),
        ] {
            let error = one(method, &[line.into()]).unwrap_err().to_string();
            assert!(error.contains(&format!("`{line}`")), "{error}");
        }
        for (method, line) in
            [("kn", "kn.ment.quota=3"), ("kn", "ment.kn.quota=3"), ("ment", "kn.ment.quota=3")]
        {
            assert!(one(method, &[line.into()]).is_err(), "{line}");
        }
        assert!(one("ment", &["execution.seed=3".into(), "ment.ment.quota=2".into()]).is_ok());
    }
}
