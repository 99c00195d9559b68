//! Values that are checked as they are read, so that the TOML error shows their line.

use serde::{Deserialize, Serialize};

/// A whole number of at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Positive(pub usize);

impl TryFrom<i64> for Positive {
    type Error = String;
    fn try_from(value: i64) -> Result<Self, String> {
        usize::try_from(value)
            .ok()
            .filter(|&value| value > 0)
            .map(Self)
            .ok_or_else(|| format!("{value} is not a positive whole number"))
    }
}

impl From<Positive> for i64 {
    fn from(value: Positive) -> Self {
        value.0 as i64
    }
}

/// A finite number above zero.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Coefficient(pub f64);

impl TryFrom<f64> for Coefficient {
    type Error = String;
    fn try_from(value: f64) -> Result<Self, String> {
        if value.is_finite() && value > 0.0 {
            Ok(Self(value))
        } else {
            Err(format!("{value} is not a finite number above zero"))
        }
    }
}

impl From<Coefficient> for f64 {
    fn from(value: Coefficient) -> Self {
        value.0
    }
}

/// A share, above 0 and at most 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share(pub f64);

impl TryFrom<f64> for Share {
    type Error = String;
    fn try_from(value: f64) -> Result<Self, String> {
        if value > 0.0 && value <= 1.0 {
            Ok(Self(value))
        } else {
            Err(format!("{value} is not a share, above 0 and at most 1"))
        }
    }
}

impl From<Share> for f64 {
    fn from(value: Share) -> Self {
        value.0
    }
}

macro_rules! template {
    ($(#[$doc:meta])* $name:ident, $default:literal, [$($slot:literal),+]) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(pub String);

        impl Default for $name {
            fn default() -> Self {
                Self($default.into())
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;
            fn try_from(template: String) -> Result<Self, String> {
                for slot in [$($slot),+] {
                    if template.matches(slot).count() != 1 {
                        return Err(format!("the template must hold {slot} exactly once"));
                    }
                }
                Ok(Self(template))
            }
        }
    };
}

template!(
    /// Template of one demonstration.
    Demonstration, "# {input}\n{output}\n\n", ["{input}", "{output}"]
);
template!(
    /// Template of the query.
    Query, "# {input}\n", ["{input}"]
);
