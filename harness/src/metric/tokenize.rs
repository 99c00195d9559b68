//! The tokenization of the text measures.

use std::collections::HashMap;
use std::sync::LazyLock;

use rust_tokenizers::tokenizer::{BaseTokenizer, Tokenizer};
use rust_tokenizers::vocab::BertVocab;

/// Splits text as BERT's basic tokenizer does: at white space, and around every punctuation mark
/// and CJK character; control characters go, case and accents stay.
///
/// No string is special: `x[UNK]` is `x`, `[`, `UNK`, `]`.
pub fn tokenize(text: &str) -> Vec<String> {
    // White space to BERT, not to the crate.
    if text.contains(LINE_BREAKS) {
        return TOKENIZER.tokenize(&text.replace(LINE_BREAKS, " "));
    }
    TOKENIZER.tokenize(text)
}

/// Unicode's line and paragraph separators.
const LINE_BREAKS: [char; 2] = ['\u{2028}', '\u{2029}'];

static TOKENIZER: LazyLock<BaseTokenizer<BertVocab>> = LazyLock::new(|| {
    // Basic tokenization uses only the special tokens of the vocabulary, to keep them
    // whole. Built by hand it has none, which `BertVocab`'s constructors do not allow.
    let vocab = BertVocab {
        values: HashMap::new(),
        indices: HashMap::new(),
        special_token_map: Default::default(),
        special_values: HashMap::new(),
        special_indices: HashMap::new(),
    };
    let (lower_case, strip_accents) = (false, false);
    BaseTokenizer::from_existing_vocab(vocab, lower_case, strip_accents)
});

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn by_hand() {
        let cases: [(&str, &[&str]); 10] = [
            ("", &[]),
            (" \t\r\n\u{2028}\u{3000}\0", &[]),
            ("df['a b'] += 1.5", &["df", "[", "'", "a", "b", "'", "]", "+", "=", "1", ".", "5"]),
            ("snake_case $x^2`", &["snake", "_", "case", "$", "x", "^", "2", "`"]),
            ("x[UNK] [CLS]y[SEP]", &["x", "[", "UNK", "]", "[", "CLS", "]", "y", "[", "SEP", "]"]),
            ("[PAD][MASK]", &["[", "PAD", "]", "[", "MASK", "]"]),
            ("Été naïve ПРИВЕТ", &["Été", "naïve", "ПРИВЕТ"]),
            ("中文a…«b»", &["中", "文", "a", "…", "«", "b", "»"]),
            ("a\u{2028}b\u{2029}c\u{a0}d", &["a", "b", "c", "d"]),
            ("a\u{0}b \u{200b} c\u{fffd}d \u{1f600}", &["ab", "cd", "\u{1f600}"]),
        ];
        for (text, tokens) in cases {
            assert_eq!(tokenize(text), tokens, "{text:?}");
        }
    }

    /// Text of every kind: any Unicode, printable ASCII, and code with the strings that tokenizers
    /// take to be special.
    pub(in crate::metric) fn text() -> impl Strategy<Value = String> {
        let fragment = prop::sample::select(vec![
            "[UNK]",
            "[CLS]",
            "[PAD]",
            "##x",
            "<skipped>",
            "<",
            "skipped",
            ">",
            "-\n",
            "-",
            "\n",
            "&quot;",
            "&amp;",
            "&",
            "quot",
            ";",
            "3.14",
            "1-2",
            "a.b,c",
            "1,000",
            "...",
            "é",
            "中",
            "\u{85}",
            "\u{a0}",
            "\u{2028}",
            "\u{2029}",
            "\u{200b}",
            "\u{feff}",
            "\u{b}",
            "\u{1c}",
            "\0",
            "\u{fffd}",
            "\u{301}",
            "x",
            "foo",
            " ",
            "\t",
            "\r\n",
            "'",
            "\"",
            "(",
            ")",
        ]);
        prop_oneof![
            any::<String>(),
            "[ -~\\n\\t]{0,60}",
            prop::collection::vec(fragment, 0..16).prop_map(|fragments| fragments.concat()),
        ]
    }

    proptest! {
        #[test]
        fn on_ascii_it_is_the_definition(text in "[\\x00-\\x7f]{0,60}|([a-c\\[\\] ]|\\[UNK\\]){0,20}") {
            let cleaned: String =
                text.chars().filter(|c| !c.is_control() || "\t\r\n".contains(*c)).collect();
            let spaced: String = cleaned
                .chars()
                .map(|c| if c.is_ascii_punctuation() { format!(" {c} ") } else { c.into() })
                .collect();
            prop_assert_eq!(tokenize(&text), spaced.split_ascii_whitespace().collect::<Vec<_>>());
        }

        #[test]
        fn again_changes_nothing(text in text()) {
            let tokens = tokenize(&text);
            prop_assert_eq!(tokenize(&tokens.join(" ")), tokens);
        }

        #[test]
        fn no_token_is_empty_or_holds_white_space(text in text()) {
            let ok = |token: &String| !token.is_empty() && !token.contains(char::is_whitespace);
            prop_assert!(tokenize(&text).iter().all(ok));
        }
    }
}
