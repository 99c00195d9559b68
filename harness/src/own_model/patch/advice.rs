//! Advice where a token could not be repaired: keys of the method that ran, with the values they had.

use super::repair::Cause;
use crate::config::{Config, KnConfig, MentConfig, MethodConfig, Plan};

/// Advice on the method that is the only one of `config`.
pub fn advice(config: &Config, cause: Cause) -> String {
    match config.methods.first() {
        Some(MethodConfig::Ment(ment)) => of_ment(ment, cause),
        Some(MethodConfig::Kn(kn)) => of_kn(kn, cause),
        Some(method) => of_other(method, cause),
        None => String::new(),
    }
}

/// Advice where a repair that worked changes much else; nothing where no key of the method helps.
pub fn on_side_effects(config: &Config) -> Option<String> {
    let Some(MethodConfig::Ment(ment)) = config.methods.first() else { return None };
    let coefficient = ment.estimate.coefficient.0;
    Some(format!(
        "A smaller push changes less: --set ment.estimate.coefficient={} (it was {})",
        number(coefficient / 2.0),
        number(coefficient)
    ))
}

fn of_ment(config: &MentConfig, cause: Cause) -> String {
    let (coefficient, quota) = (config.estimate.coefficient.0, config.quota.0);
    let set = |to: f64| {
        format!("--set ment.estimate.coefficient={} (it was {})", number(to), number(coefficient))
    };
    let sane = set((coefficient / 2.0).min(1.0));
    match cause {
        Cause::Undone { .. } => format!(
            "A smaller push changes less of the other token: {}. Or repair a shorter target first, and the \
             rest on top of it (--patch)",
            set(coefficient / 2.0)
        ),
        Cause::NoNeuron | Cause::TooWeak => format!(
            "Every candidate makes logits that are not finite; a smaller push may not: {sane}"
        ),
        Cause::NotEnough { tried } if tried < quota => format!(
            "Every further candidate makes logits that are not finite; a smaller push may not: {sane}"
        ),
        Cause::NotEnough { .. } => {
            let candidates = if config.plan == Plan::Score {
                format!("--set ment.candidates={} ", 2 * quota)
            } else {
                String::new()
            };
            format!(
                "A larger push goes further and changes more elsewhere: {}. More patches: {candidates}\
                 --set ment.quota={} (it was {quota})",
                set(coefficient * 2.0),
                2 * quota
            )
        }
    }
}

/// The key by which an edit of one piece becomes stronger.
fn of_other(config: &MethodConfig, cause: Cause) -> String {
    let (key, was) = match config {
        MethodConfig::FineTuning(own) => ("fine_tuning.rate", own.rate.0),
        MethodConfig::Lora(own) => ("lora.rate", own.rate.0),
        MethodConfig::Rome(own) => ("rome.value.clamp", own.value.clamp.0),
        MethodConfig::Memit(own) => ("memit.value.clamp", own.value.clamp.0),
        MethodConfig::AlphaEdit(own) => ("alpha_edit.value.clamp", own.value.clamp.0),
        MethodConfig::Star(own) => ("star.rate", own.rate.0),
        MethodConfig::Joint(own) => ("joint.rate", own.rate.0),
        _ => return String::new(),
    };
    let factor = if matches!(cause, Cause::Undone { .. }) { 0.5 } else { 2.0 };
    let now = number(was * factor);
    format!("Another strength: --set {key}={now} (it was {}). Or try --method ment", number(was))
}

/// A number as TOML takes it, without a row of zeros.
fn number(value: f64) -> String {
    if value < 1e6 { value.to_string() } else { format!("{value:e}") }
}

fn of_kn(config: &KnConfig, cause: Cause) -> String {
    let (threshold, quota) = (config.threshold.0, config.quota.0);
    match cause {
        Cause::Undone { .. } => {
            "Doubling the same neurons serves both tokens badly; try --method ment".into()
        }
        Cause::NotEnough { tried } if tried >= quota => {
            format!(
                "More neurons: --set kn.quota={} (it was {quota}). Or try --method ment",
                2 * quota
            )
        }
        Cause::NoNeuron | Cause::TooWeak | Cause::NotEnough { .. } => format!(
            "No more neurons scored high enough; a lower threshold may keep more: --set kn.threshold={} (it \
             was {threshold}). Or try --method ment",
            threshold / 2.0
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::advice;
    use crate::own_model::patch::methods;
    use crate::own_model::patch::repair::Cause;

    /// Whatever is advised names keys that the method takes, and what they were.
    #[test]
    fn advice_can_be_followed() {
        let set = vec!["ment.estimate.coefficient=1".to_string(), "ment.quota=3".into()];
        let causes =
            [Cause::NoNeuron, Cause::NotEnough { tried: 3 }, Cause::Undone { by: Some(1) }];
        let causes = [&causes[..], &[Cause::NotEnough { tried: 1 }]].concat();
        for method in ["ment", "plan-score", "loc.-rand", "est.-onehot", "kn", "kn-1"] {
            let set = if method.starts_with("kn") { &[] } else { &set[..] };
            let config = methods::one(method, set).unwrap();
            for &cause in &causes {
                let advice = advice(&config, cause);
                let keys: Vec<String> = advice
                    .split("--set ")
                    .skip(1)
                    .map(|rest| rest.split([' ', ')']).next().unwrap().trim_end_matches('.').into())
                    .collect();
                let followed = methods::one(method, &[set, &keys].concat());
                assert!(followed.is_ok(), "{method}: {advice}: {}", followed.unwrap_err());
                assert!(!advice.contains("0.25") && !advice.contains("(10)"), "{advice}");
                if set.is_empty() {
                    assert!(!advice.contains("ment."), "{method}: {advice}");
                }
            }
        }
        let undone = advice(&methods::one("ment", &set).unwrap(), Cause::Undone { by: None });
        assert!(undone.contains("coefficient=0.5 (it was 1)"), "{undone}");
    }
}
