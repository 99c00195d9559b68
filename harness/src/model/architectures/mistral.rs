//! Mistral: Llama, every layer with a window, if it has one. After `transformers`' `modeling_mistral.py`.

use super::llama::{Variant, slide};
use crate::model::blueprint::Blueprint;
use crate::model::settings::Settings;

pub(super) fn read(settings: &Settings<'_>) -> Result<Blueprint, String> {
    let mut blueprint = Variant::new("mistral", settings)?.blueprint(settings)?;
    let window = settings.size_if_any("sliding_window")?;
    slide(&mut blueprint, settings, |_| window.is_some())?;
    Ok(blueprint)
}
