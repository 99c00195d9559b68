//! A sample with a pair of tokens, as ids.

use crate::data::benchmark::Subtype;
use crate::error::InputError;
use crate::model::Loaded;
use crate::model::tokenizer::Tokenizer;
use anyhow::Result;

/// A prompt, and the two tokens that compete after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Ids of the prompt.
    pub prompt: Vec<u32>,
    /// First token of the argmax symbol that the target symbol does not share.
    pub argmax: u32,
    /// First token of the target symbol that the argmax symbol does not share.
    pub target: u32,
}

impl Case {
    /// The prompt `text` before the symbols `argmax` and `target`, one of which follows. What both
    /// begin with is part of the prompt, which ends before the first token that differs: a symbol of
    /// several tokens (`to_json`, `to_csv`) is edited where it is decided. Text and symbol are
    /// tokenized together, as the model would meet them. `None` where one symbol begins with the
    /// other, for this tokenizer.
    pub fn new(
        tokenizer: &Tokenizer,
        text: &str,
        argmax: &str,
        target: &str,
    ) -> Result<Option<Self>> {
        let mut prompt = tokenizer.encode(&format!("{text}{argmax}"))?;
        let other = tokenizer.encode(&format!("{text}{target}"))?;
        let shared = prompt.iter().zip(&other).take_while(|(a, b)| a == b).count();
        let (Some(&argmax), Some(&target)) = (prompt.get(shared), other.get(shared)) else {
            return Ok(None);
        };
        prompt.truncate(shared);
        Ok(Some(Self { prompt, argmax, target }))
    }

    /// The sample of `subtype` whose code up to the symbol is `text`, with `target`.
    ///
    /// # Errors
    /// If no token decides between the two symbols, or the prompt does not fit the model.
    pub(super) fn of(subtype: &Subtype, target: &str, text: &str, loaded: &Loaded) -> Result<Self> {
        let (name, argmax) = (&subtype.name, &subtype.argmax);
        let case = Self::new(&loaded.tokenizer, text, argmax, target)?.ok_or_else(|| {
            InputError::new(format!(
                "{name}: for this tokenizer one of {argmax:?} and {target:?} begins with the other, so \
                 that no token decides between them; take another target"
            ))
        })?;
        let (tokens, context) = (case.prompt.len(), loaded.model.spec().context);
        if tokens == 0 || tokens > context {
            return Err(InputError::new(format!(
                "{name}: a prompt of {tokens} tokens, where the model's context holds 1 to {context}"
            )));
        }
        Ok(case)
    }
}

#[cfg(test)]
mod tests {
    use super::Case;
    use crate::config::ProbingConfig;
    use crate::data::benchmark::{Benchmark, Place};
    use crate::model::tokenizer::Tokenizer;
    use serde::Deserialize;
    use std::path::Path;

    /// A line of a golden of `scripts/goldens/codegen_tokenizer`.
    #[derive(Deserialize)]
    struct Golden(String, usize, String, usize, u32, u32);

    /// All 450 cases of both versions of the benchmark, as `transformers` tokenizes them for CodeGen.
    #[test]
    fn codegens_tokens_decide_where_transformers_finds_them() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let folder = root.join("scripts/goldens/codegen_tokenizer");
        let tokenizer = Tokenizer::load(&folder).unwrap();
        for (version, file) in [("gs450", "cases.json"), ("gs450-2", "cases-2.json")] {
            let goldens = std::fs::read(folder.join(file)).unwrap();
            let goldens: Vec<Golden> = serde_json::from_slice(&goldens).unwrap();
            let benchmark = Benchmark::load(&root.join("benchmark").join(version)).unwrap();
            assert_eq!(goldens.len(), benchmark.cases());
            let settings = ProbingConfig::new(version.into());
            for Golden(name, sample, target, tokens, argmax_id, target_id) in goldens {
                let subtype = benchmark.subtypes.iter().position(|s| s.name == name).unwrap();
                let place = Place { subtype, sample: sample - 1 };
                let text = super::super::text(&benchmark, place, &settings);
                let argmax = &benchmark.subtypes[subtype].argmax;
                let case = Case::new(&tokenizer, &text, argmax, &target).unwrap().unwrap();
                let found = (case.prompt.len(), case.argmax, case.target);
                let wanted = (tokens, argmax_id, target_id);
                assert_eq!(found, wanted, "{version}: {name} {sample} {target:?}");
            }
        }
    }
}
