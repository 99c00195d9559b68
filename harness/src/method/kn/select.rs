//! Selection of the neurons that score high in most prompts.

use anyhow::Result;
use tch::{Kind, Tensor};

/// Neurons that score at least `threshold` of a prompt's highest score in at least `share` of the prompts, by
/// their mean score, highest first. `scores` are `[prompts, neurons]`. A prompt whose highest score is not
/// above zero counts for no neuron.
pub fn select(scores: &Tensor, threshold: f64, share: f64) -> Result<Vec<usize>> {
    let prompts = scores.size()[0];
    if prompts == 0 {
        return Ok(Vec::new());
    }
    let highest = scores.max_dim(1, true).0;
    let high = scores.ge_tensor(&(&highest * threshold)).logical_and(&highest.gt(0.0));
    let count = high.sum_dim_intlist([0_i64].as_slice(), false, Kind::Int64);
    // Counts are whole: three of ten prompts are a share of 0.3, whatever 0.3 · 10 rounds to.
    let least = (share * prompts as f64 - 1e-9).ceil().max(1.0);
    let kept = count.ge(least).nonzero().squeeze_dim(1);
    let means = scores.mean_dim([0_i64].as_slice(), false, Kind::Double).index_select(0, &kept);
    let order = means.sort_stable(true, 0, true).1; // of equal means the first neuron
    let chosen = Vec::<i64>::try_from(kept.index_select(0, &order))?;
    Ok(chosen.into_iter().map(|neuron| neuron as usize).collect())
}

#[cfg(test)]
mod tests {
    use super::select;
    use tch::Tensor;

    fn scores() -> Tensor {
        Tensor::from_slice2(&[
            [1.0_f32, 0.5, 0.1, 0.2, -0.4],
            [0.0, 0.5, 1.0, 0.2, 0.1],
            [0.3, 1.0, 0.9, 0.2, 0.0],
        ])
    }

    #[test]
    fn neurons_high_in_enough_prompts_by_mean_score() {
        let select = |threshold, share| select(&scores(), threshold, share).unwrap();
        assert_eq!(select(0.2, 1.0), [1, 3]);
        assert_eq!(select(0.2, 0.6), [1, 2, 0, 3]);
        assert_eq!(select(1.0, 0.1), [1, 2, 0]);
        assert_eq!(select(1.0, 1.0), [0; 0]);
    }

    #[test]
    fn a_prompt_without_a_positive_score_holds_none() {
        let none = Tensor::from_slice2(&[[-1.0_f32, -0.5], [0.0, 0.0]]);
        assert_eq!(select(&none, 0.2, 0.5).unwrap(), [0; 0]);
        assert_eq!(
            select(&Tensor::zeros([0, 4], (tch::Kind::Float, tch::Device::Cpu)), 0.2, 0.5).unwrap(),
            [0; 0]
        );
    }
}
