//! Rotary position settings of `config.json`, in every place and spelling they are found in. What is
//! not computed is refused: a setting that is passed over gives other logits without a word.

use serde_json::Value;

/// Keys that may hold an object of settings: before `transformers` 5 and since.
const OBJECTS: [&str; 2] = ["rope_scaling", "rope_parameters"];

/// Rotary settings that are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rope {
    /// Base of the frequencies.
    pub(super) theta: f64,
}

impl Rope {
    /// Reads the settings of `config`. `theta` is the base where it names none; `own` are keys with
    /// `rope` or `rotary` in their name that the architecture reads by itself.
    ///
    /// # Errors
    /// If a setting is not computed, or two of them contradict each other.
    pub(super) fn read(config: &Value, theta: f64, own: &[&str]) -> Result<Self, String> {
        let mut found = RopeKey::default();
        for (key, value) in config.as_object().into_iter().flatten() {
            let is_rotary = key.contains("rope") || key.contains("rotary");
            if !is_rotary || own.contains(&key.as_str()) || is_off(value) {
                continue;
            }
            match value {
                Value::Object(settings) if OBJECTS.contains(&key.as_str()) => {
                    for (inner, value) in settings.iter().filter(|(_, value)| !is_off(value)) {
                        found.setting(inner, value, &format!("{key}.{inner}"))?;
                    }
                }
                value => found.setting(key, value, key)?,
            }
        }
        Ok(Self { theta: found.theta.map_or(theta, |(_, theta)| theta) })
    }
}

/// Returns whether a key with this value has no effect.
fn is_off(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Bool(false))
}

#[derive(Default)]
struct RopeKey {
    /// The base, and the key that names it.
    theta: Option<(String, f64)>,
}

impl RopeKey {
    /// Takes in the setting called `name`, which stands at `place`.
    fn setting(&mut self, name: &str, value: &Value, place: &str) -> Result<(), String> {
        let computed = match name {
            "rope_theta" => return self.theta(value, place),
            "rope_type" | "type" => value == "default",
            "partial_rotary_factor" => value.as_f64() == Some(1.0),
            _ => false,
        };
        if computed {
            return Ok(());
        }
        Err(format!(
            "{place} = {value} is not supported (supported: rope_type \"default\", rope_theta)"
        ))
    }

    fn theta(&mut self, value: &Value, place: &str) -> Result<(), String> {
        let theta = value.as_f64().filter(|theta| theta.is_finite() && *theta > 0.0);
        let theta = theta.ok_or_else(|| format!("{place} = {value} is not a number above 0"))?;
        match &self.theta {
            Some((other, known)) if *known != theta => {
                Err(format!("{place} = {theta} contradicts {other} = {known}; keep one of them"))
            }
            _ => {
                self.theta = Some((place.into(), theta));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Rope;
    use serde_json::{Value, json};

    fn read(config: Value) -> Result<f64, String> {
        Rope::read(&config, 10_000.0, &["rotary_dim"]).map(|rope| rope.theta)
    }

    #[test]
    fn every_spelling_of_the_plain_settings_is_read() {
        assert_eq!(read(json!({})), Ok(10_000.0));
        assert_eq!(read(json!({"rope_theta": 5e5, "rope_scaling": null})), Ok(5e5));
        let nested = json!({"rope_parameters": {"rope_theta": 1e6, "rope_type": "default"}});
        assert_eq!(read(nested), Ok(1e6));
        let both = json!({"rope_theta": 1e6, "rope_parameters": {"rope_theta": 1_000_000}});
        assert_eq!(read(both), Ok(1e6));
        let older = json!({"rope_scaling": {"type": "default"}, "rope_interleaved": false});
        assert_eq!(read(older), Ok(10_000.0));
        let own = json!({"rotary_dim": 32, "use_mrope": false, "partial_rotary_factor": 1.0});
        assert_eq!(read(own), Ok(10_000.0));
    }

    #[test]
    fn what_is_not_computed_is_refused_wherever_it_stands() {
        for (config, why) in [
            (
                json!({"rope_parameters": {"type": "linear", "factor": 4}}),
                "rope_parameters.type = \"linear\"",
            ),
            (
                json!({"rope_parameters": {"rope_type": "default", "factor": 4}}),
                "rope_parameters.factor = 4",
            ),
            (
                json!({"rope_scaling": {"rope_type": "llama3"}}),
                "rope_scaling.rope_type = \"llama3\"",
            ),
            (json!({"rope_scaling": {"type": "dynamic"}}), "rope_scaling.type = \"dynamic\""),
            (json!({"rope_scaling": {"mrope_section": [1]}}), "rope_scaling.mrope_section = [1]"),
            (json!({"rope_parameters": {"full_attention": {}}}), "rope_parameters.full_attention"),
            (json!({"rope_scaling": 4.0}), "rope_scaling = 4.0"),
            (json!({"rope_type": "yarn"}), "rope_type = \"yarn\""),
            (json!({"rope_ratio": 2}), "rope_ratio = 2"),
            (json!({"partial_rotary_factor": 0.5}), "partial_rotary_factor = 0.5"),
            (json!({"rope_interleaved": true}), "rope_interleaved = true"),
            (json!({"rope_theta": 1e4, "rope_parameters": {"rope_theta": 1e6}}), "contradicts"),
            (json!({"rope_theta": 0}), "not a number above 0"),
        ] {
            let error = read(config.clone()).unwrap_err();
            assert!(error.contains(why), "{config}: {error}");
        }
    }
}
