//! The keys of a `config.json`, read with errors that name the key.

use super::layers::Activation;
use serde_json::Value;

/// The largest size that a config may name: what is multiplied stays a number.
const LARGEST: usize = 1 << 20;

/// The largest number of layers: each is planned before the weights are looked at.
const MOST_LAYERS: usize = 1 << 12;

/// A `config.json`.
#[derive(Clone, Copy)]
pub(super) struct Settings<'c>(pub(super) &'c Value);

impl Settings<'_> {
    /// The value of `key`; `None` where it is missing or null.
    fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// A whole number above 0, and not larger than any model's.
    ///
    /// # Errors
    /// If it is missing, or no such number.
    pub(super) fn size(&self, key: &str) -> Result<usize, String> {
        self.size_if_any(key)?.ok_or_else(|| format!("missing field `{key}`"))
    }

    /// The same, which may be missing.
    ///
    /// # Errors
    /// If it is no such number.
    pub(super) fn size_if_any(&self, key: &str) -> Result<Option<usize>, String> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
        let size = size.filter(|size| *size > 0);
        let size = size.ok_or_else(|| format!("{key} = {value} is not a whole number above 0"))?;
        // A context of millions of tokens exists; nothing is multiplied with it.
        let most = match key {
            _ if key.contains("position") => LARGEST << 10,
            _ if key.contains("layer") => MOST_LAYERS,
            _ => LARGEST,
        };
        if size > most {
            return Err(format!("{key} = {size} is implausibly large"));
        }
        Ok(Some(size))
    }

    /// A number; `default` where it is missing.
    ///
    /// # Errors
    /// If it is no number.
    pub(super) fn number(&self, key: &str, default: f64) -> Result<f64, String> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value.as_f64().ok_or_else(|| format!("{key} = {value} is not a number"))
    }

    /// A switch; `default` where it is missing.
    ///
    /// # Errors
    /// If it is neither true nor false.
    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool, String> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value.as_bool().ok_or_else(|| format!("{key} = {value} is neither true nor false"))
    }

    /// A list of texts; `None` where it is missing.
    ///
    /// # Errors
    /// If it is no such list.
    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<&str>>, String> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let texts = value.as_array().map(|all| all.iter().map(Value::as_str).collect());
        texts.flatten().map(Some).ok_or_else(|| format!("{key} = {value} is not a list of texts"))
    }

    /// The function of the FFN; `default` where it is missing.
    ///
    /// # Errors
    /// If it is none that is computed.
    pub(super) fn activation(&self, key: &str, default: &str) -> Result<Activation, String> {
        let name = self.get(key).map_or(Ok(default), |value| {
            value.as_str().ok_or_else(|| format!("{key} = {value} is not a text"))
        })?;
        Ok(match name {
            "silu" | "swish" => Activation::Silu,
            "gelu" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Activation::GeluTanh,
            "relu" => Activation::Relu,
            other => {
                return Err(format!(
                    "{key} {other:?} (supported: \"silu\", \"gelu\", \"gelu_new\", \"gelu_pytorch_tanh\", \
                     \"gelu_fast\", \"relu\")"
                ));
            }
        })
    }

    /// Refuses a key that has any value but `plain`, or is missing: what it stands for is not computed.
    ///
    /// # Errors
    /// If it has another value.
    pub(super) fn only(&self, key: &str, plain: impl Into<Value>) -> Result<(), String> {
        let plain = plain.into();
        match self.get(key).filter(|value| **value != plain) {
            None => Ok(()),
            Some(value) => Err(format!("{key} = {value} is not supported (supported: {plain})")),
        }
    }
}
