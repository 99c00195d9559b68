//! A run as written in TOML: data sets, model, prompt, methods. Every key is documented here and
//! has a default unless it says otherwise; a wrong key or value is refused with its line.

use crate::dataset::DatasetName;
use crate::error::InputError;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A whole config file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// One line on what the run is for; printed and recorded.
    #[serde(default)]
    pub description: String,
    /// The model under study.
    pub model: ModelConfig,
    /// How demonstrations are found.
    #[serde(default)]
    pub retrieval: RetrievalConfig,
    /// How the work is done, as far as results may depend on it.
    #[serde(default)]
    pub execution: Execution,
    /// `[[dataset]]`, at least one.
    pub dataset: Vec<DatasetConfig>,
    /// `[[ment]]`: each entry is one row of the tables.
    #[serde(default)]
    pub ment: Vec<MentConfig>,
}

/// `[model]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Its row label in the tables.
    pub label: String,
    /// A Hugging Face folder, from the folder the command is run in.
    pub path: PathBuf,
    /// Weights and activations.
    #[serde(default)]
    pub dtype: Dtype,
}

/// Floating-point type of weights and activations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// IEEE single precision.
    #[default]
    F32,
    /// bfloat16.
    Bf16,
}

/// `[retrieval]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetrievalConfig {
    /// A `sentence-transformers` folder with a BERT encoder.
    pub encoder: PathBuf,
    /// Demonstrations in a prompt (paper, III-F: 3).
    pub demonstrations: usize,
    /// The order they stand in; the paper does not say.
    pub order: Order,
    /// Where embeddings are kept between runs.
    pub cache: PathBuf,
}

impl Default for RetrievalConfig {
    fn default() -> Self {
        Self {
            encoder: ".models/all-minilm-l6-v2".into(),
            demonstrations: 3,
            order: Order::default(),
            cache: ".cache/embeddings".into(),
        }
    }
}

/// Order of the demonstrations in the prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The nearest demonstration stands next to the query.
    #[default]
    MostSimilarLast,
    /// The nearest demonstration opens the prompt.
    MostSimilarFirst,
}

/// `[execution]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Execution {
    /// How candidate edits are simulated.
    pub engine: Engine,
    /// What happens to a prompt that does not fit the model.
    pub too_long: TooLong,
    /// Prompts of other data on which every edit is probed for side effects; 0 for none. They
    /// are drawn evenly from the planned data of all data sets.
    pub unrelated_probes: usize,
}

/// How candidate edits are simulated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// One batched pass over the layers above the edits.
    #[default]
    Replay,
    /// The weights edited, a full forward pass, the weights restored: slow, and the reference.
    Reference,
}

/// What happens to a prompt that, with its gold, does not fit the context of the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TooLong {
    /// The run is refused before anything is measured.
    #[default]
    Refuse,
    /// Its least similar demonstrations are left out until it fits; reported as a deviation.
    FewerDemonstrations,
}

/// `[[dataset]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetConfig {
    /// Which.
    pub name: DatasetName,
    /// The folder with its files, in the official format.
    pub from: PathBuf,
    /// Which pairs are prompted.
    #[serde(default)]
    pub division: Division,
    /// At most so many pairs are prompted: the first of the inference division, or spread evenly
    /// over the retrieval division. All, when left out.
    #[serde(default)]
    pub limit: Option<std::num::NonZeroUsize>,
    /// One demonstration; holds `{input}` and `{output}`.
    #[serde(default)]
    pub demonstration: Demonstration,
    /// The query that ends the prompt; holds `{input}`.
    #[serde(default)]
    pub query: Query,
}

/// Which pairs are prompted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Division {
    /// The inference division: what the tables report.
    #[default]
    Inference,
    /// Pairs of the retrieval division, each left out of its own demonstrations: for choosing
    /// settings on data that no table reports.
    Calibration,
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

/// `[[ment]]`: one setting of MENT. The paper leaves several choices open; each is a key here,
/// and the defaults are what the committed calibration supports (`configs/calibration.toml`).
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
    /// What becomes of an edit when the next error of the same datum is repaired.
    pub across_errors: AcrossErrors,
}

impl Default for MentConfig {
    fn default() -> Self {
        Self {
            label: "MENT".into(),
            quota: Positive(10),
            candidates: Positive(10),
            locate: Locate::default(),
            estimate: Estimate::default(),
            across_errors: AcrossErrors::default(),
        }
    }
}

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

/// `locate.*`: how a neuron is scored (Equation 1).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Locate {
    /// Whose prediction is attributed.
    pub token: AttributedToken,
    /// Which function of that token's logit is differentiated.
    pub quantity: Quantity,
    /// Over which positions input × gradient is reduced (L2 norm).
    pub positions: Positions,
    /// In which layers neurons are looked for.
    pub layers: Layers,
}

/// Whose prediction is attributed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttributedToken {
    /// The token the model now predicts (paper, II-A).
    #[default]
    Argmax,
    /// The token it should predict.
    Target,
}

/// What is differentiated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
pub enum Positions {
    /// All tokens up to the error.
    #[default]
    All,
    /// The token whose next-token prediction is wrong.
    Last,
}

/// Layers in which neurons are looked for.
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
    /// What the pseudoinverse of the output head is applied to.
    pub distribution: Distribution,
    /// Scale of each end of the interpolation.
    pub normalize: Normalize,
    /// Factor on the (normalised) vector. A larger one repairs with fewer neurons and disturbs
    /// more: the calibration table shows by how much.
    pub coefficient: Coefficient,
    /// Input end of the interpolation: embedding of the last token (`true`, as written) or zero.
    pub input_side: bool,
    /// Where layer l lies between input (0) and output (1).
    pub depth: Depth,
    /// Whether the norm before the output head is taken back from the output-side vector.
    pub final_norm: FinalNorm,
    /// Whether the head's bias is taken off logits; matters with `distribution = "logits"` only.
    pub head_bias: HeadBias,
    /// Rows of the output head that take part.
    pub vocabulary: Vocabulary,
}

impl Default for Estimate {
    fn default() -> Self {
        Self {
            distribution: Distribution::default(),
            normalize: Normalize::default(),
            coefficient: Coefficient(0.25),
            input_side: false,
            depth: Depth::default(),
            final_norm: FinalNorm::default(),
            head_bias: HeadBias::default(),
            vocabulary: Vocabulary::default(),
        }
    }
}

/// What the pseudoinverse of the output head is applied to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// The virtual distribution of Algorithm 1, as written.
    Probabilities,
    /// Algorithm 1 on the logits.
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
    /// As it comes.
    None,
    /// Divided by its largest minus its smallest entry.
    #[default]
    Range,
    /// Divided by its L2 norm.
    Unit,
}

/// Where layer l of L lies between input and output.
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
    /// Those the tokenizer has a token for.
    Tokenizer,
}

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

impl Config {
    /// Reads and checks a config file.
    ///
    /// # Errors
    /// If the file cannot be read, or something in it is wrong; the line is shown.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            InputError::new(format!("{}: cannot be read ({error})", path.display()))
        })?;
        Self::parse(&text)
            .map_err(|message| InputError::new(format!("{}: {message}", path.display())))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| explain(&error))?;
        config.check()?;
        Ok(config)
    }

    /// What no single key shows.
    pub fn check(&self) -> Result<(), String> {
        if self.dataset.is_empty() {
            return Err("no data set; add a [[dataset]] entry".into());
        }
        let names = self.dataset.iter().map(|dataset| dataset.name.to_string());
        if let Some(name) = first_duplicate(names) {
            return Err(format!("data set `{name}` is listed twice"));
        }
        let labels = std::iter::once(&self.model.label)
            .chain(self.ment.iter().map(|ment| &ment.label))
            .cloned();
        if let Some(label) =
            labels.clone().find(|label| label.trim().is_empty() || label.contains('\n'))
        {
            return Err(format!("label {label:?} must be one line with something in it"));
        }
        if let Some(label) = first_duplicate(labels) {
            return Err(format!(
                "label `{label}` is used twice; every row of a table needs its own"
            ));
        }
        Ok(())
    }
}

fn first_duplicate(items: impl Iterator<Item = String>) -> Option<String> {
    let mut seen = std::collections::HashSet::new();
    items.into_iter().find(|item| !seen.insert(item.clone()))
}

/// The TOML error with its line, and the nearest known name where one is close.
fn explain(error: &toml::de::Error) -> String {
    let text = error.to_string();
    let mut quoted = error.message().split('`').skip(1).step_by(2);
    let suggestion =
        quoted.next().filter(|_| error.message().starts_with("unknown")).and_then(|wrong| {
            quoted
                .map(|known| (strsim::damerau_levenshtein(wrong, known), known))
                .min()
                .filter(|&(distance, known)| distance <= 1 + known.len() / 3)
                .map(|(_, known)| format!("\ndid you mean `{known}`?"))
        });
    format!("{}{}", text.trim_end(), suggestion.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::Config;

    const MINIMAL: &str = r#"
[model]
label = "SmolLM2"
path = ".models/smollm2"
[[dataset]]
name = "conala"
from = "benchmark/conala/sample"
[[ment]]
"#;

    #[test]
    fn defaults_fill_what_is_left_out() {
        let config = Config::parse(MINIMAL).unwrap();
        assert_eq!(config.ment[0].quota.0, 10);
        assert_eq!(config.retrieval.demonstrations, 3);
        assert_eq!(config.dataset[0].query.0, "# {input}\n");
    }

    #[test]
    fn mistakes_are_shown_with_their_line() {
        let wrong = [
            ("an_unknown_key", "[[ment]]\nquotta = 3\n"),
            ("an_unknown_nested_key", "[[ment]]\nestimate.coeficient = 3\n"),
            ("an_unknown_value", "[[ment]]\nestimate.normalize = \"rnage\"\n"),
            ("a_wrong_type", "[[ment]]\nquota = \"ten\"\n"),
            ("a_value_out_of_range", "[[ment]]\nlabel = \"b\"\nquota = 0\n"),
            ("an_infinite_coefficient", "[[ment]]\nestimate.coefficient = inf\n"),
            ("an_unknown_data_set", "[[dataset]]\nname = \"conalla\"\nfrom = \"x\"\n"),
            ("a_template_without_slot", "query = \"no slot\"\n[[ment]]\n"),
            ("two_rows_of_one_name", "[[ment]]\n"),
            ("a_syntax_error", "[[ment\n"),
        ];
        for (what, text) in wrong {
            let base = if text.starts_with("query") {
                MINIMAL.trim_end_matches("[[ment]]\n").to_string()
            } else {
                MINIMAL.to_string()
            };
            let error = Config::parse(&format!("{base}{text}")).unwrap_err();
            insta::assert_snapshot!(what, error);
        }
    }
}
