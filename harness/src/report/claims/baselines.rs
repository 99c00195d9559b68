//! Comparisons with baselines that the paper does not have. They are of this project, in the form of its claims, so that
//! they are tested alike.

use super::list::{HARM, MENT};
use crate::report::claims::Claim;
use crate::report::claims::Test::{Less, More};
use crate::report::measures::measured::Measure::{Free, RelatedRank, Skipped, Tc};

/// The comparisons with each approach, by its label in `configs/sweeps/baselines.toml`.
macro_rules! against {
    ($($label:literal),+) => {
        /// Comparisons on the patching experiment.
        pub(super) const PATCHING: &[Claim] = &[
            $(Claim(concat!("MENT skips fewer errors than ", $label), Less(MENT, $label, &[Skipped])),)+
            $(Claim(concat!("MENT takes less time than ", $label), Less(MENT, $label, &[Tc])),)+
            $(Claim(
                concat!("under ", $label, " more is written rightly than under MENT"),
                More($label, MENT, &[Free("BM")]),
            ),)+
        ];

        /// Comparisons on probing.
        pub(super) const PROBING: &[Claim] = &[
            $(Claim(concat!("MENT skips fewer cases than ", $label), Less(MENT, $label, &[Skipped])),)+
            $(Claim(
                concat!("MENT generalizes more than ", $label, ", by rank"),
                Less(MENT, $label, &[RelatedRank]),
            ),)+
            $(Claim(concat!($label, " is more specific than MENT"), Less($label, MENT, HARM)),)+
        ];
    };
}

against!(
    "in-context",
    "FT-L",
    "LoRA",
    "ROME",
    "MEMIT",
    "AlphaEdit",
    "STAR",
    "MINT",
    "fixed neurons",
    "random neurons"
);
