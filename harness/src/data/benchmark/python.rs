//! Python 3 syntax check.

use anyhow::{Result, anyhow};
use tree_sitter::{Node, Parser};

/// The line, from 1, where `text` stops being Python; `None` where all of it is.
pub(crate) fn first_error(text: &str) -> Result<Option<usize>> {
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_python::LANGUAGE.into())?;
    let tree = parser.parse(text, None).ok_or_else(|| anyhow!("the Python parser gave up"))?;
    Ok(first(tree.root_node()))
}

fn first(node: Node<'_>) -> Option<usize> {
    // The grammar also knows the statements of Python 2.
    let old = matches!(node.kind(), "print_statement" | "exec_statement");
    if node.is_error() || node.is_missing() || old {
        return Some(node.start_position().row + 1);
    }
    node.children(&mut node.walk()).find_map(first)
}

#[cfg(test)]
mod tests {
    use super::first_error;

    #[test]
    fn says_where_python_ends() {
        for good in ["x = 1", "def f(x):\n    return x % 2\n", "while True:\n    if f(x): break"] {
            assert_eq!(first_error(good).unwrap(), None, "{good}");
        }
        for (bad, line) in
            [("x = = 1", 1), ("x = 1\ny = (2", 2), ("def f(:\n    pass", 1), ("\nprint x", 2)]
        {
            assert_eq!(first_error(bad).unwrap(), Some(line), "{bad}");
        }
    }
}
