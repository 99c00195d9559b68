//! Claims of the paper that can be tested. A new claim is one entry.

use crate::report::claims::Claim;
use crate::report::claims::Test::{Less, More, Mostly, Uniform};
use crate::report::measures::measured::Measure::{
    self, Few, Nc, RelatedProbability, RelatedRank, Score, Skipped, Tc, UnrelatedProbability,
    UnrelatedRank,
};

const MODEL: &str = Claim::MODEL;
pub(super) const MENT: &str = "MENT";
const STD: &str = "MENT [std.]";
const KN_1: &str = "KN (step=1)";
const KN_20: &str = "KN (step=20)";
const ACTV: &str = "[loc.-actv]";
const RAND: &str = "[loc.-rand]";
const ONEHOT: &str = "[est.-onehot]";
const SWITCH: &str = "[est.-switch]";
const PATHWAY: &str = "[est.-pathway]";
const RANK: &str = "[plan-rank]";
const SCORE: &str = "[plan-score]";

const SCORES: &[Measure] = &[Score("EM"), Score("BM"), Score("LM"), Score("ROUGE")];
pub(super) const HARM: &[Measure] = &[UnrelatedRank, UnrelatedProbability];

/// Claims of the patching experiment (paper, IV-A and IV-B).
pub(crate) const PATCHING: &[Claim] = &[
    Claim("IV-A: MENT scores higher than the model", More(MENT, MODEL, SCORES)),
    Claim("IV-A: MENT scores higher than KN (step=1)", More(MENT, KN_1, SCORES)),
    Claim("IV-A: MENT scores higher than KN (step=20)", More(MENT, KN_20, SCORES)),
    Claim("IV-A: KN scores higher with 20 steps than with 1", More(KN_20, KN_1, SCORES)),
    Claim("IV-B: MENT costs fewer neurons than KN (step=1)", Less(MENT, KN_1, &[Nc])),
    Claim("IV-B: MENT costs fewer neurons than KN (step=20)", Less(MENT, KN_20, &[Nc])),
    Claim("IV-B: MENT skips fewer errors than KN (step=1)", Less(MENT, KN_1, &[Skipped])),
    Claim("IV-B: MENT skips fewer errors than KN (step=20)", Less(MENT, KN_20, &[Skipped])),
    Claim("IV-B: KN (step=1) skips most errors", Mostly(KN_1, Skipped)),
    Claim("IV-B: KN (step=20) skips most errors", Mostly(KN_20, Skipped)),
    Claim("IV-B: MENT takes less time than KN (step=1)", Less(MENT, KN_1, &[Tc])),
    Claim("IV-B: MENT takes less time than KN (step=20)", Less(MENT, KN_20, &[Tc])),
    Claim("IV-B: most edits of MENT patch one or two neurons", Mostly(MENT, Few)),
    Claim("IV-B: KN (step=1) patches 1 to 10 neurons equally often", Uniform(KN_1)),
    Claim("IV-B: KN (step=20) patches 1 to 10 neurons equally often", Uniform(KN_20)),
];

/// Claims of the probing experiment (paper, IV-C).
pub(crate) const PROBING: &[Claim] = &[
    Claim("IV-C: KN (step=1) generalizes less, by rank", More(KN_1, STD, &[RelatedRank])),
    Claim("IV-C: KN (step=20) generalizes less, by rank", More(KN_20, STD, &[RelatedRank])),
    Claim("IV-C: [loc.-rand] generalizes less, by rank", More(RAND, STD, &[RelatedRank])),
    Claim("IV-C: [loc.-actv] generalizes more, by rank", Less(ACTV, STD, &[RelatedRank])),
    Claim("IV-C: [est.-switch] generalizes more, by rank", Less(SWITCH, STD, &[RelatedRank])),
    Claim("IV-C: [plan-rank] generalizes more, by rank", Less(RANK, STD, &[RelatedRank])),
    Claim("IV-C: [plan-score] generalizes more, by rank", Less(SCORE, STD, &[RelatedRank])),
    Claim(
        "IV-C: [loc.-rand] generalizes more, by probability",
        Less(RAND, STD, &[RelatedProbability]),
    ),
    Claim(
        "IV-C: [est.-pathway] generalizes more, by probability",
        Less(PATHWAY, STD, &[RelatedProbability]),
    ),
    Claim(
        "IV-C: [plan-rank] generalizes more, by probability",
        Less(RANK, STD, &[RelatedProbability]),
    ),
    Claim("IV-C: KN (step=1) is more specific", Less(KN_1, STD, HARM)),
    Claim("IV-C: KN (step=20) is more specific", Less(KN_20, STD, HARM)),
    Claim("IV-C: [loc.-rand] is more specific", Less(RAND, STD, HARM)),
    Claim("IV-C: [est.-onehot] is more specific", Less(ONEHOT, STD, HARM)),
    Claim("IV-C: [est.-switch] is more specific", Less(SWITCH, STD, HARM)),
    Claim("IV-C: [est.-pathway] is more specific", Less(PATHWAY, STD, HARM)),
    Claim("IV-C: [plan-rank] is more specific", Less(RANK, STD, HARM)),
    Claim("IV-C: [loc.-actv] is less specific", More(ACTV, STD, HARM)),
    Claim("IV-C: [plan-score] is less specific", More(SCORE, STD, HARM)),
    Claim("IV-C: [est.-switch] costs fewer neurons", Less(SWITCH, STD, &[Nc])),
    Claim("IV-C: [plan-rank] costs fewer neurons", Less(RANK, STD, &[Nc])),
    Claim("IV-C: [est.-pathway] costs more neurons", More(PATHWAY, STD, &[Nc])),
    Claim("IV-C: [plan-score] costs more neurons", More(SCORE, STD, &[Nc])),
];
