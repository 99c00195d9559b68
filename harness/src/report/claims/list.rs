//! What the paper claims. A new claim is one entry.

use super::super::measured::Measure::{
    Bm, Em, Few, Lm, Nc, RelatedRank, Rouge, Skipped, Tc, UnrelatedProbability, UnrelatedRank,
};
use super::{Claim, Test};

const MENT: &str = "MENT";
const STANDARD: &str = "MENT [std.]";
const KN_1: &str = "KN (step=1)";
const KN_20: &str = "KN (step=20)";

/// Of the patching experiment (paper, IV-A and IV-B).
pub(super) const PATCHING: [Claim; 13] = [
    Claim(
        "IV-A: MENT scores higher than the model",
        Test::More(MENT, Claim::MODEL, &[Em, Bm, Lm, Rouge]),
    ),
    Claim(
        "IV-A: MENT scores higher than KN (step=1)",
        Test::More(MENT, KN_1, &[Em, Bm, Lm, Rouge]),
    ),
    Claim(
        "IV-A: MENT scores higher than KN (step=20)",
        Test::More(MENT, KN_20, &[Em, Bm, Lm, Rouge]),
    ),
    Claim(
        "IV-A: KN scores higher with 20 steps than with 1",
        Test::More(KN_20, KN_1, &[Em, Bm, Lm, Rouge]),
    ),
    Claim("IV-B: MENT costs fewer neurons than KN (step=1)", Test::Less(MENT, KN_1, &[Nc])),
    Claim("IV-B: MENT costs fewer neurons than KN (step=20)", Test::Less(MENT, KN_20, &[Nc])),
    Claim("IV-B: MENT skips fewer errors than KN (step=1)", Test::Less(MENT, KN_1, &[Skipped])),
    Claim("IV-B: MENT skips fewer errors than KN (step=20)", Test::Less(MENT, KN_20, &[Skipped])),
    Claim("IV-B: MENT takes less time than KN (step=1)", Test::Less(MENT, KN_1, &[Tc])),
    Claim("IV-B: MENT takes less time than KN (step=20)", Test::Less(MENT, KN_20, &[Tc])),
    Claim("IV-B: most edits of MENT patch one or two neurons", Test::Mostly(MENT, Few)),
    Claim("IV-B: KN (step=1) patches 1 to 10 neurons equally often", Test::Uniform(KN_1)),
    Claim("IV-B: KN (step=20) patches 1 to 10 neurons equally often", Test::Uniform(KN_20)),
];

/// Of the probing experiment (paper, IV-C).
pub(super) const PROBING: [Claim; 12] = [
    Claim(
        "IV-C: KN (step=1) generalizes less than MENT, by rank",
        Test::More(KN_1, STANDARD, &[RelatedRank]),
    ),
    Claim(
        "IV-C: KN (step=20) generalizes less than MENT, by rank",
        Test::More(KN_20, STANDARD, &[RelatedRank]),
    ),
    Claim(
        "IV-C: [loc.-rand] generalizes less than MENT, by rank",
        Test::More("[loc.-rand]", STANDARD, &[RelatedRank]),
    ),
    Claim(
        "IV-C: [loc.-rand] is more specific than MENT",
        Test::Less("[loc.-rand]", STANDARD, &[UnrelatedRank, UnrelatedProbability]),
    ),
    Claim(
        "IV-C: [loc.-actv] is less specific than MENT",
        Test::More("[loc.-actv]", STANDARD, &[UnrelatedRank, UnrelatedProbability]),
    ),
    Claim(
        "IV-C: [plan-score] is less specific than MENT",
        Test::More("[plan-score]", STANDARD, &[UnrelatedRank, UnrelatedProbability]),
    ),
    Claim(
        "IV-C: [est.-onehot] is more specific than MENT",
        Test::Less("[est.-onehot]", STANDARD, &[UnrelatedRank, UnrelatedProbability]),
    ),
    Claim(
        "IV-C: [est.-switch] is more specific than MENT",
        Test::Less("[est.-switch]", STANDARD, &[UnrelatedRank, UnrelatedProbability]),
    ),
    Claim(
        "IV-C: [est.-pathway] is more specific than MENT",
        Test::Less("[est.-pathway]", STANDARD, &[UnrelatedRank, UnrelatedProbability]),
    ),
    Claim(
        "IV-C: [plan-rank] is more specific than MENT",
        Test::Less("[plan-rank]", STANDARD, &[UnrelatedRank, UnrelatedProbability]),
    ),
    Claim(
        "IV-C: [est.-pathway] costs more neurons than MENT",
        Test::More("[est.-pathway]", STANDARD, &[Nc]),
    ),
    Claim(
        "IV-C: [plan-score] costs more neurons than MENT",
        Test::More("[plan-score]", STANDARD, &[Nc]),
    ),
];
