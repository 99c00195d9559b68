//! Pictures of the cases: the chain before beside the chain after.

use super::markdown::what_was_done;
use super::{Chain, ChainCase, Edited, Extent, Whole};
use crate::own_model::token_diff::{Fate, Piece, token_diff};
use crate::report::page;
use crate::table::plot;
use anyhow::Result;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const LINE: usize = 21;
const TOP: usize = 92;
/// Width of a letter, in pixels, rather too large than too small.
const LETTER: usize = 9;
const LEFT: usize = 16;

/// Writes a picture of every case that the first MENT of the config edited, `case-NAME.EXTENT.svg` and
/// `.png`, one for each extent that gave another chain; the files.
pub(super) fn write(whole: &Whole<'_>, folder: &Path) -> Result<Vec<PathBuf>> {
    let first = whole.manifest.identity.first_ment();
    let rows: Vec<(String, Extent)> =
        whole.rows().into_iter().filter(|(method, _)| Some(method) == first.as_ref()).collect();
    let mut files = Vec::new();
    for case in &whole.chains.case {
        let mut drawn: Vec<&Chain> = Vec::new();
        for row in &rows {
            let chain = whole.edited(row, &case.name).and_then(|edited| edited.chain.as_ref());
            let (Some(after), Some(before)) = (chain, whole.before(&case.question)) else {
                continue;
            };
            if drawn.contains(&after) {
                continue;
            }
            drawn.push(after);
            let edited = whole.edited(row, &case.name).expect("it has a chain");
            let name = format!("case-{}.{}", case.name, row.1.label().replace(' ', "-"));
            files.extend(plot::save(folder, &name, &picture(case, row, edited, [before, after]))?);
        }
    }
    Ok(files)
}

fn picture(
    case: &ChainCase,
    row: &(String, Extent),
    edited: &Edited,
    [before, after]: [&Chain; 2],
) -> String {
    let pieces = token_diff(&before.tokens, &after.tokens);
    let sides = [lines(&pieces, Fate::New), lines(&pieces, Fate::Replaced)];
    let done = what_was_done(edited).replace('→', "to"); // the font of PNG files has no arrow
    let heads =
        [format!("{}: {}", case.library, case.question), format!("{}: {done}", Whole::label(row))];
    let longest = |lines: &[Vec<(Fate, String)>]| {
        let length =
            |line: &Vec<(Fate, String)>| line.iter().map(|(_, text)| text.chars().count()).sum();
        lines.iter().map(length).max().unwrap_or(0).max(28) * LETTER
    };
    let widths = sides.each_ref().map(|lines| longest(lines));
    let head = heads.iter().map(|head| head.chars().count() * 8).max().unwrap_or(0);
    let width = (widths[0] + widths[1] + 3 * LEFT).max(head + 2 * LEFT);
    let height = TOP + LINE * sides.each_ref().map(Vec::len).into_iter().max().unwrap_or(0) + 10;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    let mut text = |x: usize, y: usize, style: &str, content: &str| {
        let _ = writeln!(
            out,
            "<text x=\"{x}\" y=\"{y}\" {style} xml:space=\"preserve\">{content}</text>"
        );
    };
    let plain = "font-family=\"sans-serif\" font-size=\"15\" fill=\"#222\"";
    text(LEFT, 24, plain, &escape(&heads[0]));
    text(LEFT, 46, &plain.replace("15", "13"), &escape(&heads[1]));
    let mono = "font-family=\"monospace, sans-serif\" font-size=\"14\"";
    for (side, (lines, title)) in sides.iter().zip(["before", "after"]).enumerate() {
        let x = LEFT + side * (widths[0] + LEFT);
        text(x, 72, &plain.replace("#222", "#777"), title);
        for (place, line) in lines.iter().enumerate() {
            let spans: String = line
                .iter()
                .map(|(fate, text)| format!("<tspan {}>{}</tspan>", style(*fate), escape(text)))
                .collect();
            text(x, TOP + 4 + LINE * place, mono, &spans);
        }
    }
    out + "</svg>\n"
}

/// `text` as SVG, which knows no control characters.
fn escape(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    page::escape(&text)
}

fn style(fate: Fate) -> &'static str {
    match fate {
        Fate::Replaced => "fill=\"#c00000\" text-decoration=\"line-through\"",
        Fate::New => "fill=\"#0040d0\" font-weight=\"bold\"",
        Fate::Unchanged => "fill=\"#a85800\"",
    }
}

/// Text of the pieces, except those of the fate `without`, line by line.
fn lines(pieces: &[Piece], without: Fate) -> Vec<Vec<(Fate, String)>> {
    let mut lines = vec![Vec::new()];
    for Piece { fate, text } in pieces.iter().filter(|piece| piece.fate != without) {
        for (place, part) in text.split('\n').enumerate() {
            if place > 0 {
                lines.push(Vec::new());
            }
            let (is_first, line) = (lines.len() == 1, lines.last_mut().expect("there is one"));
            let part = if is_first && line.is_empty() { part.trim_start() } else { part };
            if !part.is_empty() {
                line.push((*fate, part.to_string()));
            }
        }
    }
    lines
}
