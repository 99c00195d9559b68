//! Mistral: Llama, every layer with a window, if it has one. After `transformers`' `modeling_mistral.py`.

use super::llama::{Variant, slide_all};
use crate::model::blueprint::Blueprint;
use crate::model::settings::Settings;

pub(super) fn read(settings: &Settings<'_>) -> Result<Blueprint, String> {
    let mut blueprint = Variant::new("mistral", settings)?.blueprint(settings)?;
    slide_all(&mut blueprint, settings)?;
    Ok(blueprint)
}
