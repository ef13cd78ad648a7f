//! Cholesky factors of matrices too large for [`crate::linalg`]: A = L Lᵀ, rows of L next to each other.

/// The lower factor of a positive definite matrix.
#[derive(Clone, Debug)]
pub struct Cholesky {
    order: usize,
    /// Row-major, zeros above the diagonal.
    lower: Vec<f64>,
    /// The same, transposed: solving with Lᵀ then reads rows too.
    upper: Vec<f64>,
}

/// Σ a_i b_i in eight partial sums, which the compiler keeps in vector registers.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a_blocks, b_blocks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a_blocks.remainder().iter().zip(b_blocks.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_blocks.zip(b_blocks) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    (((a + e) + (b + f)) + ((c + g) + (d + h))) + rest
}

impl Cholesky {
    /// Factors the symmetric `order × order` matrix whose lower triangle `matrix` holds row by row; `None` where it is
    /// not positive definite.
    pub fn new(mut matrix: Vec<f64>, order: usize) -> Option<Self> {
        for i in 0..order {
            let (above, row) = matrix.split_at_mut(i * order);
            for j in 0..i {
                let other = &above[j * order..][..=j];
                row[j] = (row[j] - dot(&row[..j], &other[..j])) / other[j];
            }
            let pivot = row[i] - dot(&row[..i], &row[..i]);
            if pivot.is_nan() || pivot <= 0.0 {
                return None;
            }
            row[i] = pivot.sqrt();
            row[i + 1..order].fill(0.0);
        }
        let mut upper = vec![0.0; order * order];
        for i in 0..order {
            for j in 0..=i {
                upper[j * order + i] = matrix[i * order + j];
            }
        }
        Some(Self { order, lower: matrix, upper })
    }

    /// x with A x = b, in place of b.
    pub fn solve(&self, b: &mut [f64]) {
        self.solve_lower(b);
        let n = self.order;
        for i in (0..n).rev() {
            let row = &self.upper[i * n..][..n];
            b[i] = (b[i] - dot(&row[i + 1..], &b[i + 1..])) / row[i];
        }
    }

    /// x with L x = b, in place of b.
    pub fn solve_lower(&self, b: &mut [f64]) {
        for i in 0..self.order {
            let row = &self.lower[i * self.order..][..=i];
            b[i] = (b[i] - dot(&row[..i], &b[..i])) / row[i];
        }
    }

    /// ln det L, half that of the matrix.
    pub fn half_log_determinant(&self) -> f64 {
        (0..self.order).map(|i| self.lower[i * self.order + i].ln()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn solves_and_multiplies_back(order in 1usize..40, entries in proptest::collection::vec(-1.0f64..1.0, 1600)) {
            // B Bᵀ + I/10, of known pieces.
            let b = |i: usize, j: usize| entries[i * order + j];
            let entry = |i: usize, j: usize| {
                (0..order).map(|p| b(i, p) * b(j, p)).sum::<f64>() + if i == j { 0.1 } else { 0.0 }
            };
            let matrix: Vec<f64> = (0..order * order).map(|at| entry(at / order, at % order)).collect();
            let factor = Cholesky::new(matrix.clone(), order).unwrap();
            let right: Vec<f64> = entries[..order].to_vec();
            let mut x = right.clone();
            factor.solve(&mut x);
            for i in 0..order {
                let back: f64 = (0..order).map(|j| matrix[i * order + j] * x[j]).sum();
                prop_assert!((back - right[i]).abs() < 1e-9);
                for j in 0..=i {
                    let product: f64 =
                        (0..=j).map(|p| factor.lower[i * order + p] * factor.lower[j * order + p]).sum();
                    prop_assert!((product - matrix[i * order + j]).abs() < 1e-12 * order as f64);
                }
            }
        }
    }

    #[test]
    fn a_known_determinant_and_an_indefinite_matrix() {
        // [[4, 2], [2, 3]] has the determinant 8.
        let factor = Cholesky::new(vec![4.0, 9.0, 2.0, 3.0], 2).unwrap();
        assert!((factor.half_log_determinant() - 0.5 * 8f64.ln()).abs() < 1e-15);
        assert!(Cholesky::new(vec![1.0, 0.0, 2.0, 1.0], 2).is_none());
    }
}
