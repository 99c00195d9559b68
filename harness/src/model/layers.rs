//! The layers that decoders are made of.

use super::Checkpoint;
use anyhow::Result;
use tch::{Device, Kind, Tensor};

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
pub struct LayerNorm {
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

/// Root-mean-square norm over the last dimension, `weight` `[width]`.
#[derive(Debug)]
pub struct RmsNorm {
    /// In f32 where the reference multiplies in f32.
    pub(crate) weight: Tensor,
    eps: f64,
}

impl RmsNorm {
    /// Takes `{name}.weight`; with `plus_one` the factor is one more than it, as Gemma stores it.
    pub(crate) fn load(
        from: &mut Checkpoint,
        name: &str,
        eps: f64,
        plus_one: bool,
    ) -> Result<Self> {
        let mut weight = from.take(&format!("{name}.weight"))?;
        if plus_one {
            weight = weight.to_kind(Kind::Float) + 1.0;
        }
        Ok(Self { weight, eps })
    }

    /// In f32 whatever the dtype, as the reference does.
    fn forward(&self, x: &Tensor) -> Tensor {
        let (kind, width) = (x.kind(), x.size()[x.dim() - 1] as f64);
        let x = x.to_kind(Kind::Float);
        let norm = x.norm_scalaropt_dim(2.0, [-1_i64].as_slice(), true);
        let scale = (norm.square() / width + self.eps).rsqrt();
        ((x * scale).to_kind(self.weight.kind()) * &self.weight).to_kind(kind)
    }
}

/// A norm over the last dimension.
#[derive(Debug)]
pub enum Norm {
    /// By the root mean square.
    Rms(RmsNorm),
    /// By mean and standard deviation.
    Layer(LayerNorm),
}

impl Norm {
    /// Same shape as `x` `[..,width]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        match self {
            Self::Rms(norm) => norm.forward(x),
            Self::Layer(norm) => norm.forward(x),
        }
    }

    /// Elementwise weight and bias, each `[width]`.
    pub(crate) fn affine(&self) -> (&Tensor, Option<&Tensor>) {
        match self {
            Self::Rms(norm) => (&norm.weight, None),
            Self::Layer(norm) => (&norm.weight, Some(&norm.bias)),
        }
    }
}

/// Step from the output of an attention or FFN to what is added to the residual stream.
#[derive(Debug)]
pub enum Exit {
    /// Itself.
    Plain,
    /// The output times a number.
    Scaled(f64),
    /// The output, normed: what is added is then no linear function of it.
    Normed(Norm),
}

impl Exit {
    /// Contribution of `output` `[..,D]` to the residual stream.
    pub fn apply(&self, output: Tensor) -> Tensor {
        match self {
            Self::Plain => output,
            Self::Scaled(factor) => output * *factor,
            Self::Normed(norm) => norm.forward(&output),
        }
    }

    /// True if a change of the output changes what is added by the same, whatever the output is, but for a
    /// factor.
    pub(crate) fn is_linear(&self) -> bool {
        !matches!(self, Self::Normed(_))
    }
}

/// The function between the matrices of an FFN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    /// x · sigmoid(x).
    Silu,
    /// By the error function.
    Gelu,
    /// By the hyperbolic tangent.
    GeluTanh,
    /// max(x, 0).
    Relu,
}

impl Activation {
    /// Does it in place where no gradient needs the input: half the memory, a third of the traffic.
    pub(crate) fn apply(self, mut x: Tensor) -> Tensor {
        if x.requires_grad() {
            match self {
                Self::Silu => x.silu(),
                Self::Gelu => x.gelu("none"),
                Self::GeluTanh => x.gelu("tanh"),
                Self::Relu => x.relu(),
            }
        } else {
            match self {
                Self::Silu => x.silu_(),
                Self::Gelu => x.gelu_("none"),
                Self::GeluTanh => x.gelu_("tanh"),
                Self::Relu => x.relu_(),
            }
        }
    }
}
