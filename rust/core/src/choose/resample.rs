//! Means of many options over resampled problems: the same problems for all options of a draw.

use rayon::prelude::*;

/// Terms added side by side: enough for the vector units, and a fixed order whatever the machine.
const LANES: usize = 8;

/// Σ values·weights, in an order that depends on the length alone.
fn dot(values: &[f64], weights: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    let (others, tail) = weights.as_chunks::<LANES>();
    for (v, w) in blocks.iter().zip(others) {
        for i in 0..LANES {
            sums[i] += v[i] * w[i];
        }
    }
    let end: f64 = rest.iter().zip(tail).map(|(v, w)| v * w).sum();
    sums.iter().sum::<f64>() + end
}

/// Fills `out` (options x draws, row-major) with the mean of every option under every draw's weights.
///
/// `values` has a row an option and `weights` a row a draw, each with a column a problem; a draw's weights add up to 1.
/// The bits depend neither on the number of threads nor on what else is asked in the same call.
pub fn weighted_means(values: &[f64], weights: &[f64], problems: usize, out: &mut [f64]) {
    if problems == 0 || weights.is_empty() {
        return;
    }
    let draws = weights.len() / problems;
    let rows = values.par_chunks_exact(problems).zip(out.par_chunks_exact_mut(draws));
    rows.with_min_len(4).for_each(|(values, out)| {
        for (out, weights) in out.iter_mut().zip(weights.chunks_exact(problems)) {
            *out = dot(values, weights);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn means_are_weighted_sums(problems in 1_usize..40, seed in 0_u64..1000) {
            let (options, draws) = (5, 7);
            let number = |i: usize| ((seed + i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64;
            let values: Vec<f64> = (0..options * problems).map(number).collect();
            let weights: Vec<f64> = (0..draws * problems).map(|i| number(i + 7919)).collect();
            let mut out = vec![f64::NAN; options * draws];
            weighted_means(&values, &weights, problems, &mut out);
            for o in 0..options {
                for d in 0..draws {
                    // Whole numbers: every order of summation gives the same.
                    let sum: f64 =
                        (0..problems).map(|p| values[o * problems + p] * weights[d * problems + p]).sum();
                    prop_assert_eq!(out[o * draws + d], sum);
                }
            }
        }
    }
}
