//! P-values of tests, by the distributions of `statrs`, and their correction.

use statrs::distribution::{ChiSquared, ContinuousCDF, StudentsT};

/// The least count that is expected in a class for the chi-square distribution to serve (Cochran 1954).
const EXPECTED: f64 = 5.0;

/// Number of pairs from which on the t-test serves; below it, all signs are tried.
pub(crate) const FLIPPED: usize = 20;

/// The p-value of the mean of paired `differences` being above zero by chance, one-sided; `None` of fewer
/// than two.
pub(crate) fn above_zero(differences: &[f64]) -> Option<f64> {
    match differences.len() {
        0 | 1 => None,
        few if few < FLIPPED => Some(sign_flips(differences)),
        _ => t_test(differences),
    }
}

/// The p-value of the mean of paired `differences` being below zero by chance, one-sided.
pub(crate) fn below_zero(differences: &[f64]) -> Option<f64> {
    above_zero(&differences.iter().map(|difference| -difference).collect::<Vec<_>>())
}

/// Exact sign-flip test (Fisher's randomisation test of pairs): the share of the 2ⁿ choices of signs whose
/// sum is at least that of `differences`. Assumes no distribution, only that a difference is as likely to
/// have either sign if there is no effect.
fn sign_flips(differences: &[f64]) -> f64 {
    let observed: f64 = differences.iter().sum();
    let size: f64 = differences.iter().map(|difference| difference.abs()).sum();
    // Equal sums may differ by a rounding.
    let least = observed - 1e-12 * size;
    let flips = 1_u32 << differences.len();
    let sum = |flip: u32| -> f64 {
        let sign = |index: usize| if flip >> index & 1 == 1 { -1.0 } else { 1.0 };
        differences.iter().enumerate().map(|(index, difference)| sign(index) * difference).sum()
    };
    (0..flips).filter(|&flip| sum(flip) >= least).count() as f64 / f64::from(flips)
}

/// One-sided paired t-test. Where all differences are equal there is no spread to estimate; then the
/// p-value is the sign test's.
fn t_test(differences: &[f64]) -> Option<f64> {
    let count = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / count;
    let squares: f64 = differences.iter().map(|difference| (difference - mean).powi(2)).sum();
    let deviation = (squares / (count - 1.0)).sqrt();
    // Of equal values the mean may differ by a rounding.
    if deviation <= mean.abs() * 1e-12 {
        return Some(if mean > 0.0 { 0.5_f64.powf(count) } else { 1.0 });
    }
    let t = mean / (deviation / count.sqrt());
    Some(StudentsT::new(0.0, 1.0, count - 1.0).ok()?.sf(t))
}

/// `p` corrected for their number (Holm 1979), in their order: the k-th smallest of m times m - k + 1, and
/// none smaller than one before it. Those without a test are not counted.
pub(crate) fn holm(p: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut order: Vec<(usize, f64)> =
        p.iter().enumerate().filter_map(|(index, p)| Some((index, (*p)?))).collect();
    order.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    let mut corrected = vec![None; p.len()];
    let mut least = 0.0_f64;
    for (rank, &(index, p)) in order.iter().enumerate() {
        least = least.max(p * (order.len() - rank) as f64).min(1.0);
        corrected[index] = Some(least);
    }
    corrected
}

/// The p-value of the mean of `differences` being as far from zero by chance, two-sided.
pub(crate) fn off_zero(differences: &[f64]) -> Option<f64> {
    Some((2.0 * above_zero(differences)?.min(below_zero(differences)?)).min(1.0))
}

/// Chi-square test of goodness of fit: the p-value of `counts` if all classes are equally likely. `None`
/// where that expects too few in each.
pub(crate) fn uniform(counts: &[f64]) -> Option<f64> {
    let classes = counts.len() as f64;
    let expected = counts.iter().sum::<f64>() / classes;
    if classes < 2.0 || expected < EXPECTED {
        return None;
    }
    let statistic = counts.iter().map(|count| (count - expected).powi(2) / expected).sum();
    Some(ChiSquared::new(classes - 1.0).ok()?.sf(statistic))
}

#[cfg(test)]
mod tests {
    use super::{above_zero, holm, off_zero, t_test, uniform};

    fn close(found: Option<f64>, wanted: f64) {
        let found = found.expect("a p-value");
        assert!((found - wanted).abs() <= 1e-9 * wanted, "{found:e} is not {wanted:e}");
    }

    /// `scipy.stats.ttest_1samp(x, 0, alternative="greater").pvalue`, of SciPy 1.17.1.
    #[test]
    fn p_values_of_many_pairs_are_those_of_scipy() {
        close(t_test(&[0.3, -0.1, 0.4, 0.2, 0.0, 0.5]), 0.035_282_817_674_419_98);
        close(t_test(&[-0.3, 0.1, -0.4, -0.2]), 0.919_419_076_393_240_3);
        close(above_zero(&[0.25; 20]), 0.5_f64.powi(20));
        close(above_zero(&[-0.1; 20]), 1.0);
        close(above_zero(&[0.0; 20]), 1.0);
    }

    /// `scipy.stats.permutation_test((x,), numpy.sum, permutation_type="samples", alternative="greater")`
    /// with all permutations, of SciPy 1.17.1.
    #[test]
    fn p_values_of_few_pairs_are_those_of_scipy() {
        close(above_zero(&[0.3, -0.1, 0.4, 0.2, 0.0, 0.5]), 0.0625);
        close(above_zero(&[-0.3, 0.1, -0.4, -0.2]), 0.9375);
        close(off_zero(&[-0.3, 0.1, -0.4, -0.2]), 0.25);
        close(off_zero(&[0.0; 6]), 1.0);
        close(above_zero(&[0.25; 6]), 0.5_f64.powi(6));
        assert_eq!(above_zero(&[1.0]), None);
    }

    /// `statsmodels.stats.multitest.multipletests(p, method="holm")`, of statsmodels 0.15.0.
    #[test]
    fn correction_is_that_of_statsmodels() {
        let p = [Some(0.01), None, Some(0.04), Some(0.03), Some(0.005)];
        let corrected = holm(&p);
        let wanted = [Some(0.03), None, Some(0.06), Some(0.06), Some(0.02)];
        for (found, wanted) in corrected.iter().zip(wanted) {
            assert_eq!(found.is_some(), wanted.is_some());
            if let Some(wanted) = wanted {
                close(*found, wanted);
            }
        }
    }

    /// `scipy.stats.chisquare(x).pvalue`.
    #[test]
    fn p_values_of_counts_are_those_of_scipy() {
        close(uniform(&[12.0, 8.0, 11.0, 9.0, 30.0]), 9.733_170_154_154_252e-5);
        close(uniform(&[5.0, 5.0, 5.0]), 1.0);
        assert_eq!(uniform(&[5.0, 4.0, 5.0]), None);
        assert_eq!(uniform(&[]), None);
    }
}
