//! Free generation after a patch's prompt alone: the test of a patch from outside, since the repair itself
//! works on prompt and target together.

use super::repair::Task;
use crate::edit::Edit;
use crate::model::Loaded;
use crate::own_model::generate::{GenerateSettings, Sampling, Stops, generate};
use anyhow::Result;
use serde::Serialize;

/// Tokens written beyond the target.
const BEYOND: usize = 8;

/// A text that was written greedily after the prompt of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Free {
    /// The text, a few tokens longer than the target.
    pub text: String,
    /// True where it begins with the target.
    pub says_target: bool,
    /// The word that the end of the target begins, if the model continues within it.
    pub longer_word: Option<String>,
}

/// Generates greedily after the prompt of `task` under `edit`.
///
/// # Errors
/// If the prompt does not fit the model, or the user stops.
pub fn write(loaded: &Loaded, task: &Task, edit: &Edit) -> Result<Free> {
    let settings = GenerateSettings {
        tokens: task.ids.gold.len() + BEYOND,
        sampling: Sampling::GREEDY,
        stops: Stops::default(),
    };
    let prompt = task.ids.prompt.clone();
    let text = generate(loaded, &prompt, edit, &settings, |_| {})?.text;
    // As the tokens read, which a tokenizer may have normalised.
    let target = loaded.tokenizer.continuation(&task.ids.prompt, &task.ids.gold)?;
    let says_target = text.starts_with(&target);
    let longer_word = longer_word(&text, &target);
    Ok(Free { text, says_target, longer_word })
}

/// The word in `text` that goes on where `target`, with which it begins, ends.
fn longer_word(text: &str, target: &str) -> Option<String> {
    let of_word = |c: char| c.is_alphanumeric() || c == '_';
    let rest = text.strip_prefix(target)?;
    if !(target.ends_with(of_word) && rest.starts_with(of_word)) {
        return None;
    }
    let begun = target.len() - target.trim_end_matches(of_word).len();
    let more = rest.len() - rest.trim_start_matches(of_word).len();
    Some(text[target.len() - begun..target.len() + more].to_string())
}

#[cfg(test)]
mod tests {
    use super::longer_word;

    #[test]
    fn a_target_may_end_within_a_word() {
        let longer = |text, target| longer_word(text, target);
        assert_eq!(longer("abc.MappingEntry(", "abc.Mapping"), Some("MappingEntry".into()));
        assert_eq!(longer("abc.Mapping(x", "abc.Mapping"), None);
        assert_eq!(longer("abc.Mapping(x", "abc.Mapping("), None);
        assert_eq!(longer("abc.Mapping", "abc.Mapping"), None);
        assert_eq!(longer("other", "abc.Mapping"), None);
        assert_eq!(longer("äöü", "äö"), Some("äöü".into()));
    }
}
