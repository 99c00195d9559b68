//! Two texts compared token by token.

use similar::{Algorithm, DiffTag, capture_diff_slices};
use std::fmt::Write as _;

/// Fate of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// They are in both texts.
    Unchanged,
    /// They are in the first text only.
    Replaced,
    /// They are in the second text only.
    New,
}

/// Neighbouring tokens of one fate, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Fate of these tokens.
    pub fate: Fate,
    /// Their text.
    pub text: String,
}

/// From the tokens `before` to the tokens `after`, in as few pieces as there are.
pub fn token_diff(before: &[String], after: &[String]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut add = |fate: Fate, tokens: &[String]| {
        let text = tokens.concat();
        match pieces.last_mut().filter(|piece| piece.fate == fate) {
            Some(piece) => piece.text += &text,
            None if text.is_empty() => {}
            None => pieces.push(Piece { fate, text }),
        }
    };
    for change in capture_diff_slices(Algorithm::Myers, before, after) {
        if change.tag() == DiffTag::Equal {
            add(Fate::Unchanged, &before[change.old_range()]);
        } else {
            add(Fate::Replaced, &before[change.old_range()]);
            add(Fate::New, &after[change.new_range()]);
        }
    }
    pieces
}

/// The pieces as text: `[-replaced-]`, `{+new+}`; or in red and blue, for a terminal.
pub fn render(pieces: &[Piece], colour: bool) -> String {
    let mut out = String::new();
    for Piece { fate, text } in pieces {
        let _ = match (fate, colour) {
            (Fate::Unchanged, _) => write!(out, "{text}"),
            (Fate::Replaced, true) => write!(out, "\u{1b}[9;31m{text}\u{1b}[0m"),
            (Fate::New, true) => write!(out, "\u{1b}[34m{text}\u{1b}[0m"),
            (Fate::Replaced, false) => write!(out, "[-{text}-]"),
            (Fate::New, false) => write!(out, "{{+{text}+}}"),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Fate, render, token_diff};
    use proptest::prelude::*;

    fn tokens(text: &str) -> Vec<String> {
        text.split_inclusive(' ').map(Into::into).collect()
    }

    #[test]
    fn replaced_new_and_unchanged_tokens() {
        let pieces = token_diff(
            &tokens("import manhattan from scipy"),
            &tokens("import city block from scipy"),
        );
        assert_eq!(render(&pieces, false), "import [-manhattan -]{+city block +}from scipy");
    }

    proptest! {
        #[test]
        fn both_texts_are_whole(before in "[ab ]{0,20}", after in "[ab ]{0,20}") {
            let pieces = token_diff(&tokens(&before), &tokens(&after));
            let without = |fate: Fate| -> String {
                pieces.iter().filter(|p| p.fate != fate).map(|p| p.text.as_str()).collect()
            };
            prop_assert_eq!(without(Fate::New), before);
            prop_assert_eq!(without(Fate::Replaced), after);
        }
    }
}
