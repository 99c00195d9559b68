//! Demonstrations: the retrieval pairs whose inputs are nearest in meaning to a query.

mod cache;
mod minilm;

pub use self::minilm::MiniLm;
pub(crate) use self::minilm::{check, checksum};

use anyhow::Result;
use std::path::Path;
use tch::{Kind, Tensor};

/// Queries compared in one matrix product; bounds the score matrix for large corpora.
const CHUNK: usize = 512;

/// Number of neighbours that are requested beyond those wanted, because copies of a pair must not stand for
/// it: official data sets hold some pairs several times.
pub const COPIES: usize = 8;

/// Unit-length embeddings `[N, width]` of `texts`, read from `cache` where they were computed
/// before (keyed by the content of encoder and texts). `progress` receives the number of texts done.
pub fn embed(
    encoder: &MiniLm,
    texts: &[&str],
    cache: &Path,
    progress: &dyn Fn(u64) -> Result<()>,
) -> Result<Tensor> {
    cache::get_or(cache, &encoder.sha256, texts, || encoder.embed(texts, progress))
}

/// For each query `[Q, width]` the indices of its `k` nearest rows of `corpus` `[N, width]`,
/// nearest first, by exact cosine (the rows have unit length). `excluded[q]` is a row that query
/// q must not get: itself, when the queries are part of the corpus.
pub fn nearest(
    queries: &Tensor,
    corpus: &Tensor,
    k: usize,
    excluded: &[Option<usize>],
) -> Result<Vec<Vec<usize>>> {
    let rows = queries.size()[0] as usize;
    let k = k.min(corpus.size()[0] as usize);
    let mut nearest = Vec::with_capacity(rows);
    for start in (0..rows).step_by(CHUNK) {
        let count = CHUNK.min(rows - start);
        let chunk = queries.narrow(0, start as i64, count as i64);
        let scores = chunk.matmul(&corpus.tr());
        for (row, excluded) in excluded[start..start + count].iter().enumerate() {
            if let Some(column) = excluded {
                let _ = scores.get(row as i64).get(*column as i64).fill_(f64::NEG_INFINITY);
            }
        }
        let (_, indices) = scores.topk(k as i64, 1, true, true);
        let flat = Vec::<i64>::try_from(indices.to_kind(Kind::Int64).flatten(0, -1))?;
        let found = flat.chunks(k.max(1)).zip(&excluded[start..start + count]);
        nearest.extend(found.map(|(row, excluded)| -> Vec<usize> {
            // A small corpus leaves fewer than k; the excluded row is then among the best, too.
            let row = row.iter().map(|&index| index as usize);
            row.filter(|&index| Some(index) != *excluded).collect()
        }));
    }
    Ok(nearest)
}

#[cfg(test)]
mod tests {
    use super::nearest;
    use tch::Tensor;

    fn rows(rows: &[[f32; 2]]) -> Tensor {
        Tensor::from_slice(rows.as_flattened()).view([rows.len() as i64, 2])
    }

    #[test]
    fn the_nearest_come_first_and_the_excluded_never() {
        let corpus = rows(&[[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]]);
        let queries = rows(&[[1.0, 0.0], [0.0, 1.0]]);
        assert_eq!(nearest(&queries, &corpus, 2, &[None, None]).unwrap(), [[0, 2], [1, 2]]);
        // Also where the corpus has no more than was asked for.
        let without = nearest(&queries, &corpus, 3, &[Some(0), None]).unwrap();
        assert_eq!(without, [vec![2, 1], vec![1, 2, 0]]);
    }
}
