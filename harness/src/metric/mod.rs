//! The effectiveness measures of RQ1 (section III-E): predictions in, numbers out.
//!
//! EM, BM and LM compare the model's own tokens; BLEU and ROUGE-L compare text, tokenised by
//! [`tokenize`]. EM, BM, LM and ROUGE-L are averages over the data; BLEU is a corpus measure, its
//! n-gram counts summed over the data before anything is divided.

mod bleu;
mod list;
mod rouge;
mod token_match;
mod tokenize;

pub use bleu::{BleuCounts, bleu};
pub use list::{Kind, METRICS, Metric, Scored};
pub use rouge::{rouge_l, rouge_l_of_tokens};
pub use token_match::{broad_match, exact_match, longest_match};
pub use tokenize::tokenize;
