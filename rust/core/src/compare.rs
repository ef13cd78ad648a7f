//! Means of several measurements of the same problems, such as pass@k over k, with what holds of all at once.
//!
//! Problems are the sample. The multiplier bootstrap weighs each problem's deviation from the mean by a normal
//! number (van der Vaart and Wellner 1996, section 2.9): given the data, the means are then exactly normal with
//! their estimated covariance. So they are drawn from that, by a factor of its numerical rank, in place of summing
//! over problems anew for each draw: neighbouring k are so alike that a dozen columns do.

use crate::random::Normals;

/// A mean of each column, its standard error, and a band that holds for all columns at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// Means, a column each.
    pub mean: Vec<f64>,
    /// Standard errors of the means; 0 where a column is constant.
    pub stderr: Vec<f64>,
    /// mean ± critical · stderr holds in all columns with the probability asked for.
    pub critical: f64,
}

/// The mean of each column of `values` (rows of `columns` numbers, one a problem) and its simultaneous band.
///
/// The critical value is the quantile at `level` of max |Z| / S over `draws`: Z normal with the correlations of the
/// columns, S² an independent χ² of rows − 1 degrees of freedom over them, which makes room for the standard errors'
/// own error. None for fewer than 2 rows, no column, no draw, or values that are not finite.
pub fn band(values: &[f64], columns: usize, draws: usize, level: f64, seed: u64) -> Option<Band> {
    let sample = Sample::of(values, columns)?;
    if draws == 0 {
        return None;
    }
    let factor = sample.factor();
    let freedom = (sample.rows - 1) as f64;
    let mut deviations = vec![0.0; columns];
    let mut maxima: Vec<f64> = (0..draws as u64)
        .map(|draw| {
            let mut normals = Normals::new(seed, draw);
            let spread = chi_squared(freedom, normals.draw()) / freedom;
            factor.draw(&mut normals, &mut deviations);
            deviations.iter().fold(0.0_f64, |most, z| most.max(z.abs())) / spread.sqrt()
        })
        .collect();
    maxima.sort_unstable_by(f64::total_cmp);
    Some(Band { critical: quantile(&maxima, level), mean: sample.mean, stderr: sample.stderr })
}

/// How probable it is that each column has the largest mean: the share of `draws` from the means' distribution.
///
/// Ties are shared. None as for [`band`].
pub fn best(values: &[f64], columns: usize, draws: usize, seed: u64) -> Option<Vec<f64>> {
    let sample = Sample::of(values, columns)?;
    if draws == 0 {
        return None;
    }
    let factor = sample.factor();
    let (mut shares, mut means) = (vec![0.0; columns], vec![0.0; columns]);
    for draw in 0..draws as u64 {
        factor.draw(&mut Normals::new(seed, draw), &mut means);
        for (j, mean) in means.iter_mut().enumerate() {
            *mean = sample.mean[j] + sample.stderr[j] * *mean;
        }
        let top = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let tied = means.iter().filter(|&&mean| mean == top).count();
        for (share, mean) in shares.iter_mut().zip(&means) {
            if *mean == top {
                *share += 1.0 / tied as f64;
            }
        }
    }
    shares.iter_mut().for_each(|share| *share /= draws as f64);
    Some(shares)
}

/// Columns of a table with their means and standard errors, standardised.
struct Sample {
    rows: usize,
    mean: Vec<f64>,
    stderr: Vec<f64>,
    /// Column after column, deviations from the mean of length 1, or 0 where a column is constant.
    standardised: Vec<Vec<f64>>,
}

impl Sample {
    fn of(values: &[f64], columns: usize) -> Option<Sample> {
        let rows = values.len().checked_div(columns)?;
        if rows < 2 || rows * columns != values.len() || values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let (mut mean, mut stderr, mut standardised) = (vec![0.0; columns], vec![0.0; columns], Vec::new());
        for j in 0..columns {
            let mut column: Vec<f64> = (0..rows).map(|i| values[i * columns + j]).collect();
            mean[j] = column.iter().sum::<f64>() / rows as f64;
            column.iter_mut().for_each(|value| *value -= mean[j]);
            let length = dot(&column, &column).sqrt();
            stderr[j] = length / ((rows - 1) as f64 * rows as f64).sqrt();
            // Rounding leaves a constant column with deviations of some units in its last place.
            if length <= 1e-13 * (rows as f64).sqrt() * mean[j].abs().max(1e-300) {
                stderr[j] = 0.0;
                column.fill(0.0);
            } else {
                column.iter_mut().for_each(|value| *value /= length);
            }
            standardised.push(column);
        }
        Some(Sample { rows, mean, stderr, standardised })
    }

    /// A factor of the columns' correlations by pivoted Cholesky decomposition, up to 1e-12 of each variance.
    fn factor(&self) -> Factor {
        let columns = self.mean.len();
        let mut left: Vec<f64> = self.standardised.iter().map(|column| dot(column, column)).collect();
        let mut vectors: Vec<Vec<f64>> = Vec::new();
        while let Some((pivot, &most)) = left.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)) {
            if most <= 1e-12 || vectors.len() == columns {
                break;
            }
            let scale = most.sqrt();
            let vector: Vec<f64> = (0..columns)
                .map(|j| {
                    let known: f64 = vectors.iter().map(|vector| vector[pivot] * vector[j]).sum();
                    (dot(&self.standardised[pivot], &self.standardised[j]) - known) / scale
                })
                .collect();
            for (rest, entry) in left.iter_mut().zip(&vector) {
                *rest -= entry * entry;
            }
            left[pivot] = 0.0;
            vectors.push(vector);
        }
        Factor { vectors }
    }
}

/// Vectors whose outer products sum up to the correlations.
struct Factor {
    vectors: Vec<Vec<f64>>,
}

impl Factor {
    /// Normal deviations of all columns, into `sum`.
    fn draw(&self, normals: &mut Normals, sum: &mut [f64]) {
        sum.fill(0.0);
        for vector in &self.vectors {
            let weight = normals.draw();
            for (total, entry) in sum.iter_mut().zip(vector) {
                *total += weight * entry;
            }
        }
    }
}

/// χ² of `freedom` degrees at the normal deviate z (Wilson and Hilferty 1931), never below a hundredth of its mean.
fn chi_squared(freedom: f64, z: f64) -> f64 {
    let part = 2.0 / (9.0 * freedom);
    freedom * (1.0 - part + z * part.sqrt()).max(0.215).powi(3)
}

/// The quantile of sorted values, linear between them.
fn quantile(sorted: &[f64], level: f64) -> f64 {
    let place = level.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::{Normals, band, best};
    use proptest::prelude::*;

    /// One column: the critical value is that of Student's t.
    #[test]
    fn one_column_makes_a_t_interval() {
        let values: Vec<f64> = (0..21).map(|i| f64::from(i * i % 7)).collect();
        let found = band(&values, 1, 200_000, 0.95, 1).unwrap();
        // The 97.5% point of t with 20 degrees of freedom.
        assert!((found.critical - 2.086).abs() < 0.02, "{}", found.critical);
    }

    /// Independent columns: P(max |Z| < c) is the product of their own.
    #[test]
    fn independent_columns_need_the_product() {
        let mut normals = Normals::new(3, 0);
        let values: Vec<f64> = (0..40_000).map(|_| normals.draw()).collect();
        let found = band(&values, 4, 100_000, 0.95, 2).unwrap();
        // The point of the normal distribution with 0.95^(1/4) between it and its negative.
        assert!((found.critical - 2.491).abs() < 0.02, "{}", found.critical);
    }

    #[test]
    fn the_better_of_two_equals_is_even_odds_and_a_clear_one_is_certain() {
        let pairs: Vec<f64> = (0..100).flat_map(|i| [f64::from(i % 2), f64::from((i / 2) % 2)]).collect();
        let shares = best(&pairs, 2, 100_000, 4).unwrap();
        assert!((shares[0] - 0.5).abs() < 0.01);
        let clear: Vec<f64> = (0..100).flat_map(|i| [0.1 * f64::from(i % 2), 1.0]).collect();
        assert_eq!(best(&clear, 2, 1000, 4).unwrap(), [0.0, 1.0]);
    }

    proptest! {
        #[test]
        fn nothing_of_constant_columns_is_nan(rows in 2_usize..9, value in -1.0_f64..1.0, draws in 1_usize..9) {
            let values = vec![value; rows * 3];
            let found = band(&values, 3, draws, 0.9, 0).unwrap();
            prop_assert_eq!(found.stderr, vec![0.0; 3]);
            prop_assert_eq!(found.critical, 0.0);
            let shares = best(&values, 3, draws, 0).unwrap();
            prop_assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn what_is_no_sample_is_refused() {
        assert!(band(&[1.0, 2.0], 2, 10, 0.9, 0).is_none());
        assert!(band(&[], 0, 10, 0.9, 0).is_none());
        assert!(band(&[1.0, f64::NAN], 1, 10, 0.9, 0).is_none());
        assert!(best(&[1.0, 2.0], 1, 0, 0).is_none());
    }
}
