//! A text on the command line: itself, or `@FILE` for what a file holds.

use crate::error::InputError;
use crate::own_model::patch::read;
use anyhow::Result;
use std::path::Path;

/// Text that `given` means: `@FILE` is the content of the file, without byte-order mark and without
/// its last line end; `@@` at the beginning stands for one `@`; anything else is a text.
///
/// # Errors
/// If the file cannot be read, or is no text.
pub(super) fn text(given: &str) -> Result<String> {
    let Some(rest) = given.strip_prefix('@') else {
        if Path::new(given).is_file() {
            tracing::warn!("{given:?} is taken as a text; @{given} reads the file of that name");
        }
        return Ok(given.to_string());
    };
    if rest.starts_with('@') {
        return Ok(rest.to_string());
    }
    let text = read(Path::new(rest)).map_err(|error| {
        InputError::new(format!("{error}; to give a text that begins with @, write @@"))
    })?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_string())
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn a_file_is_named_by_an_at_sign_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("prompt.txt");
        std::fs::write(&file, "\u{feff}a\nb\r\n").unwrap();
        let name = file.to_str().unwrap();
        assert_eq!(text(&format!("@{name}")).unwrap(), "a\nb");
        assert_eq!(text(name).unwrap(), name);
        assert_eq!(text("@@property").unwrap(), "@property");
        assert_eq!(text("a@b").unwrap(), "a@b");
        let error = text("@nowhere.txt").unwrap_err().to_string();
        assert!(error.contains("nowhere.txt: cannot be read"), "{error}");
        assert!(error.contains("begins with @, write @@"), "{error}");
    }
}
