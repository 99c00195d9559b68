//! Where a setting of MENT leaves the paper's text. Every key is taken apart by name, so that a new
//! one cannot be forgotten here.

use crate::config::{
    AcrossErrors, AttributedToken, Distribution, Estimate, FinalNorm, HeadBias, Layers, Locate,
    MentConfig, Normalize, Positions, Quantity, Vocabulary,
};

/// One clause a departure, in the order of the method's steps.
pub(super) fn list(config: &MentConfig) -> Vec<String> {
    let MentConfig { label: _, quota, candidates, locate, estimate, across_errors } = config;
    let mut found = self::locate(locate);
    found.extend(self::estimate(estimate));
    found.push("a gain in rank (Equation 3) is an improvement, not an absolute change".into());
    found.push("the argmax of Equation 3 is the error's own, also once another token leads".into());
    if quota.0 != 10 {
        found.push(format!("the quota is {} neurons, not 10", quota.0));
    }
    if candidates.0 != 10 {
        found.push(format!("{} neurons are located, not 10", candidates.0));
    }
    if *across_errors == AcrossErrors::Keep {
        found.push("edits pile up within a datum".into());
    }
    found
}

fn locate(config: &Locate) -> Vec<String> {
    let Locate { token, quantity, positions, layers } = config;
    let mut found = Vec::new();
    if *token == AttributedToken::Target {
        found.push("the target is attributed, not the argmax".into());
    }
    match quantity {
        Quantity::Probability => {}
        Quantity::LogProbability => found.push("log-probabilities are attributed".into()),
        Quantity::Logit => found.push("logits are attributed".into()),
    }
    if *positions == Positions::Last {
        found.push("only the last position is attributed".into());
    }
    if *layers == Layers::UpperHalf {
        found.push("neurons are looked for in the upper half of the layers only".into());
    }
    found
}

fn estimate(config: &Estimate) -> Vec<String> {
    let Estimate {
        distribution,
        normalize,
        coefficient,
        input_side,
        depth: _, // the paper does not say which; both are readings of it
        final_norm,
        head_bias,
        vocabulary,
    } = config;
    let mut found: Vec<String> = Vec::new();
    match distribution {
        Distribution::Probabilities => {}
        Distribution::Logits => found.push("Algorithm 1 is applied to logits".into()),
        Distribution::Difference => found.push(
            "the pseudoinverse is applied to the virtual minus the actual distribution".into(),
        ),
        Distribution::OneHotDifference => found
            .push("the pseudoinverse is applied to one-hot(target) minus one-hot(argmax)".into()),
    }
    let ends = if *input_side { "each end of the interpolation" } else { "the output side" };
    match normalize {
        Normalize::None => {}
        Normalize::Range => found.push(format!("{ends} is divided by its range (max - min)")),
        Normalize::Unit => found.push(format!("{ends} is divided by its L2 norm")),
    }
    if coefficient.0 != 1.0 {
        found.push(format!("the added vector is multiplied by {}", coefficient.0));
    }
    if !input_side {
        found.push("the input side of the interpolation is left out".into());
    }
    if *final_norm == FinalNorm::Invert {
        found.push("the final norm is taken back from the output side".into());
    }
    if *head_bias == HeadBias::Subtract {
        found.push("the head's bias is taken off the logits".into());
    }
    if *vocabulary == Vocabulary::Tokenizer {
        found.push("rows of the head without a token take no part".into());
    }
    found
}
