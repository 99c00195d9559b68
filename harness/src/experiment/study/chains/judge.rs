//! Comparison of a chain before and after an edit, line by line.

use crate::data::benchmark::first_error;

/// A chain before and after an edit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// True if the first line, which was edited, names the right API in full.
    pub named: bool,
    /// Later lines that named the wrong API.
    pub dependent: usize,
    /// Number of those lines that name the right API now, and not the wrong one.
    pub followed: usize,
    /// Later lines that did not name it.
    pub independent: usize,
    /// Number of those lines that are unchanged.
    pub unchanged: usize,
    /// True if the code was Python before the edit.
    pub parsed: bool,
    /// True if it is Python after the edit.
    pub parses: bool,
}

/// Judges the chain `after` by the chain `before`. Lines are compared by their place, which the form of
/// the chains fixes: a line that moved did not follow, and is not unchanged.
/// `code` is the line behind which a chain is code.
pub fn judge([before, after]: [&str; 2], [wrong, right]: [&str; 2], code: &str) -> Judged {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let first = new.first().copied().unwrap_or_default();
    let mut judged = Judged {
        named: names(first, right) && !names(first, wrong),
        parsed: is_python(before, code),
        parses: is_python(after, code),
        ..Judged::default()
    };
    for (place, old) in old.iter().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty()) {
        let new = new.get(place).copied().unwrap_or_default();
        if names(old, wrong) {
            judged.dependent += 1;
            judged.followed += usize::from(names(new, right) && !names(new, wrong));
        } else {
            judged.independent += 1;
            judged.unchanged += usize::from(new == *old);
        }
    }
    judged
}

/// True if `line` holds `name` as a whole word.
pub(super) fn names(line: &str, name: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(name).any(|(start, found)| {
        !part(line[..start].chars().next_back())
            && !part(line[start + found.len()..].chars().next())
    })
}

/// True if the chain has code and it is Python.
fn is_python(chain: &str, code: &str) -> bool {
    let code = chain.split_once(&format!("\n{code}\n")).map_or("", |(_, code)| code);
    !code.trim().is_empty() && first_error(code).is_ok_and(|error| error.is_none())
}

#[cfg(test)]
mod tests {
    use super::{Judged, judge};

    const BEFORE: &str = " It is called rank.\nStep 2: The input is a.\nStep 3: rank(a).\nAnswer:\n\
                          from x import rank\na = [1]\nprint(rank(a))";

    fn judged(after: &str) -> Judged {
        judge([BEFORE, after], ["rank", "matrix_rank"], "Answer:")
    }

    #[test]
    fn a_chain_that_follows() {
        let after = BEFORE.replace("rank", "matrix_rank");
        let found = judged(&after);
        let whole = Judged {
            named: true,
            dependent: 3,
            followed: 3,
            independent: 3,
            unchanged: 3,
            parsed: true,
            parses: true,
        };
        assert_eq!(found, whole);
    }

    #[test]
    fn a_chain_that_follows_in_part_and_one_that_breaks() {
        let part = BEFORE
            .replace("called rank", "called matrix_rank")
            .replace("print(rank", "print(matrix_rank");
        let found = judged(&part);
        assert_eq!((found.named, found.followed, found.unchanged), (true, 1, 3));
        let found = judged(" It is called matrix");
        assert_eq!(
            (found.named, found.followed, found.unchanged, found.parses),
            (false, 0, 0, false)
        );
        let still = judged(BEFORE);
        assert_eq!((still.named, still.followed, still.unchanged), (false, 0, 3));
    }
}
