//! A run as written in TOML: data sets, model, prompt, methods. Every key is documented here and
//! has a default unless it says otherwise; a wrong key or value is refused with its line.

mod dataset;
mod gradient;
mod in_context;
mod joint;
mod kn;
mod layers;
mod memory;
mod ment;
mod method;
mod no_edit;
mod optimise;
mod probing;
mod prompt;
mod set;
mod shard;
mod star;
mod sweep;
mod value;
mod written;

pub use self::dataset::*;
pub use self::gradient::*;
pub use self::in_context::*;
pub use self::joint::*;
pub use self::kn::*;
pub use self::layers::*;
pub use self::memory::*;
pub use self::ment::*;
pub use self::method::{MethodConfig, MethodKind};
pub use self::no_edit::*;
pub use self::optimise::ValueConfig;
pub use self::probing::*;
pub use self::prompt::*;
pub(crate) use self::set::{SettingKey, check_read, set};
pub use self::shard::Shard;
pub use self::star::*;
pub use self::sweep::{Experiment, Point};
pub use self::value::*;

use self::written::ConfigFile;
use crate::error::InputError;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A whole config file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "ConfigFile", into = "ConfigFile")]
pub struct Config {
    /// One line on what the run is for; printed and recorded.
    pub description: String,
    /// The model under study.
    pub model: ModelConfig,
    /// Form of the prompts.
    pub prompt: PromptConfig,
    /// Retrieval of demonstrations.
    pub retrieval: RetrievalConfig,
    /// Execution settings that may affect results.
    pub execution: Execution,
    /// `[probing]`: the probing experiment; without it, the patching experiment.
    pub probing: Option<ProbingConfig>,
    /// `[[dataset]]`: the data that are prompted, at least one data set; of a probing experiment, those that
    /// parallel prompts are made of.
    pub dataset: Vec<DatasetConfig>,
    /// `[[no_edit]]`, `[[kn]]`, `[[ment]]`, …: the rows of the tables, in the order of [`MethodKind::ALL`].
    pub methods: Vec<MethodConfig>,
    /// `[sweep]`: keys as in `--set`, quoted, each with a list of values; every combination is a run of
    /// its own. What goes together is one value: `model = [{ label = "a", path = "…" }, …]`.
    pub sweep: BTreeMap<String, Vec<toml::Value>>,
}

/// `[model]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Row label in the tables.
    pub label: String,
    /// A Hugging Face folder, from the folder the command is run in.
    pub path: PathBuf,
    /// Weights and activations.
    #[serde(default)]
    pub dtype: Dtype,
    /// Folder for data computed from the weights and kept between runs; empty to keep none.
    #[serde(default = "oracle_cache")]
    pub cache: PathBuf,
    /// Permission to compute a checkpoint that has Python code of its own (`auto_map`) as the plain
    /// architecture that its `model_type` names. Such a checkpoint is refused otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plain_architecture: bool,
}

fn oracle_cache() -> PathBuf {
    ".cache/oracle".into()
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
    /// IEEE half precision.
    F16,
}

/// `[execution]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Execution {
    /// Engine that simulates candidate edits.
    pub engine: Engine,
    /// Treatment of a prompt that does not fit the model.
    pub too_long: TooLong,
    /// Prompts of other data on which every edit is probed for side effects; 0 for none. They
    /// are drawn evenly from the planned data of all data sets.
    pub unrelated_probes: usize,
    /// True if the edits of each datum are kept together once more, and the model writes the answer by itself. Not part
    /// of a run's identity, as it changes no other record.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub free: bool,
    /// Memory for what is kept or run at once, over the weights, in MiB. It decides the size of
    /// batches, not the results, and so is not part of a run's identity.
    pub memory_mib: Positive,
    /// Random seed, for methods that draw.
    pub seed: u64,
    /// True if f32 matrix products on CUDA may round their inputs to TF32 (10 bits of mantissa).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tf32: bool,
    /// True if the matrices that edits may touch are hashed after every trial, which must leave them
    /// unchanged. Not part of a run's identity.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
}

impl Execution {
    /// [`Execution::memory_mib`] in bytes.
    pub fn memory(&self) -> usize {
        self.memory_mib.0 << 20
    }
}

impl Default for Execution {
    fn default() -> Self {
        Self {
            engine: Engine::default(),
            too_long: TooLong::default(),
            unrelated_probes: 0,
            free: false,
            memory_mib: Positive(4096),
            seed: 0,
            tf32: false,
            strict: false,
        }
    }
}

/// Engine that simulates candidate edits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// One batched pass over the layers above the edits.
    #[default]
    Replay,
    /// The weights edited, a full forward pass, the weights restored: slow, and the reference.
    Reference,
}

/// Treatment of a prompt that, with its gold text, does not fit the context of the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TooLong {
    /// The run is refused before anything is measured.
    #[default]
    Refuse,
    /// The least similar demonstrations are left out until it fits; reported as a deviation.
    FewerDemonstrations,
}

impl Config {
    /// Rejects methods whose edits do not change the weights, for uses that keep edits.
    pub(crate) fn check_edits_stand(&self) -> Result<(), String> {
        if let Some(method) = self.methods.iter().find(|method| method.kind().is_prompt()) {
            return Err(format!(
                "`{}` changes no weights, and here edits stand while other prompts are read; remove it",
                method.label()
            ));
        }
        let last = |method: &&MethodConfig| matches!(method, MethodConfig::Kn(kn) if kn.positions == DoubledPositions::Last);
        self.methods.iter().find(last).map_or(Ok(()), |method| {
            Err(format!(
                "`{}` doubles an activation at the last position only, and here edits stand while more text \
                 is read; set positions = \"all\"",
                method.label()
            ))
        })
    }

    /// Reads and checks a config file.
    ///
    /// # Errors
    /// If the file cannot be read, or something in it is wrong; the line is shown.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&Self::text(path)?)
            .map_err(|message| InputError::new(format!("{}: {message}", path.display())))
    }

    /// The file at `path`.
    pub(crate) fn text(path: &Path) -> Result<String> {
        std::fs::read_to_string(path).map_err(|error| {
            InputError::new(format!("{}: cannot be read ({error})", path.display()))
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        Self::checked(toml::from_str(text))
    }

    fn checked(read: Result<Self, toml::de::Error>) -> Result<Self, String> {
        let config = read.map_err(|error| explain(&error))?;
        config.check()?;
        Ok(config)
    }

    /// Reads a table of a model and methods that is not an experiment.
    ///
    /// # Errors
    /// If something in it is wrong.
    pub(crate) fn of_methods(table: toml::Table) -> Result<Self, String> {
        let config: Self = table.try_into().map_err(|error| explain(&error))?;
        config.check_methods()?;
        Ok(config)
    }

    /// True if some method attributes on prompts that are parallel to that of the error.
    pub fn needs_parallel_prompts(&self) -> bool {
        self.methods.iter().any(|method| method.kind().needs_parallel_prompts())
    }

    /// Returns whether a sentence encoder finds demonstrations or parallel prompts.
    pub fn needs_encoder(&self) -> bool {
        let demonstrates = self.probing.is_none() && self.retrieval.demonstrations > 0;
        demonstrates || self.needs_parallel_prompts()
    }

    /// The labels of all methods, in the order of the tables.
    pub fn labels(&self) -> impl Iterator<Item = &String> + Clone {
        self.methods.iter().map(MethodConfig::label)
    }

    /// The labels of the methods of one kind.
    pub(crate) fn labels_of(&self, kind: MethodKind) -> impl Iterator<Item = &String> {
        self.methods.iter().filter(move |method| method.kind() == kind).map(MethodConfig::label)
    }

    /// Leaves only the methods called `labels`.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn keep_only(&mut self, labels: &[String]) -> Result<(), String> {
        if let Some(missing) = labels.iter().find(|label| !self.labels().any(|own| own == *label)) {
            let own: Vec<String> = self.labels().map(|label| format!("`{label}`")).collect();
            return Err(format!(
                "no method is called `{missing}`; the methods are {}",
                own.join(", ")
            ));
        }
        self.methods.retain(|method| labels.contains(method.label()));
        Ok(())
    }

    /// Rejects contradictions between keys.
    pub fn check(&self) -> Result<(), String> {
        if let Some((key, _)) = self.sweep.iter().find(|(_, values)| values.is_empty()) {
            return Err(format!("sweep: `{key}` has no values; give every key a list of values"));
        }
        if self.dataset.is_empty() && (self.probing.is_none() || self.needs_parallel_prompts()) {
            return Err(if self.probing.is_none() {
                "nothing to run; add a [[dataset]] entry or a [probing] table".into()
            } else {
                "[[kn]] needs parallel prompts; add a [[dataset]] entry to make them of".to_string()
            });
        }
        self.check_prompt()?;
        let names = self.dataset.iter().map(|dataset| dataset.name.to_string());
        if let Some(name) = first_duplicate(names) {
            return Err(format!("data set `{name}` is listed twice"));
        }
        let chosen = |dataset: &&DatasetConfig| {
            dataset.limit.is_some() || dataset.division != Division::default()
        };
        if let Some(dataset) = self.dataset.iter().find(chosen).filter(|_| self.probing.is_some()) {
            return Err(format!(
                "data set `{}`: limit and division have no effect with [probing], which prompts the \
                 cases of a benchmark (probing.cases, --full) and makes parallel prompts of all \
                 pairs of the retrieval division",
                dataset.name
            ));
        }
        self.check_methods()
    }

    fn check_prompt(&self) -> Result<(), String> {
        if self.prompt.chat && self.probing.is_some() {
            return Err(
                "prompt.chat has no effect with [probing], whose prompts are code to go on with"
                    .into(),
            );
        }
        let hints = |method: &&MethodConfig| method.kind().is_prompt();
        if let Some(method) = self.methods.iter().find(hints).filter(|_| self.prompt.chat) {
            return Err(format!(
                "`{}` puts plain text before a prompt, and with prompt.chat prompts are conversations; remove \
                 the one or the other",
                method.label()
            ));
        }
        if self.prompt.system.is_some() && !self.prompt.chat {
            return Err("prompt.system needs prompt.chat = true".into());
        }
        Ok(())
    }

    /// Rejects contradictions between the keys of the methods.
    pub(crate) fn check_methods(&self) -> Result<(), String> {
        self.methods.iter().try_for_each(MethodConfig::check)?;
        let labels = std::iter::once(&self.model.label).chain(self.labels()).cloned();
        if let Some(label) =
            labels.clone().find(|label| label.trim().is_empty() || label.contains('\n'))
        {
            return Err(format!("label {label:?} must be a single line that is not blank"));
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
    let is_study = ["`chains`", "`sequence`"]
        .iter()
        .any(|key| error.message().starts_with(&format!("unknown field {key}")));
    let study = if is_study { "\nthis is a study; `ment study` runs it" } else { "" };
    format!("{}{}{study}", text.trim_end(), suggestion.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{Config, MentConfig, MethodConfig, MethodKind};

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
        assert_eq!(config.methods, [MethodConfig::Ment(MentConfig::default())]);
        assert_eq!(config.retrieval.demonstrations, 3);
        assert_eq!(config.dataset[0].query.0, "# {input}\n");
    }

    /// The default is the setting that the calibration chose, by its label there.
    #[test]
    fn the_default_is_the_setting_paper_of_the_calibration() {
        let calibration = include_str!("../../../configs/calibration.toml");
        let methods = Config::parse(calibration).unwrap().methods;
        let chosen = methods.iter().find(|method| method.label() == "1, once").unwrap();
        let renamed = MentConfig { label: "1, once".into(), ..MentConfig::default() };
        assert_eq!(*chosen, MethodConfig::Ment(renamed));
    }

    /// Every kind is read from its key, written to it, and has a row.
    #[test]
    fn every_kind_of_method_is_listed() {
        let kinds = MethodKind::ALL.into_iter().filter(|&kind| kind != MethodKind::Ment);
        let others: String = kinds.map(|kind| format!("[[{}]]\n", kind.key())).collect();
        let config = Config::parse(&format!("{MINIMAL}{others}")).unwrap();
        let value = serde_json::to_value(&config).unwrap();
        let kinds: Vec<&str> = value
            .as_object()
            .unwrap()
            .iter()
            .filter(|(key, value)| value.is_array() && *key != "dataset")
            .map(|(key, _)| key.as_str())
            .collect();
        assert_eq!(kinds, MethodKind::ALL.map(MethodKind::key));
        let found: Vec<MethodKind> = config.methods.iter().map(MethodConfig::kind).collect();
        assert_eq!(found, MethodKind::ALL);
        assert_eq!(serde_json::from_value::<Config>(value).unwrap(), config);
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
            ("no_name_of_a_data_set", "[[dataset]]\nname = \"CoNaLa v1\"\nfrom = \"x\"\n"),
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
