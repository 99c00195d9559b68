//! Layers of an edit: named, or by their place in the depth of the model.

use super::value::{Positive, Share};
use serde::{Deserialize, Serialize};

/// One layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerPlace {
    /// The layer, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<usize>,
    /// Share of the layers up to and with it, where no layer is named.
    #[serde(default = "middle")]
    pub depth: Share,
}

fn middle() -> Share {
    Share(0.5)
}

impl LayerPlace {
    /// The layer in the depth `depth`.
    pub(super) fn at(depth: f64) -> Self {
        Self { layer: None, depth: Share(depth) }
    }

    /// The layer of a model of `layers` layers.
    pub fn of(&self, layers: usize) -> usize {
        self.layer.unwrap_or_else(|| at_depth(self.depth, layers))
    }
}

/// Layers that share an edit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerSpan {
    /// The layers, ascending, from 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<usize>,
    /// Share of the layers up to and with the last of them, where none is named.
    #[serde(default = "middle")]
    pub depth: Share,
    /// Number of layers, one above the other, where none is named.
    #[serde(default = "five")]
    pub count: Positive,
}

fn five() -> Positive {
    Positive(5)
}

impl LayerSpan {
    /// `count` layers, the last of them in the depth `depth`.
    pub(super) fn up_to(depth: f64, count: usize) -> Self {
        Self { named: Vec::new(), depth: Share(depth), count: Positive(count) }
    }

    /// The layers that are named.
    #[cfg(feature = "torch")]
    pub(super) fn named(&self) -> Vec<usize> {
        self.named.clone()
    }

    /// The layers of a model of `layers` layers, ascending.
    pub fn of(&self, layers: usize) -> Vec<usize> {
        if !self.named.is_empty() {
            return self.named.clone();
        }
        let last = at_depth(self.depth, layers);
        (last.saturating_sub(self.count.0 - 1)..=last).collect()
    }

    /// Rejects layers that do not ascend.
    pub(super) fn check(&self, label: &str) -> Result<(), String> {
        if self.named.is_sorted_by(|a, b| a < b) {
            return Ok(());
        }
        Err(format!("`{label}`: layers.named = {:?} must ascend", self.named))
    }
}

fn at_depth(depth: Share, layers: usize) -> usize {
    ((depth.0 * layers as f64).round() as usize).clamp(1, layers) - 1
}

#[cfg(test)]
mod tests {
    use super::{LayerPlace, LayerSpan};

    #[test]
    fn a_depth_is_a_layer_of_every_model() {
        assert_eq!(LayerPlace::at(0.5).of(30), 14);
        assert_eq!(LayerPlace::at(0.01).of(3), 0);
        assert_eq!(LayerPlace::at(1.0).of(3), 2);
        assert_eq!(LayerPlace { layer: Some(1), ..LayerPlace::at(1.0) }.of(3), 1);
        assert_eq!(LayerSpan::up_to(0.5, 5).of(30), [10, 11, 12, 13, 14]);
        assert_eq!(LayerSpan::up_to(0.5, 5).of(3), [0, 1]);
    }
}
