//! The measures of RQ1 on texts of the data sets' size.

use criterion::{Criterion, criterion_group, criterion_main};
use ment::metric::{bleu, broad_match, longest_match, rouge_l};
use std::hint::black_box;

/// References and predictions that differ in a token or two, `count` of them.
fn pairs(count: usize) -> Vec<(String, String)> {
    (0..count)
        .map(|index| {
            let line = |name: &str| {
                format!("for (int i = 0; i < n{index}; i++) {{ {name}[i] += sum(a, {index}); }}")
            };
            (line("total"), line("count"))
        })
        .collect()
}

fn metrics(c: &mut Criterion) {
    let pairs = pairs(500);
    c.bench_function("BLEU, 500 texts", |b| b.iter(|| bleu(black_box(&pairs))));
    c.bench_function("ROUGE-L, 500 texts", |b| {
        b.iter(|| pairs.iter().map(|(r, p)| rouge_l(black_box(r), p)).sum::<f64>());
    });
    let gold: Vec<u32> = (0..200).collect();
    let predicted: Vec<u32> = gold.iter().map(|id| id + u32::from(id % 9 == 0)).collect();
    c.bench_function("BM and LM, 200 tokens", |b| {
        b.iter(|| broad_match(black_box(&gold), &predicted) + longest_match(&gold, &predicted));
    });
}

criterion_group!(benches, metrics);
criterion_main!(benches);
