//! Rotary position settings of `config.json`, in every place and spelling they are found in. What is
//! not computed is refused: a setting that is passed over gives other logits without a word.

use serde_json::Value;
use std::collections::BTreeMap;
use std::f64::consts::PI;

/// Keys that may hold an object of settings: before `transformers` 5 and since.
const OBJECTS: [&str; 2] = ["rope_scaling", "rope_parameters"];

/// Spellings of a setting, and the name it has here.
const NAMES: [(&str, &str); 3] =
    [("type", "rope_type"), ("rotary_emb_base", "rope_theta"), ("rotary_pct", PARTIAL)];

const PARTIAL: &str = "partial_rotary_factor";
const ORIGINAL: &str = "original_max_position_embeddings";
/// YaRN's switch, on unless it is turned off.
const TRUNCATE: &str = "truncate";

/// Settings of an architecture where its config names none.
pub(super) struct RopeDefaults<'k> {
    /// Base of the frequencies.
    pub(super) theta: f64,
    /// Share of a head that is rotated; `None` if the architecture rotates whole heads, whatever is said.
    pub(super) partial: Option<f64>,
    /// Entries of a head.
    pub(super) head_dim: usize,
    /// Longest sequence in tokens.
    pub(super) context: usize,
    /// Keys with `rope` or `rotary` in their name that the architecture reads by itself.
    pub(super) own: &'k [&'k str],
}

/// Rotary settings that are computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rope {
    /// Base of the frequencies.
    pub(super) theta: f64,
    /// Entries of a head that are rotated, the first ones.
    pub(super) dim: usize,
    scaling: Scaling,
}

/// Change of the frequencies for sequences longer than those that a model was first trained on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scaling {
    /// Not at all. So are those that are scaled dynamically, up to the longest sequence of the training.
    None,
    /// Divided by a factor.
    Linear { factor: f64 },
    /// Llama 3: low frequencies are divided by a factor, with a ramp up to those that stay.
    Llama3 { factor: f64, low: f64, high: f64, original: f64 },
    /// YaRN (Peng et al. 2023): the same, by entry, and the cosines and sines times `amplitude`.
    Yarn { factor: f64, amplitude: f64, fast: f64, slow: f64, original: f64, whole: bool },
}

impl Rope {
    /// Plain settings: the first `dim` entries of a head by `theta`.
    pub(super) fn plain(theta: f64, dim: usize) -> Self {
        Self { theta, dim, scaling: Scaling::None }
    }

    /// Reads the settings of `config`.
    ///
    /// # Errors
    /// If a setting is not computed, or two of them contradict each other.
    pub(super) fn read(config: &Value, defaults: &RopeDefaults<'_>) -> Result<Self, String> {
        let mut found = Found::default();
        for (key, value) in config.as_object().into_iter().flatten() {
            let is_rotary = ["rope", "rotary"].iter().any(|part| key.contains(part));
            let is_rotary = is_rotary || key == ORIGINAL;
            if !is_rotary || defaults.own.contains(&key.as_str()) || is_off(value) {
                continue;
            }
            match value {
                Value::Object(settings) if OBJECTS.contains(&key.as_str()) => {
                    let on =
                        |(inner, value): &(&String, &Value)| !is_off(value) || *inner == TRUNCATE;
                    for (inner, value) in settings.iter().filter(on) {
                        found.add(inner, value, format!("{key}.{inner}"))?;
                    }
                }
                value => found.add(key, value, key.clone())?,
            }
        }
        let theta = found.number("rope_theta")?.unwrap_or(defaults.theta);
        let said = found.number(PARTIAL)?;
        let partial = said.or(defaults.partial).unwrap_or(1.0);
        if defaults.partial.is_none() && partial != 1.0 {
            return Err(format!("{PARTIAL} = {partial} (this architecture rotates whole heads)"));
        }
        let dim = (defaults.head_dim as f64 * partial) as usize;
        if partial > 1.0 || dim == 0 || !dim.is_multiple_of(2) {
            let head_dim = defaults.head_dim;
            return Err(format!(
                "{dim} of the {head_dim} entries of a head are rotated; rotary needs pairs"
            ));
        }
        let original = found.number(ORIGINAL)?;
        let scaling = found.scaling(original, defaults.context as f64)?;
        found.end()?;
        Ok(Self { theta, dim, scaling })
    }

    /// The frequency of each pair, `dim / 2` of them.
    pub(super) fn frequencies(&self) -> Vec<f64> {
        let plain = |pair: usize| self.theta.powf(-2.0 * pair as f64 / self.dim as f64);
        (0..self.dim / 2).map(|pair| self.scaling.apply(plain(pair), pair, self)).collect()
    }

    /// Factor on the cosines and sines.
    pub(super) fn amplitude(&self) -> f64 {
        match self.scaling {
            Scaling::Yarn { amplitude, .. } => amplitude,
            _ => 1.0,
        }
    }
}

impl Scaling {
    /// The frequency of pair number `pair`, whose plain one is `frequency`.
    fn apply(self, frequency: f64, pair: usize, rope: &Rope) -> f64 {
        match self {
            Self::None => frequency,
            Self::Linear { factor } => frequency / factor,
            Self::Llama3 { factor, low, high, original } => {
                let wavelength = 2.0 * PI / frequency;
                if wavelength > original / low {
                    return frequency / factor;
                }
                if wavelength < original / high {
                    return frequency;
                }
                let kept = (original / wavelength - low) / (high - low);
                (1.0 - kept) * frequency / factor + kept * frequency
            }
            Self::Yarn { factor, fast, slow, original, whole, .. } => {
                // The pair that turns `times` times over the original context.
                let pair_of = |times: f64| {
                    rope.dim as f64 * (original / (times * 2.0 * PI)).ln() / (2.0 * rope.theta.ln())
                };
                let (mut low, mut high) = (pair_of(fast), pair_of(slow));
                if whole {
                    (low, high) = (low.floor(), high.ceil());
                }
                let (low, mut high) = (low.max(0.0), high.min(rope.dim as f64 - 1.0));
                if low == high {
                    high += 0.001; // as the reference does, which would divide by zero
                }
                let scaled = ((pair as f64 - low) / (high - low)).clamp(0.0, 1.0);
                frequency / factor * scaled + frequency * (1.0 - scaled)
            }
        }
    }
}

/// Returns whether a key with this value has no effect.
fn is_off(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Bool(false))
}

/// Settings found, by the name they have here: where each stands, and its value.
#[derive(Default)]
struct Found(BTreeMap<String, (String, Value)>);

impl Found {
    fn add(&mut self, key: &str, value: &Value, place: String) -> Result<(), String> {
        let known = NAMES.iter().find(|(spelling, _)| *spelling == key);
        let name = known.map_or(key, |(_, name)| name).to_string();
        match self.0.get(&name) {
            Some((other, known)) if known != value && known.as_f64() != value.as_f64() => {
                Err(format!("{place} = {value} contradicts {other} = {known}; keep one of them"))
            }
            _ => {
                self.0.insert(name, (place, value.clone()));
                Ok(())
            }
        }
    }

    /// Takes out a number above 0.
    fn number(&mut self, name: &str) -> Result<Option<f64>, String> {
        let Some((place, value)) = self.0.remove(name) else { return Ok(None) };
        let number = value.as_f64().filter(|number| number.is_finite() && *number > 0.0);
        number.map(Some).ok_or_else(|| format!("{place} = {value} is not a number above 0"))
    }

    /// Takes out a number above 0 that has to be there.
    fn needed(&mut self, name: &str, of: &str) -> Result<f64, String> {
        self.number(name)?.ok_or_else(|| format!("rope_type \"{of}\" needs {name}"))
    }

    /// Takes out what the type of scaling needs.
    fn scaling(&mut self, original: Option<f64>, context: f64) -> Result<Scaling, String> {
        let Some((place, value)) = self.0.remove("rope_type") else { return Ok(Scaling::None) };
        Ok(match value.as_str().unwrap_or_default() {
            "default" => Scaling::None,
            // Up to this context, which is the model's, the factor has no effect.
            "dynamic" => {
                self.needed("factor", "dynamic")?;
                Scaling::None
            }
            "linear" => Scaling::Linear { factor: self.needed("factor", "linear")? },
            "llama3" => Scaling::Llama3 {
                factor: self.needed("factor", "llama3")?,
                low: self.needed("low_freq_factor", "llama3")?,
                high: self.needed("high_freq_factor", "llama3")?,
                original: original
                    .ok_or_else(|| format!("rope_type \"llama3\" needs {ORIGINAL}"))?,
            },
            "yarn" => self.yarn(original.unwrap_or(context), context)?,
            _ => {
                return Err(format!(
                    "{place} = {value} is not supported (supported: \"default\", \"linear\", \"dynamic\", \
                     \"llama3\", \"yarn\")"
                ));
            }
        })
    }

    fn yarn(&mut self, original: f64, context: f64) -> Result<Scaling, String> {
        let factor = self.number("factor")?.unwrap_or(context / original);
        let amplitude = |by: f64| if factor <= 1.0 { 1.0 } else { 0.1 * by * factor.ln() + 1.0 };
        let given = self.number("attention_factor")?;
        let computed = match (self.number("mscale")?, self.number("mscale_all_dim")?) {
            (Some(own), Some(all)) => amplitude(own) / amplitude(all),
            _ => amplitude(1.0),
        };
        Ok(Scaling::Yarn {
            factor,
            amplitude: given.unwrap_or(computed),
            fast: self.number("beta_fast")?.unwrap_or(32.0),
            slow: self.number("beta_slow")?.unwrap_or(1.0),
            original,
            whole: !self.0.remove(TRUNCATE).is_some_and(|(_, value)| value == Value::Bool(false)),
        })
    }

    /// Refuses what nothing has taken out.
    fn end(&self) -> Result<(), String> {
        match self.0.values().next() {
            None => Ok(()),
            Some((place, value)) => Err(format!(
                "{place} = {value} is not supported with this rope_type, and would change the positions"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Rope, RopeDefaults};
    use serde_json::{Value, json};

    fn rope(config: &Value) -> Result<Rope, String> {
        let own = &["rotary_dim"];
        let (theta, partial) = (10_000.0, Some(1.0));
        Rope::read(config, &RopeDefaults { theta, partial, head_dim: 8, context: 64, own })
    }

    fn theta(config: Value) -> Result<f64, String> {
        rope(&config).map(|rope| rope.theta)
    }

    #[test]
    fn every_spelling_of_the_plain_settings_is_read() {
        assert_eq!(theta(json!({})), Ok(10_000.0));
        assert_eq!(theta(json!({"rope_theta": 5e5, "rope_scaling": null})), Ok(5e5));
        let nested = json!({"rope_parameters": {"rope_theta": 1e6, "rope_type": "default"}});
        assert_eq!(theta(nested), Ok(1e6));
        let both = json!({"rope_theta": 1e6, "rope_parameters": {"rope_theta": 1_000_000}});
        assert_eq!(theta(both), Ok(1e6));
        let older = json!({"rope_scaling": {"type": "default"}, "rope_interleaved": false});
        assert_eq!(theta(older), Ok(10_000.0));
        let own = json!({"rotary_dim": 32, "use_mrope": false, "partial_rotary_factor": 1.0});
        assert_eq!(theta(own), Ok(10_000.0));
        assert_eq!(theta(json!({"rotary_emb_base": 5e4})), Ok(5e4));
        assert_eq!(rope(&json!({"rotary_pct": 0.25})).unwrap().dim, 2);
        assert_eq!(rope(&json!({"partial_rotary_factor": 0.5})).unwrap().dim, 4);
    }

    #[test]
    fn heads_are_rotated_in_part_only_where_the_architecture_does_so() {
        let (theta, partial) = (10_000.0, None);
        let whole = RopeDefaults { theta, partial, head_dim: 8, context: 64, own: &[] };
        let part = Rope::read(&json!({"partial_rotary_factor": 0.5}), &whole);
        assert!(part.unwrap_err().contains("rotates whole heads"));
        assert!(Rope::read(&json!({"partial_rotary_factor": 1.0}), &whole).is_ok());
    }

    /// Both spellings of an object give one rope, which is not the plain one.
    #[test]
    fn scalings_are_read_in_both_spellings() {
        let plain = rope(&json!({})).unwrap().frequencies();
        for scaling in [
            json!({"type": "linear", "factor": 4}),
            json!({"type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4,
                   "original_max_position_embeddings": 16}),
            json!({"type": "yarn", "factor": 4, "original_max_position_embeddings": 16}),
        ] {
            let mut newer = scaling.clone();
            newer["rope_type"] = newer["type"].take();
            let older = rope(&json!({"rope_scaling": scaling})).unwrap();
            assert_eq!(rope(&json!({"rope_parameters": newer})).unwrap(), older);
            assert_ne!(older.frequencies(), plain);
        }
        let dynamic = json!({"rope_scaling": {"type": "dynamic", "factor": 4}});
        assert_eq!(rope(&dynamic).unwrap().frequencies(), plain);
    }

    #[test]
    fn what_is_not_computed_is_refused_wherever_it_stands() {
        for (config, why) in [
            (
                json!({"rope_parameters": {"type": "longrope", "factor": 4}}),
                "rope_parameters.type = \"longrope\"",
            ),
            (
                json!({"rope_parameters": {"rope_type": "default", "factor": 4}}),
                "rope_parameters.factor = 4",
            ),
            (json!({"rope_scaling": {"rope_type": "llama3"}}), "needs factor"),
            (json!({"rope_scaling": {"type": "linear", "mscale": 2, "factor": 2}}), "mscale = 2"),
            (json!({"rope_scaling": {"mrope_section": [1]}}), "rope_scaling.mrope_section = [1]"),
            (json!({"rope_parameters": {"full_attention": {}}}), "rope_parameters.full_attention"),
            (json!({"rope_scaling": 4.0}), "rope_scaling = 4.0"),
            (json!({"rope_type": "su"}), "rope_type = \"su\""),
            (json!({"rope_ratio": 2}), "rope_ratio = 2"),
            (json!({"partial_rotary_factor": 1.5}), "12 of the 8 entries"),
            (json!({"partial_rotary_factor": 0.4}), "3 of the 8 entries"),
            (json!({"rope_interleaved": true}), "rope_interleaved = true"),
            (json!({"rope_theta": 1e4, "rope_parameters": {"rope_theta": 1e6}}), "contradicts"),
            (json!({"rope_theta": 0}), "not a number above 0"),
        ] {
            let error = theta(config.clone()).unwrap_err();
            assert!(error.contains(why), "{config}: {error}");
        }
    }
}
