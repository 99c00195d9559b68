//! The few layers that several architectures share.

use super::Checkpoint;
use anyhow::Result;
use tch::{Device, Tensor};

/// `y = x Wᵀ + b` with `weight` `[out, in]` and `bias` `[out]`.
#[derive(Debug)]
pub(crate) struct Linear {
    pub(crate) weight: Tensor,
    pub(crate) bias: Option<Tensor>,
}

impl Linear {
    /// Takes `{name}.weight` and, where `bias`, `{name}.bias`.
    pub(crate) fn load(from: &mut Checkpoint, name: &str, bias: bool) -> Result<Self> {
        let weight = from.take(&format!("{name}.weight"))?;
        let bias = bias.then(|| from.take(&format!("{name}.bias"))).transpose()?;
        Ok(Self { weight, bias })
    }

    /// Several layers of one input as one, their outputs one after the other: one large matrix
    /// product is faster than several small ones. All have a bias, or none.
    pub(crate) fn stack(layers: &[Self]) -> Self {
        let weights: Vec<&Tensor> = layers.iter().map(|layer| &layer.weight).collect();
        let biases: Vec<&Tensor> = layers.iter().filter_map(|layer| layer.bias.as_ref()).collect();
        assert!(biases.is_empty() || biases.len() == layers.len(), "all have a bias, or none");
        Self {
            weight: Tensor::cat(&weights, 0),
            bias: (!biases.is_empty()).then(|| Tensor::cat(&biases, 0)),
        }
    }

    /// The layer that gives outputs `first..first + count` only; a view.
    pub(crate) fn rows(&self, first: i64, count: i64) -> Self {
        Self {
            weight: self.weight.narrow(0, first, count),
            bias: self.bias.as_ref().map(|bias| bias.narrow(0, first, count)),
        }
    }

    /// `[.., in]` to `[.., out]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight, self.bias.as_ref())
    }

    /// Does what [`Linear::forward`] does, in whichever layout is faster: on a CPU as the product W xᵀ, whose
    /// transpose is returned, a view that is contiguous along the rows of `x`. MKL is faster at it where x
    /// has few rows, and no slower where it has many.
    pub(crate) fn forward_any_layout(&self, x: &Tensor) -> Tensor {
        if x.device() != Device::Cpu {
            return self.forward(x);
        }
        let mut size = x.size();
        let width = size.pop().expect("x has a last dimension");
        let rows = x.numel() as i64 / width.max(1);
        let columns = x.reshape([rows, width]).tr();
        let product = match &self.bias {
            None => self.weight.mm(&columns),
            Some(bias) => bias.unsqueeze(1).addmm(&self.weight, &columns),
        };
        size.push(self.weight.size()[0]);
        product.tr().view(size.as_slice())
    }
}

/// Layer normalisation over the last dimension.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    pub(crate) weight: Tensor,
    pub(crate) bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// Takes `{name}.weight` and `{name}.bias`, each `[width]`.
    pub(crate) fn load(from: &mut Checkpoint, name: &str, eps: f64) -> Result<Self> {
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        Ok(Self { weight: from.take(&weight)?, bias: from.take(&bias)?, eps })
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        x.layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), self.eps, false)
    }
}
