//! Means of many options over resampled problems: the same problems for all options of a draw.

use rayon::prelude::*;

/// Draws whose sums grow side by side, and options that share a load of their weights.
const LANES: usize = 16;
const ROWS: usize = 4;

/// Weights of LANES draws at a time, problem by problem; zero where there are no more draws.
fn packed(weights: &[f64], problems: usize) -> Vec<[f64; LANES]> {
    let draws = weights.len() / problems;
    let mut tiles = vec![[0.0; LANES]; draws.div_ceil(LANES) * problems];
    for (d, row) in weights.chunks_exact(problems).enumerate() {
        for (p, &weight) in row.iter().enumerate() {
            tiles[d / LANES * problems + p][d % LANES] = weight;
        }
    }
    tiles
}

/// Fills `out` (options x draws, row-major) with the mean of every option under every draw's weights.
///
/// `values` has a row an option and `weights` a row a draw, each with a column a problem; a draw's weights add up to 1.
/// Terms are added problem by problem: the bits depend neither on the number of threads nor on what else is asked in
/// the same call.
pub fn weighted_means(values: &[f64], weights: &[f64], problems: usize, out: &mut [f64]) {
    if problems == 0 || weights.is_empty() {
        return;
    }
    let (draws, tiles) = (weights.len() / problems, packed(weights, problems));
    let blocks = values.par_chunks(ROWS * problems).zip(out.par_chunks_mut(ROWS * draws));
    blocks.for_each(|(values, out)| {
        for (t, tile) in tiles.chunks_exact(problems).enumerate() {
            let mut sums = [[0.0; LANES]; ROWS];
            for (p, weights) in tile.iter().enumerate() {
                for (sums, row) in sums.iter_mut().zip(values.chunks_exact(problems)) {
                    for (sum, weight) in sums.iter_mut().zip(weights) {
                        *sum += row[p] * weight;
                    }
                }
            }
            let (first, last) = (t * LANES, draws.min((t + 1) * LANES));
            for (out, sums) in out.chunks_exact_mut(draws).zip(&sums) {
                out[first..last].copy_from_slice(&sums[..last - first]);
            }
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
            let (options, draws) = (5, 37);
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
