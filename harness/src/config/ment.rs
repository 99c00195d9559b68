//! `[[ment]]`: the settings of MENT.

use super::KeysConfig;
use super::value::{Coefficient, Positive, Share};
use serde::{Deserialize, Serialize};

/// `[[ment]]`: one setting of MENT, in three stages that combine freely. Its eight variants (paper, II)
/// each change one of them: `[loc.-actv]` and `[loc.-rand]` are `locate.score`; `[est.-onehot]` and
/// `[est.-switch]` are `estimate.virtual_distribution`, `[est.-pathway]` is `estimate.pathways`;
/// `[plan-rank]`, `[plan-prob]` and `[plan-score]` are `plan`. The paper leaves several choices open; each is
/// a key here. The defaults are the setting `paper` of the committed calibration (`configs/calibration.toml`):
/// nearest to the paper's figures, and each neuron is patched at most once, as the paper counts them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MentConfig {
    /// Row label in the tables; must be unique.
    pub label: String,
    /// Neurons that may be patched for one error before it is skipped (paper, III-F: 10).
    pub quota: Positive,
    /// Neurons located and then simulated (the paper's "top critical neurons": 10).
    pub candidates: Positive,
    /// Step 1, locating.
    pub locate: Locate,
    /// Step 2, estimating.
    pub estimate: Estimate,
    /// Step 3, planning.
    pub plan: Plan,
    /// Number of times candidates are simulated.
    #[serde(skip_serializing_if = "Replan::is_default")]
    pub replan: Replan,
    /// True if a neuron may be patched more than once for one error; otherwise patches are neurons, as
    /// the paper counts them. `None` in manifests that were written before the key existed: then a neuron
    /// could be patched again, except under `plan = "score"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat: Option<bool>,
    /// Fate of an edit when the next error of the same datum is repaired.
    pub across_errors: AcrossErrors,
    /// Keys at which patches change nothing, for edits that are to stand; none in the paper.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preserve: Option<PreserveConfig>,
}

impl Default for MentConfig {
    fn default() -> Self {
        Self {
            label: "MENT".into(),
            quota: Positive(10),
            candidates: Positive(10),
            locate: Locate::default(),
            estimate: Estimate::default(),
            plan: Plan::default(),
            replan: Replan::default(),
            repeat: Some(false),
            across_errors: AcrossErrors::default(),
            preserve: None,
        }
    }
}

impl MentConfig {
    /// True if a neuron may be patched more than once for one error.
    pub fn repeats(&self) -> bool {
        self.repeat.unwrap_or(self.plan != Plan::Score)
    }

    /// Rejects fixed neurons that a model of `layers` layers of `d_ff` neurons lacks.
    #[cfg(feature = "torch")]
    pub(crate) fn check_neurons(&self, layers: usize, d_ff: usize) -> Result<(), String> {
        let lacks = |(layer, index): &&(usize, usize)| *layer >= layers || *index >= d_ff;
        self.locate.neurons.iter().find(lacks).map_or(Ok(()), |(layer, index)| {
            Err(format!(
                "`{}`: locate.neurons has [{layer}, {index}], the model has {layers} layers of {d_ff} neurons, \
                 counted from 0",
                self.label
            ))
        })
    }

    /// Rejects contradictory keys.
    pub(super) fn check(&self) -> Result<(), String> {
        let (locate, estimate) = (&self.locate, &self.estimate);
        let differentiated = (AttributedToken::default(), Quantity::default());
        let refuse = |what: &str| Err(format!("`{}`: {what}", self.label));
        if locate.score != Score::InputTimesGradient
            && (locate.token, locate.quantity) != differentiated
        {
            return refuse(
                "locate.token and locate.quantity have no effect, as locate.score computes no \
                 gradient; leave them out",
            );
        }
        if matches!(locate.score, Score::Random | Score::Fixed)
            && locate.positions != AttributedPositions::default()
        {
            return refuse(
                "locate.positions has no effect on random or fixed scores; leave it out",
            );
        }
        if estimate.distribution == Distribution::OneHotDifference
            && estimate.virtual_distribution != Virtual::default()
        {
            return refuse(
                "estimate.distribution = \"one_hot_difference\" uses no virtual distribution; leave estimate.virtual_distribution out",
            );
        }
        if estimate.distribution == Distribution::Logits
            && estimate.virtual_distribution == Virtual::OneHot
        {
            return refuse(
                "a one-hot distribution is made of probabilities, not of logits; choose another \
                 estimate.distribution",
            );
        }
        if (locate.score == Score::Fixed) == locate.neurons.is_empty() {
            return refuse("locate.score = \"fixed\" and a list locate.neurons go together");
        }
        let mut distinct = locate.neurons.clone();
        distinct.sort_unstable();
        distinct.dedup();
        if distinct.len() < locate.neurons.len() {
            return refuse("locate.neurons lists a neuron twice");
        }
        let located = match locate.score {
            Score::Fixed => locate.neurons.len().min(self.candidates.0),
            Score::InputTimesGradient | Score::Activation | Score::Random => self.candidates.0,
        };
        if self.repeat == Some(false) && self.quota.0 > located {
            return refuse(&format!(
                "each neuron is patched at most once, so {located} located neurons cannot fill a quota of \
                 {}; raise candidates, lower quota or set repeat = true",
                self.quota.0
            ));
        }
        if self.plan == Plan::Score && self.replan != Replan::default() {
            return refuse("plan = \"score\" simulates nothing; leave replan out");
        }
        if self.preserve.is_some() && (self.plan == Plan::Score || self.replan == Replan::Once) {
            return refuse("preserve needs candidates that are simulated in every round");
        }
        if estimate.pathways.0 == 1.0 && estimate.pathway_rule != PathwayRule::default() {
            return refuse("estimate.pathway_rule needs estimate.pathways below 1");
        }
        Ok(())
    }
}

/// `preserve`: a patch acts through the part of its neuron that is free: at a right angle to the keys that a text uses
/// and to those of earlier edits, as AlphaEdit's updates do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PreserveConfig {
    /// Eigenvalue of the keys' second moment below which a direction is free.
    pub threshold: Coefficient,
    /// The text that keys are estimated on.
    pub keys: KeysConfig,
}

impl Default for PreserveConfig {
    fn default() -> Self {
        Self { threshold: Coefficient(0.02), keys: KeysConfig::default() }
    }
}

/// `locate.*`: how a neuron is scored (Equation 1).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Locate {
    /// Score of a neuron.
    pub score: Score,
    /// Token whose prediction is attributed.
    pub token: AttributedToken,
    /// Function of that token's logit that is differentiated.
    pub quantity: Quantity,
    /// Over which positions input × gradient is reduced (L2 norm).
    pub positions: AttributedPositions,
    /// In which layers neurons are looked for.
    pub layers: Layers,
    /// The neurons of `score = "fixed"`, best first, each as `[layer, index]` counted from 0.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub neurons: Vec<(usize, usize)>,
}

/// Score of a neuron.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// Post-activation times its gradient.
    #[default]
    InputTimesGradient,
    /// Post-activation alone: `[loc.-actv]`.
    Activation,
    /// Chance, the same in every run of one `execution.seed`: `[loc.-rand]`.
    Random,
    /// No score: the neurons of `locate.neurons`, for every error. A control that locates nothing.
    Fixed,
}

/// Token whose prediction is attributed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttributedToken {
    /// The token the model now predicts (paper, II-A).
    #[default]
    Argmax,
    /// The token it should predict.
    Target,
}

/// Function that is differentiated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Softmax probability. (Log-probability differs by a factor an error, 1/P, so it ranks
    /// neurons alike; it is kept for very confident errors, where P's gradient underflows.)
    #[default]
    Probability,
    /// Natural logarithm of the probability.
    LogProbability,
    /// Logit before the softmax.
    Logit,
}

/// Positions that an attribution score covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttributedPositions {
    /// All tokens up to the error.
    #[default]
    All,
    /// The token whose next-token prediction is wrong.
    Last,
}

/// Layers that are searched for neurons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layers {
    /// Every layer.
    #[default]
    All,
    /// Layers L/2 and above.
    UpperHalf,
}

/// `estimate.*`: the vector added to a located neuron's column (II-B).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Estimate {
    /// Distribution in which the target leads.
    pub virtual_distribution: Virtual,
    /// Vector over the vocabulary that the pseudoinverse of the output head is applied to.
    pub distribution: Distribution,
    /// Scale of each end of the interpolation.
    pub normalize: Normalize,
    /// Factor on the (normalised) vector. A larger one repairs with fewer neurons and disturbs
    /// more: the calibration table shows by how much.
    pub coefficient: Coefficient,
    /// Rule by which the vector and the neuron's column become the new column.
    #[serde(skip_serializing_if = "Combine::is_default")]
    pub combine: Combine,
    /// Input end of the interpolation: embedding of the last token (`true`, as written) or zero.
    pub input_side: bool,
    /// Position of layer l between input (0) and output (1).
    pub depth: Depth,
    /// Treatment of the norm before the output head in the output-side vector.
    pub final_norm: FinalNorm,
    /// Treatment of the head's bias; matters with `distribution = "logits"` only.
    pub head_bias: HeadBias,
    /// Rows of the output head that take part.
    pub vocabulary: Vocabulary,
    /// Share of the vector's entries that are added: each is a pathway from the neuron to one entry of
    /// the residual stream. `[est.-pathway]`: 0.25, which
    /// is the paper's 256 of 1,024.
    pub pathways: Share,
    /// Rule that selects these entries.
    #[serde(skip_serializing_if = "PathwayRule::is_default")]
    pub pathway_rule: PathwayRule,
    /// True if the part of the vector that lies in the span of the vectors of earlier edits of the layer is left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub orthogonal: bool,
}

impl Default for Estimate {
    fn default() -> Self {
        Self {
            virtual_distribution: Virtual::default(),
            distribution: Distribution::default(),
            normalize: Normalize::default(),
            coefficient: Coefficient(1.0),
            combine: Combine::default(),
            input_side: false,
            depth: Depth::default(),
            final_norm: FinalNorm::default(),
            head_bias: HeadBias::default(),
            vocabulary: Vocabulary::default(),
            pathways: Share(1.0),
            pathway_rule: PathwayRule::default(),
            orthogonal: false,
        }
    }
}

/// Rule by which the estimated vector v and a column become the new column, with coefficient c.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Combine {
    /// column + c·v (Equation 2, as written for c = 1).
    #[default]
    Add,
    /// (column + c·v) / (1 + c), as in later code of the paper's author.
    Average,
}

/// Rule that selects the entries of the estimated vector that are edited (pathways).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathwayRule {
    /// Entries of the largest magnitude in the vector.
    #[default]
    Magnitude,
    /// Entries where the FFN output of the neuron's layer contributes most to the attributed token at the
    /// error: largest magnitude of output times gradient.
    Contribution,
}

/// Distribution in which the target leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Virtual {
    /// The target climbs, what it passes steps down: Algorithm 1.
    #[default]
    Raised,
    /// Target and argmax change places: `[est.-switch]`.
    Switched,
    /// All on the target: `[est.-onehot]`.
    OneHot,
}

/// Vector over the vocabulary that the pseudoinverse of the output head is applied to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// The virtual distribution, as written.
    Probabilities,
    /// The virtual distribution made of logits.
    Logits,
    /// Virtual minus actual probabilities: what is to change.
    #[default]
    Difference,
    /// One-hot of the target minus one-hot of the argmax.
    OneHotDifference,
}

/// Scale of each end of the interpolation, before depth and coefficient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalize {
    /// Not scaled.
    None,
    /// Divided by its largest minus its smallest entry.
    #[default]
    Range,
    /// Divided by its L2 norm.
    Unit,
}

/// Position of layer l of L between input and output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Depth {
    /// l/L: the residual entering the layer.
    Entering,
    /// (l+1)/L: the residual leaving it.
    #[default]
    Leaving,
}

/// The norm before the output head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinalNorm {
    /// The vector before the head is used as it is.
    #[default]
    Ignore,
    /// The norm's elementwise weight is divided out, and for whole distributions its bias taken
    /// off; the data-dependent scale is left to `normalize`.
    Invert,
}

/// The bias of the output head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadBias {
    /// Left in.
    #[default]
    Ignore,
    /// Taken off the logits.
    Subtract,
}

/// Rows of the output head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vocabulary {
    /// All, padding rows included.
    #[default]
    All,
    /// Rows that the tokenizer has a token for.
    Tokenizer,
}

/// Rule that selects the next candidate to patch (Equation 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// The one whose simulated edit gains most: in rank of the target, then in
    /// ln(P target / P argmax).
    #[default]
    Gain,
    /// Gain in rank only; of equals the best located: `[plan-rank]`.
    Rank,
    /// Gain in ln(P target / P argmax) only: `[plan-prob]`.
    Probability,
    /// In the order of the attribution scores, nothing simulated: `[plan-score]`.
    Score,
}

/// Number of times candidates are simulated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replan {
    /// After each patch, on top of the patches so far.
    #[default]
    EveryRound,
    /// Once, before any patch; neurons are then patched in the order of their gains.
    Once,
}

/// Implements `is_default`, by which manifests leave out a key that has the value it had before it existed.
macro_rules! is_default {
    ($($key:ty),+) => {
        $(impl $key {
            fn is_default(&self) -> bool {
                *self == Self::default()
            }
        })+
    };
}

is_default!(Combine, PathwayRule, Replan);

/// Edits across the errors of one datum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AcrossErrors {
    /// Each error meets the original model (patch set of size 1, paper RQ1).
    #[default]
    Undo,
    /// Edits pile up within a datum, which is predicted again at its end.
    Keep,
}
