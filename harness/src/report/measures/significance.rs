//! How surprising a measurement would be if a claim did not hold: p-values, by the distributions of
//! `statrs`.

use statrs::distribution::{ChiSquared, ContinuousCDF, StudentsT};

/// The least count that is expected in a class for the chi-square distribution to serve (Cochran 1954).
const EXPECTED: f64 = 5.0;

/// One-sided paired t-test: the p-value of the mean of `differences` being above zero by chance. `None`
/// of fewer than two. Where all are equal there is no spread to go by; then it is the sign test's.
pub(crate) fn above_zero(differences: &[f64]) -> Option<f64> {
    let count = differences.len() as f64;
    if count < 2.0 {
        return None;
    }
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

/// Two-sided paired t-test: the p-value of the mean of `differences` being as far from zero by chance.
pub(crate) fn off_zero(differences: &[f64]) -> Option<f64> {
    let negated: Vec<f64> = differences.iter().map(|difference| -difference).collect();
    Some((2.0 * above_zero(differences)?.min(above_zero(&negated)?)).min(1.0))
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
    use super::{above_zero, off_zero, uniform};

    fn close(found: Option<f64>, wanted: f64) {
        let found = found.expect("a p-value");
        assert!((found - wanted).abs() <= 1e-9 * wanted, "{found:e} is not {wanted:e}");
    }

    /// `scipy.stats.ttest_1samp(x, 0, alternative="greater").pvalue`, of SciPy 1.17.1.
    #[test]
    fn p_values_of_means_are_those_of_scipy() {
        close(above_zero(&[0.3, -0.1, 0.4, 0.2, 0.0, 0.5]), 0.035_282_817_674_419_98);
        close(above_zero(&[-0.3, 0.1, -0.4, -0.2]), 0.919_419_076_393_240_3);
        close(off_zero(&[-0.3, 0.1, -0.4, -0.2]), 2.0 * (1.0 - 0.919_419_076_393_240_3));
        close(off_zero(&[0.0; 6]), 1.0);
        close(above_zero(&[0.25; 6]), 0.5_f64.powi(6));
        close(above_zero(&[0.0; 6]), 1.0);
        close(above_zero(&[-0.1; 3]), 1.0);
        assert_eq!(above_zero(&[1.0]), None);
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
