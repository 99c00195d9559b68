//! Adam (Kingma and Ba 2015), as PyTorch computes it.

use tch::Tensor;

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// The state of Adam for some parameters.
pub(super) struct Adam {
    rate: f64,
    steps: i32,
    /// Mean gradient and mean squared gradient of each parameter.
    means: Vec<(Tensor, Tensor)>,
}

impl Adam {
    /// Adam with the learning rate `rate` for `parameters`.
    pub(super) fn new(rate: f64, parameters: &[&Tensor]) -> Self {
        let zeros = |own: &&Tensor| (own.detach().zeros_like(), own.detach().zeros_like());
        Self { rate, steps: 0, means: parameters.iter().map(zeros).collect() }
    }

    /// Moves each of `parameters` against its gradient.
    pub(super) fn step(&mut self, parameters: &[&Tensor], gradients: &[Tensor]) {
        self.steps += 1;
        let corrected = |beta: f64| 1.0 - beta.powi(self.steps);
        let (first, second) = (corrected(BETA_1), corrected(BETA_2));
        for ((parameter, gradient), (mean, square)) in
            parameters.iter().zip(gradients).zip(&mut self.means)
        {
            *mean = &*mean * BETA_1 + gradient * (1.0 - BETA_1);
            *square = &*square * BETA_2 + gradient.square() * (1.0 - BETA_2);
            let denominator = square.sqrt() / second.sqrt() + EPSILON;
            let change = &*mean / denominator * (self.rate / first);
            let _ = parameter.detach().g_sub_(&change);
        }
    }
}
