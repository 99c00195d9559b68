//! Tables that have a picture, and their pictures.

pub(crate) mod comparison;
pub(crate) mod figure6;
pub(crate) mod forced_and_free;
pub(crate) mod gain_by_place;
pub(crate) mod layers;
mod panels;
pub(crate) mod phases;
pub(crate) mod skipped_by_rank;
pub(crate) mod time_by_length;
pub(crate) mod tradeoff;
