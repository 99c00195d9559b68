//! Table III of what the model writes by itself.

use crate::report::measures::free::FreeTexts;
use crate::report::tables::table3;
use crate::table::Table;
use anyhow::Result;

/// The scores of free texts, in the form of Table III.
///
/// # Errors
/// If the frame lacks a column.
pub(crate) fn build(texts: &FreeTexts) -> Result<Table> {
    let mut table = table3::build(&texts.scores, &texts.order)?;
    table.name = "table3_free";
    table.title = "Table III, written freely: the edits of a datum together, the model writing the answer by itself.".into();
    table.notes.push(
        "greedy, after the prompt alone, until the text that separates demonstrations, an end of sequence, or twice \
         the gold's tokens and 32; scored against the whole gold"
            .into(),
    );
    Ok(table)
}
