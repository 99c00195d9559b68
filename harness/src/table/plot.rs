//! Pictures: drawn as SVG, and rendered from it as PNG with a font of the program's own, so that
//! every machine writes the same pixels.

use crate::system::files;
use anyhow::{Context, Result};
use plotters::coord::Shift;
use plotters::prelude::*;
use resvg::{tiny_skia, usvg};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A surface to draw on.
pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Result of drawing.
pub(crate) type Drawn = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Pixels of the PNG for each unit of the SVG.
const SCALE: f32 = 2.0;

/// Folder of the pictures of a run.
pub(crate) const FIGURES: &str = "figures";

/// Draws a picture of `size` and writes it as `name.svg` and `name.png` into the folder [`FIGURES`] of `run`;
/// the files.
///
/// # Errors
/// If it cannot be drawn, or a file not be written.
pub(crate) fn write(
    run: &Path,
    name: &str,
    size: (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> Drawn,
) -> Result<Vec<PathBuf>> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let drawn = area.fill(&WHITE).map_err(Into::into).and_then(|()| draw(&area));
        let drawn = drawn.and_then(|()| Ok(area.present()?));
        drawn.map_err(|error| anyhow::anyhow!("{name}: cannot be drawn ({error})"))?;
    }
    save(run, name, &svg)
}

/// Writes the picture `svg` as `name.svg` and `name.png` into the folder [`FIGURES`] of `run`; the files.
///
/// # Errors
/// If it cannot be rendered, or a file not be written.
pub(crate) fn save(run: &Path, name: &str, svg: &str) -> Result<Vec<PathBuf>> {
    let png = png(svg).with_context(|| format!("{name}: cannot be rendered"))?;
    [("svg", svg.as_bytes().to_vec()), ("png", png)]
        .into_iter()
        .map(|(form, bytes)| files::write_part(run, FIGURES, &format!("{name}.{form}"), bytes))
        .collect()
}

fn png(svg: &str) -> Result<Vec<u8>> {
    let mut fonts = usvg::fontdb::Database::new();
    fonts.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
    let family = fonts.faces().next().and_then(|face| face.families.first().cloned());
    fonts.set_sans_serif_family(family.context("the font has a name")?.0);
    let options = usvg::Options { fontdb: Arc::new(fonts), ..usvg::Options::default() };
    let tree = usvg::Tree::from_str(svg, &options)?;
    let (width, height) = (tree.size().width() * SCALE, tree.size().height() * SCALE);
    let mut pixels =
        tiny_skia::Pixmap::new(width as u32, height as u32).context("a picture has a size")?;
    let scale = tiny_skia::Transform::from_scale(SCALE, SCALE);
    resvg::render(&tree, scale, &mut pixels.as_mut());
    encode(&pixels)
}

/// The pixels, which are opaque, as PNG: in shades of grey where there is nothing else, a quarter of the
/// bytes.
fn encode(pixels: &tiny_skia::Pixmap) -> Result<Vec<u8>> {
    let colours = || pixels.pixels().iter().map(|pixel| [pixel.red(), pixel.green(), pixel.blue()]);
    let grey = colours().all(|[red, green, blue]| red == green && green == blue);
    let (colour, data): (png::ColorType, Vec<u8>) = if grey {
        (png::ColorType::Grayscale, colours().map(|[shade, ..]| shade).collect())
    } else {
        (png::ColorType::Rgb, colours().flatten().collect())
    };
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, pixels.width(), pixels.height());
    encoder.set_color(colour);
    encoder.set_compression(png::Compression::Best);
    encoder.write_header()?.write_image_data(&data)?;
    Ok(bytes)
}
