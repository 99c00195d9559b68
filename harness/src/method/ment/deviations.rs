//! Departures of a setting of MENT from the paper's text. Every key is named in a pattern, so that a new key
//! cannot be forgotten here.

use crate::config::{
    AcrossErrors, AttributedPositions, AttributedToken, Combine, Distribution, Estimate, FinalNorm,
    HeadBias, Layers, Locate, MentConfig, Normalize, PathwayRule, Plan, Quantity, Replan, Score,
    Virtual, Vocabulary,
};

/// One clause a departure, in the order of the method's steps.
pub(super) fn list(config: &MentConfig) -> Vec<String> {
    let MentConfig {
        label: _,
        quota,
        candidates,
        locate,
        estimate,
        plan,
        replan,
        repeat: _, // by `repeats`
        across_errors,
        preserve,
    } = config;
    let mut found = self::locate(locate);
    found.extend(self::estimate(estimate));
    if matches!(plan, Plan::Gain | Plan::Rank) {
        found.push("a gain in rank (Equation 3) is an improvement, not an absolute change".into());
    }
    if matches!(plan, Plan::Gain | Plan::Probability) {
        found.push(
            "Equation 3 compares with the argmax before any patch, also after another token leads"
                .into(),
        );
    }
    if *replan == Replan::Once {
        found.push("candidates are simulated once and patched in the order of their gains".into());
    }
    if config.repeats() {
        found.push("a neuron may be patched more than once, and each patch counts".into());
    }
    if quota.0 != 10 {
        found.push(format!("the quota is {} neurons, not 10", quota.0));
    }
    if candidates.0 != 10 {
        found.push(format!("{} neurons are located, not 10", candidates.0));
    }
    if let Some(preserve) = preserve {
        found.push(format!(
            "a patch acts at a right angle to the keys that a text uses (threshold {}) and to those of earlier edits",
            preserve.threshold.0
        ));
    }
    if *across_errors == AcrossErrors::Keep {
        found.push("edits pile up within a datum".into());
    }
    found
}

fn locate(config: &Locate) -> Vec<String> {
    let Locate { score, token, quantity, positions, layers, neurons } = config;
    let mut found = Vec::new();
    if *score == Score::Activation && *positions == AttributedPositions::All {
        found.push("an activation is scored by its L2 norm over positions".into());
    }
    if *score == Score::Fixed {
        found.push(format!("the same {} neurons are tried for every error", neurons.len()));
    }
    if *token == AttributedToken::Target {
        found.push("the target is attributed, not the argmax".into());
    }
    match quantity {
        Quantity::Probability => {}
        Quantity::LogProbability => found.push("log-probabilities are attributed".into()),
        Quantity::Logit => found.push("logits are attributed".into()),
    }
    if *positions == AttributedPositions::Last {
        found.push("only the last position is scored".into());
    }
    if *layers == Layers::UpperHalf {
        found.push("only the upper half of the layers is searched".into());
    }
    found
}

fn estimate(config: &Estimate) -> Vec<String> {
    let Estimate {
        virtual_distribution,
        distribution,
        normalize,
        coefficient,
        input_side,
        depth: _, // the paper does not say which; both are readings of it
        final_norm,
        head_bias,
        vocabulary,
        pathways,
        pathway_rule,
        combine,
        orthogonal,
    } = config;
    let mut found: Vec<String> = Vec::new();
    if *orthogonal {
        found.push(
            "the added vector is at a right angle to those of earlier edits of the layer".into(),
        );
    }
    match distribution {
        Distribution::Probabilities => {}
        Distribution::Logits => found.push(match virtual_distribution {
            Virtual::Switched => "logits are switched, not probabilities".into(),
            Virtual::Raised | Virtual::OneHot => "Algorithm 1 is applied to logits".into(),
        }),
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
    if *combine == Combine::Average {
        found.push("column and vector are averaged, not added".into());
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
    if pathways.0 < 1.0 {
        found.push(format!(
            "the pathways edited are the {:.0} % of the vector's entries {}",
            pathways.0 * 100.0,
            match pathway_rule {
                PathwayRule::Magnitude => "of the largest magnitude",
                PathwayRule::Contribution => "where the FFN output contributes most",
            }
        ));
    }
    if *vocabulary == Vocabulary::Tokenizer {
        found.push("rows of the head without a token are left out".into());
    }
    found
}
